"""X.509 by the profile of Shieldwall: pure, with keys, serials and time as arguments."""
