"""Rules without which the accountants are not asked: what they cannot count, or not in any time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.accounting.floor import LEAST_DELTA, MOST_STEPS
from shieldwall.control.api.crossrule import CrossRule
from shieldwall.control.api.privacy import MODE, PrivacyMode

if TYPE_CHECKING:
    from shieldwall.control.api.spec import FederatedTrainingSpec as Spec


def _countable(spec: Spec) -> bool:
    return spec.privacy is None or (spec.privacy.steps or 0) * spec.rounds.count <= MOST_STEPS


def _known(spec: Spec) -> bool:
    privacy = spec.privacy
    by_record = spec.privacy_mode is PrivacyMode.RECORD_LEVEL
    return privacy is None or privacy.delta is None or not by_record or privacy.delta >= LEAST_DELTA


ACCOUNTABLE: Final = (
    CrossRule(
        "privacy.steps",
        f"!has(self.privacy) || !has(self.privacy.steps) || self.privacy.steps * self.rounds.count <= {MOST_STEPS}",
        _countable,
        f"The losses of more than {MOST_STEPS} steps take too long to count; {{steps}} in each of {{count}} rounds are"
        " more. Use steps <= {most_steps}, or fewer rounds.",
        frozenset({"privacy", "rounds"}),
    ),
    CrossRule(
        "privacy.delta",
        f"{MODE} != 'RecordLevel' || !has(self.privacy) || !has(self.privacy.delta)"
        f" || self.privacy.delta >= {LEAST_DELTA:.10f}",
        _known,
        f"With batches no epsilon is told below delta = {LEAST_DELTA:g}, whatever the noise: rounding would be a"
        " part of it. Use a larger delta.",
        frozenset({"privacy"}),
    ),
)
