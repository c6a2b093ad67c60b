"""A round from its opening to its release, and the two ways to run them: managed and wrapped."""
