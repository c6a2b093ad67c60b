"""The status of a training: a pure function of what was observed."""
