"""How like an original a recovered image is; both (p,) of square images in [0, 1]."""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Image = NDArray[Any]

_WINDOW: Final = 7
_BRIGHTNESS: Final = 0.01**2
_CONTRAST: Final = 0.03**2
"""The constants of the paper, for values in [0, 1]."""
_EXACT: Final = 100.0
"""Decibels; what is exact to the last bit has infinitely many."""


def signal_to_noise(original: Image, recovered: Image) -> float:
    """Peak signal-to-noise ratio in decibels, 100 at most."""
    error = float(np.mean((original.astype(np.float64) - recovered) ** 2))
    return _EXACT if error <= 10 ** (-_EXACT / 10) else -10 * float(np.log10(error))


def correlation(original: Image, recovered: Image) -> float:
    """The cosine of both without their means; 0 where one is flat. 1: the same but for brightness and contrast."""
    left, right = (image.astype(np.float64) - image.mean() for image in (original, recovered))
    lengths = float(np.linalg.norm(left) * np.linalg.norm(right))
    return float(left @ right) / lengths if lengths else 0.0


def structure(original: Image, recovered: Image) -> float:
    """Structural similarity, the mean over windows of 7 × 7 (Wang et al. 2004, doi:10.1109/TIP.2003.819861)."""
    left, right = _windows(original), _windows(recovered)
    means = left.mean(axis=1), right.mean(axis=1)
    variances = left.var(axis=1, ddof=1), right.var(axis=1, ddof=1)
    common = ((left - means[0][:, None]) * (right - means[1][:, None])).sum(axis=1) / (left.shape[1] - 1)
    brightness = (2 * means[0] * means[1] + _BRIGHTNESS) / (means[0] ** 2 + means[1] ** 2 + _BRIGHTNESS)
    contrast = (2 * common + _CONTRAST) / (variances[0] + variances[1] + _CONTRAST)
    return float(np.mean(brightness * contrast))


def identified(place: int, recovered: Image, candidates: NDArray[Any]) -> bool:
    """Whether, of all ``candidates`` (n, p), the one at ``place`` correlates best with what was recovered."""
    likeness = [correlation(candidate, recovered) for candidate in candidates]
    return int(np.argmax(likeness)) == place


def _windows(image: Image) -> NDArray[np.float64]:
    """(windows, 49)."""
    side = isqrt(image.size)
    square = image.reshape(side, side).astype(np.float64)
    return np.lib.stride_tricks.sliding_window_view(square, (_WINDOW, _WINDOW)).reshape(-1, _WINDOW**2)
