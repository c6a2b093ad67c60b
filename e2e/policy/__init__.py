"""NetworkPolicies enforced with nftables on the one node of the e2e cluster. For tests only; see README.md."""
