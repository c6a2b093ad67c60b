"""A one-node Kubernetes in a network namespace of its own, for end-to-end tests; Linux, root."""

from .cluster import Cluster

__all__ = ["Cluster"]
