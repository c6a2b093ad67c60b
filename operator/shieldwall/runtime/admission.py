"""Whether one client's reply may take part, judged by its content alone.

The content is whatever a client chose to send. Each check returns a Refusal with the reason and never raises, so a
reply costs at most itself. Pure: no Flower, no clock, no files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from shieldwall.contract.records import Fate
from shieldwall.runtime.aggregation.vectors import is_finite, norm
from shieldwall.runtime.model import Schema, update_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shieldwall.runtime.model import Array, Model, Vector

_SHOWN: Final = 80


@dataclass(frozen=True, slots=True, eq=False)
class Update:
    """An admitted reply."""

    vector: Vector
    """local − base, shape (d,), finite."""
    norm: float
    """Its L2 norm, at most the bound that it was judged by."""
    counters: Mapping[str, Array]
    """The reply's arrays that are not floating (see ``shieldwall.runtime.model``), its own."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a reply takes no part."""

    fate: Fate
    detail: str
    """One sentence for people, of bounded length whatever the client sent."""


def check_update(arrays: Mapping[str, object], base: Model, bound: float) -> Update | Refusal:
    """Judge a reply's decoded arrays against the model that was sent out.

    Admits exactly the schema of ``base`` (names, order, shapes, dtypes), finite, with an update whose L2 norm is
    within ``bound``.
    """
    exact = _match_schema(arrays, base.schema)
    if isinstance(exact, Refusal):
        return exact
    for spec in base.schema.parameters:
        if not is_finite(exact[spec.name].reshape(-1)):
            return Refusal(Fate.NOT_FINITE, f"Array {_show(spec.name)} holds NaN or infinity.")
    vector = update_of(exact, base)
    length = norm(vector)
    if not length <= bound or math.isinf(length):
        return Refusal(Fate.NORM_TOO_LARGE, f"The update's L2 norm is {length:.4g}; the policy's bound is {bound:g}.")
    # Copies, for the arrays may be views on the message, which would be kept with them.
    return Update(vector, length, {spec.name: exact[spec.name].copy() for spec in base.schema.counters})


def _match_schema(arrays: Mapping[str, object], schema: Schema) -> dict[str, Array] | Refusal:
    expected, given = [spec.name for spec in schema.arrays], list(arrays)
    if given != expected:
        return Refusal(Fate.WRONG_SCHEMA, _names_differ(given, expected))
    exact: dict[str, Array] = {}
    for spec in schema.arrays:
        array = arrays[spec.name]
        if type(array) is not np.ndarray:  # subclasses (masked arrays) answer the later checks in their own way
            return Refusal(Fate.WRONG_SCHEMA, f"{_show(spec.name)} is not an array.")
        if array.shape != spec.shape:
            return Refusal(
                Fate.WRONG_SCHEMA,
                f"Array {_show(spec.name)} has shape {_show(array.shape)}, the model's is {spec.shape}.",
            )
        if array.dtype.str != spec.dtype:
            return Refusal(
                Fate.WRONG_SCHEMA,
                f"Array {_show(spec.name)} has dtype {_show(array.dtype)}, the model's is {spec.dtype}.",
            )
        exact[spec.name] = array
    return exact


def _names_differ(given: list[str], expected: list[str]) -> str:
    known, sent = set(expected), set(given)
    missing = [name for name in expected if name not in sent]
    if missing:
        return f"Array {_show(missing[0])} is missing ({len(missing)} of {len(expected)} are)."
    surplus = next((name for name in given if name not in known), None)
    if surplus is not None:
        return f"Array {_show(surplus)} is not one of the model's."
    return "The arrays are the model's in another order."


def _show(value: object) -> str:
    """A client's own words in at most 80 characters, with nothing a terminal would obey."""
    if isinstance(value, str):
        value = value[:_SHOWN]
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
