"""How the control plane asks a training's steward, over mTLS."""
