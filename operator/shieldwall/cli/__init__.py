"""The command ``shieldwall``, also ``kubectl shieldwall``."""
