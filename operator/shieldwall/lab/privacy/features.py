"""Features that show which digit an image is of, and were made without looking at any data."""

from __future__ import annotations

from itertools import product
from math import isqrt
from typing import TYPE_CHECKING, Final

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
_SHIFTED: Final = 0.3
"""The weight of an image that is shifted by a pixel."""
_BLUR: Final = 0.375
"""Of orientations, in parts of a cell."""
_COMMON: Final = ((0, 0), (0, 2), (2, 0))
"""Brightness, and that it is brightest in the middle: all images have these, and they tell no digit from another."""


def stroke_features(images: Floats) -> Floats:
    """Low frequencies and orientations of strokes, (n, p) → (n, k) of norm 1; images are square.

    Averaged over shifts by a pixel: what a shift changes tells no digit from another (as the augmentation multiplicity
    of De et al. 2022, arXiv:2204.13650).
    """
    side = isqrt(images.shape[1])
    padded = np.pad(images.reshape(-1, side, side).astype(np.float64), ((0, 0), (1, 1), (1, 1)))
    shifted = [
        _SHIFTED ** (abs(down) + abs(right))
        * _of_squares(padded[:, 1 + down : 1 + down + side, 1 + right : 1 + right + side])
        for down, right in product((-1, 0, 1), repeat=2)
    ]
    return _unit(np.sum(shifted, axis=0)).astype(np.float32)


def _of_squares(squares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half of the norm are frequencies, half orientations."""
    return _unit(np.concatenate([_unit(_frequencies(squares)), _unit(_orientations(squares))], axis=1))


def _frequencies(squares: NDArray[np.float64]) -> NDArray[np.float64]:
    """The cosine transform without what all images have in common."""
    side = squares.shape[1]
    sums = np.add.outer(np.arange(side), np.arange(side))
    kept = sums <= _HIGHEST
    for place in _COMMON:
        kept[place] = False
    transformed: NDArray[np.float64] = dctn(squares, axes=(1, 2), norm="ortho")
    return transformed[:, kept] * np.exp(-sums[kept] / _DECAY)


def _orientations(squares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Which strokes are where: a histogram in 4 × 4 cells (Dalal and Triggs 2005, doi:10.1109/CVPR.2005.177).

    Each orientation's mean over the cells is taken away, and each cell's over the orientations: that there is ink, and
    of which slant, is the writer's.
    """
    cell = 2 * squares.shape[1] // CELLS
    large = np.pad(zoom(squares, (1, 2, 2), order=1), ((0, 0), (1, 1), (1, 1)))
    down, right = large[:, 2:, 1:-1] - large[:, :-2, 1:-1], large[:, 1:-1, 2:] - large[:, 1:-1, :-2]
    places = (np.arctan2(down, right) % np.pi) * (ORIENTATIONS / np.pi)
    shares = np.maximum(0.0, 1.0 - _round_distance(places[..., None], np.arange(ORIENTATIONS)))
    maps = gaussian_filter(np.hypot(down, right)[..., None] * shares, (0, _BLUR * cell, _BLUR * cell, 0))
    sampled: NDArray[np.float64] = maps[:, cell // 2 :: cell, cell // 2 :: cell][:, :CELLS, :CELLS]
    sampled -= sampled.mean(axis=(1, 2), keepdims=True)
    sampled -= sampled.mean(axis=3, keepdims=True)
    return sampled.reshape(len(squares), -1)


def _round_distance(places: NDArray[np.float64], bins: NDArray[np.int_]) -> NDArray[np.float64]:
    """Between angles in units of a bin; half a turn is the same orientation."""
    apart = np.abs(places - bins) % ORIENTATIONS
    nearest: NDArray[np.float64] = np.minimum(apart, ORIENTATIONS - apart)
    return nearest


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    units: NDArray[np.float64] = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return units
