"""Envoy in front of Flower: its configuration for the three kinds of pods, and its start."""
