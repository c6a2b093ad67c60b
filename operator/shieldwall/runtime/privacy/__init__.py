"""Differential privacy in the pods: noise where updates are made and where models are released, and what it cost."""
