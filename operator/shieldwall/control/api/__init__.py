"""What people write: the FederatedTraining resource."""
