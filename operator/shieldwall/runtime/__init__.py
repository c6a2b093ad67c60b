"""What runs inside the pods."""
