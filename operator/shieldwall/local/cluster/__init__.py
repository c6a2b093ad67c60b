"""A miniature kubelet: pod templates become processes, volumes become directories."""
