"""A strategy's arithmetic changes dtypes: an averaged counter comes back as float64, Adam turns float32 into float64.

Clients answer in their model's own dtypes, and admission asks for exactly those that were sent. So what a strategy
sends is brought back to the dtypes of the first model of the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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


def _cast(array: Array, dtype: np.dtype[np.generic]) -> Array:
    if array.dtype == dtype:
        return array
    if dtype.kind in "iub":
        limits = np.iinfo(dtype) if dtype.kind != "b" else None
        low, high = (limits.min, limits.max) if limits is not None else (0, 1)
        numbers = np.nan_to_num(np.rint(array.astype(np.float64)), nan=0.0)
        # The largest float64 below 2⁶³ is the largest that int64 can hold.
        top = np.nextafter(float(high) + 1.0, 0.0) if float(high) > high else float(high)
        return np.clip(numbers, float(low), top).astype(dtype)
    with np.errstate(over="ignore"):
        return array.astype(dtype)
