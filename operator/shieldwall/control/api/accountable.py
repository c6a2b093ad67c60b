"""Rules without which the accountants are not asked: what they cannot count, or not in any time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.accounting.floor import DELTA_OF_STEP, LEAST_DELTA, MOST_STEPS
from shieldwall.control.api.crossrule import CrossRule
from shieldwall.control.api.privacy import MODE, PrivacyMode

if TYPE_CHECKING:
    from shieldwall.control.api.spec import FederatedTrainingSpec as Spec


def _countable(spec: Spec) -> bool:
    return spec.privacy is None or (spec.privacy.steps or 0) * spec.rounds.count <= MOST_STEPS


def _known(spec: Spec) -> bool:
    privacy = spec.privacy
    if privacy is None or privacy.delta is None or spec.privacy_mode is not PrivacyMode.RECORD_LEVEL:
        return True
    return privacy.delta >= max(LEAST_DELTA, DELTA_OF_STEP * (privacy.steps or 0) * spec.rounds.count)


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
        f" || (self.privacy.delta >= {LEAST_DELTA:.10f} && (!has(self.privacy.steps)"
        f" || self.privacy.delta >= {DELTA_OF_STEP:.15f} * double(self.privacy.steps * self.rounds.count)))",
        _known,
        f"With batches no epsilon is told below delta = {LEAST_DELTA:g}, nor below {DELTA_OF_STEP:g} for each step of"
        " all rounds, whatever the noise: rounding would be a part of it. Use a larger delta, or fewer steps.",
        frozenset({"privacy", "rounds"}),
    ),
)
