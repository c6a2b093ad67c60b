"""Shieldwall: federated learning that is secure by construction."""

__version__ = "0.1.0"
