"""From a training and what is observed to Kubernetes objects and orders, as a pure function."""
