"""The model: float32 arrays of ``megabytes`` MB in four layers."""

import numpy as np

LAYERS = 4


def initial_arrays(config):
    """Arrays by name."""
    size = int(config["megabytes"]) * 1_000_000 // 4 // LAYERS
    return {f"layer{position}": np.zeros(size, np.float32) for position in range(LAYERS)}
