"""Real Kubernetes components as processes on loopback, for tests and benchmarks; nothing here imports the operator."""
