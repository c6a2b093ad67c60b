"""The steward: the gate on every request, the run and its rounds, and what is known about both."""
