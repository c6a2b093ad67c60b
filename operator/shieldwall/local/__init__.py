"""A training on this machine: its plan as processes on loopback."""
