"""What the operator and the pods agree on: identities, the policy file, paths, ports and records."""
