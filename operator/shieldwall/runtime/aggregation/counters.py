"""The arrays of a model that are not floating: counted, not averaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shieldwall.runtime.model import Array


def aggregate_counters(replies: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """The lower median of each entry over all admitted replies, whatever the rule for the parameters.

    A value that some client sent, so it needs no rounding and a boolean stays one; for n > 2f it lies within the
    range of the honest values. Arrays keep their shapes and dtypes. Source: as FedMedian (arXiv:1803.01498).
    """
    middle = (len(replies) - 1) // 2
    return {name: np.sort(np.stack([reply[name] for reply in replies]), axis=0)[middle] for name in replies[0]}
