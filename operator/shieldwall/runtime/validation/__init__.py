"""Which admitted updates are outliers: of their round, and of what their client sent before."""
