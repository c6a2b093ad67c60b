"""Runs the plan of a training as processes on this machine's loopback addresses: no cluster, the real programs."""
