"""The one place where Shieldwall touches Flower's processes and messages."""
