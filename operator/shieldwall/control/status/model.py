"""What is told of the last released model."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from shieldwall.control.api.status import ModelStatus

if TYPE_CHECKING:
    from shieldwall.control.status.view import View

_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def model_of(view: View) -> ModelStatus | None:
    """The newest checkpoint; as status has it when the steward was not asked yet."""
    if view.last is None:
        return view.sight.previous.model if view.sight.previous is not None else None
    digest = view.last.status.model_sha256
    if not view.released or digest is None or _SHA256.fullmatch(digest) is None:
        return None
    return ModelStatus(checkpoint=f"round-{view.released}.npz", sha256=digest, round=view.released)


def accuracy_of(view: View) -> float | None:
    """What ``evaluate`` said; None for what is no number JSON can write."""
    if view.last is None:
        return view.sight.previous.accuracy if view.sight.previous is not None else None
    accuracy = view.last.status.metrics.get("accuracy")
    return accuracy if accuracy is not None and math.isfinite(accuracy) else None
