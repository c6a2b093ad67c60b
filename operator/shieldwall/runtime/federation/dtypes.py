"""A strategy's arithmetic changes dtypes: an averaged counter comes back as float64, Adam turns float32 into float64.

Clients answer in their model's own dtypes, and admission asks for exactly those that were sent. So what a strategy
sends is brought back to the dtypes of the first model of the run.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shieldwall.runtime.model import Array, Schema


def as_sent_first(arrays: Mapping[str, Array], first: Schema) -> dict[str, Array]:
    """``arrays`` with the dtypes of ``first``; as they are where names, order or shapes are not those of ``first``.

    Counters are rounded, and held within what their dtype can say. A float that is too large becomes infinite, which
    no model may hold.
    """
    specs = {spec.name: spec for spec in first.arrays}
    if list(arrays) != list(specs) or any(arrays[name].shape != spec.shape for name, spec in specs.items()):
        return dict(arrays)
    return {name: _cast(array, np.dtype(specs[name].dtype)) for name, array in arrays.items()}


def _cast(array: Array, dtype: np.dtype[Any]) -> Array:
    if array.dtype == dtype:
        return array
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            cast: Array = array.astype(dtype)
            return cast
    low, high = _range(dtype)
    rounded = np.nan_to_num(np.rint(array.astype(np.float64)), nan=0.0)
    counted: Array = np.clip(rounded, low, high).astype(dtype)
    return counted


def _range(dtype: np.dtype[Any]) -> tuple[float, float]:
    """The least and greatest float64 that an integer or boolean dtype can hold: for int64 the one below 2⁶³."""
    if dtype.kind == "b":
        return 0.0, 1.0
    limits = np.iinfo(dtype)
    high = float(limits.max)
    return float(limits.min), high if high <= limits.max else math.nextafter(high, 0.0)
