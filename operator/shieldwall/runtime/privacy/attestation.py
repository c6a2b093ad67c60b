"""What a client attests of its mechanism, and whether that is what the policy asks. Knows nothing of Flower.

The signature of a reply covers it. It says what the client's agent did and not what the user's code did beside it: an
app that trains on its records without ``dp_sgd`` and sends that instead attests the same. Under RecordLevel it tells of
the session that gave out the gradients, and the agent holds it to the policy before it leaves, as admission does later.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from shieldwall.contract.privacy import PrivacyMode
from shieldwall.runtime.privacy.record_level import RecordLevel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shieldwall.contract.privacy import PrivacyPolicy
    from shieldwall.runtime.privacy.dp_sgd import DpSgd

_MODE: Final = "mode"
_NOISE: Final = "noise-multiplier"
_CLIP: Final = "clip"
_BATCH: Final = "batch-size"
_RECORDS: Final = "records"
_STEPS: Final = "steps"


def attested(policy: PrivacyPolicy, private: DpSgd | None) -> dict[str, str | float | int]:
    """The values of the record; ``private`` is the session that RecordLevel trained in, and what it used is told."""
    if private is None:
        return {_MODE: policy.mode.value, _NOISE: policy.noise_multiplier, _CLIP: policy.clip}
    return {
        _MODE: policy.mode.value,
        _NOISE: private.noise_multiplier,
        _CLIP: private.clip,
        _BATCH: private.batch_size,
        _RECORDS: private.own_records or 0,
        _STEPS: private.taken,
    }


def shortfall(values: Mapping[str, object] | None, policy: PrivacyPolicy) -> str:
    """In what a reply's attestation falls short of the policy, one sentence; empty when in nothing."""
    if policy.mode is PrivacyMode.CLIENT_LEVEL_CENTRAL:
        return ""
    if values is None:
        return "the reply attests no privacy"
    if values.get(_MODE) != policy.mode.value:
        return f"the client attests another mode than {policy.mode}"
    if not _number(values, _NOISE) >= policy.noise_multiplier:
        return f"the client attests less noise than {policy.noise_multiplier:g}"
    if not 0 < _number(values, _CLIP) <= policy.clip:
        return f"the client attests a clip above {policy.clip:g}"
    return "" if policy.mode is PrivacyMode.CLIENT_LEVEL_LOCAL else _sampling(values, RecordLevel.of(policy))


def _sampling(values: Mapping[str, object], policy: RecordLevel) -> str:
    """Whole numbers throughout: a share in floating point is refused where it is exactly the policy's."""
    batch, records = _count(values, _BATCH), _count(values, _RECORDS)
    if records < policy.records:
        return f"the client attests fewer records than {policy.records}"
    if not 0 < _count(values, _STEPS) <= policy.steps:
        return f"the client attests no step, or more than {policy.steps}"
    if not 0 < batch * policy.records <= policy.batch_size * records:
        return f"the client attests a larger share of its records in each step than {policy.rate:g}"
    return ""


def _number(values: Mapping[str, object], name: str) -> float:
    """NaN, which compares with nothing, for what is no number."""
    value = values.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _count(values: Mapping[str, object], name: str) -> int:
    """0, which is never enough, for what is no whole number."""
    value = values.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
