"""Signed manifests: what a client's signature says, who gives it and how it is checked. Knows nothing of Flower."""
