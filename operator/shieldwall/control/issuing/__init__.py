"""What the Secrets of a plan's orders hold, as pure functions: the operator and local mode only keep it elsewhere."""
