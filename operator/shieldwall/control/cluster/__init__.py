"""All talk with the API server: the only input and output of the control plane besides the steward."""
