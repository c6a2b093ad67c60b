"""The command ``shieldwall``, also installed as ``kubectl-shieldwall``."""
