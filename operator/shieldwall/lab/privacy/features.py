"""Features that show which digit an image is of, and were made without looking at any data."""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter, zoom

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shieldwall.lab.tasks import Floats

CELLS: Final = 4
ORIENTATIONS: Final = 6
_HIGHEST: Final = 7
_DECAY: Final = 6.0
"""Of the two frequencies' sum: what is finer is the writer's, not the digit's."""
_BLUR: Final = 0.375
"""Of orientations, in parts of a cell."""
_COMMON: Final = ((0, 0), (0, 2), (2, 0))
"""Brightness, and that it is brightest in the middle: all images have these, and they tell no digit from another."""


def stroke_features(images: Floats) -> NDArray[Any]:
    """Low frequencies and orientations of strokes, (n, p) → (n, k) of norm 1; images are square.

    Half of the norm is the cosine transform without what all images have in common; half is a histogram of orientations
    in 4 × 4 cells (Dalal and Triggs 2005, doi:10.1109/CVPR.2005.177), with each orientation's mean taken away.
    """
    side = isqrt(images.shape[1])
    squares = images.reshape(-1, side, side).astype(np.float64)
    return _unit(np.concatenate([_unit(_frequencies(squares)), _unit(_orientations(squares))], axis=1))


def feature_count(pixels: int) -> int:
    """K of ``stroke_features`` for images of so many pixels."""
    return stroke_features(np.ones((1, pixels), np.float32)).shape[1]


def _frequencies(squares: NDArray[np.float64]) -> NDArray[np.float64]:
    side = squares.shape[1]
    sums = np.add.outer(np.arange(side), np.arange(side))
    kept = sums <= _HIGHEST
    for place in _COMMON:
        kept[place] = False
    transformed: NDArray[np.float64] = dctn(squares, axes=(1, 2), norm="ortho")
    return (transformed * np.exp(-sums / _DECAY))[:, kept]


def _orientations(squares: NDArray[np.float64]) -> NDArray[np.float64]:
    cell = 2 * squares.shape[1] // CELLS
    large = np.pad(zoom(squares, (1, 2, 2), order=1), ((0, 0), (1, 1), (1, 1)))
    down, right = large[:, 2:, 1:-1] - large[:, :-2, 1:-1], large[:, 1:-1, 2:] - large[:, 1:-1, :-2]
    places = (np.arctan2(down, right) % np.pi) * (ORIENTATIONS / np.pi)
    shares = np.maximum(0.0, 1.0 - _round_distance(places[..., None], np.arange(ORIENTATIONS)))
    maps = gaussian_filter(np.hypot(down, right)[..., None] * shares, (0, _BLUR * cell, _BLUR * cell, 0))
    sampled = maps[:, cell // 2 :: cell, cell // 2 :: cell][:, :CELLS, :CELLS]
    return (sampled - sampled.mean(axis=(1, 2), keepdims=True)).reshape(len(squares), -1)


def _round_distance(places: NDArray[np.float64], bins: NDArray[np.int_]) -> NDArray[np.float64]:
    """Between angles in units of a bin; half a turn is the same orientation."""
    apart: NDArray[np.float64] = np.abs(places - bins) % ORIENTATIONS
    return np.minimum(apart, ORIENTATIONS - apart)


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
