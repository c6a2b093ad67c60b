"""The conditions, by the rules of kstatus and the Kubernetes API conventions.

Ready says what is wanted is there; Reconciling and Stalled are true when something is unusual, and stand there as
False otherwise. A condition's time moves when its status flips, and at nothing else.

Suspended trainings are Ready once their pods have gone, as a Job with ``suspend: true`` is Current to kstatus: nothing
of the spec is outstanding, and a pipeline that waits must not fail because somebody suspended. Suspended says the rest.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from shieldwall.control.api.requests import PAUSED
from shieldwall.control.api.status import Condition, ConditionStatus
from shieldwall.control.status.certificates import Verdict, certificates_verdict
from shieldwall.control.status.privacy import privacy_verdict, signal_verdict
from shieldwall.control.status.progress import State
from shieldwall.control.status.text import MESSAGE, clip, rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from shieldwall.control.api.budget_status import PrivacyBudgetStatus
    from shieldwall.control.api.status import FederatedTrainingStatus, PrivacyStatus
    from shieldwall.control.status.progress import Progress
    from shieldwall.control.status.view import View


_KEPT: Final = (
    "Nothing of the spec is acted on until it is corrected. What runs is kept by the one that was accepted last:"
    " certificates are renewed and its objects repaired."
)


def conditions_of(view: View, progress: Progress, privacy: PrivacyStatus) -> tuple[Condition, ...]:
    """All of them, always in the same order."""
    verdicts = {
        "Ready": Verdict(_if(progress.state is State.CURRENT), progress.reason, progress.message),
        "Reconciling": _reconciling(view, progress),
        "Stalled": _stalled(progress),
        "Suspended": _with_unclear_pause(view, _suspended(view)),
        "Certificates": certificates_verdict(view),
        "Privacy": privacy_verdict(view, privacy),
        "PrivacySignal": signal_verdict(view, privacy),
    }
    return timed(verdicts, view.sight.previous, view.observed_generation, view.sight.now)


def timed(
    verdicts: Mapping[str, Verdict],
    previous: FederatedTrainingStatus | PrivacyBudgetStatus | None,
    generation: int | None,
    now: datetime,
) -> tuple[Condition, ...]:
    """Verdicts with their times: those of ``previous`` where the status is the same, else ``now``."""
    known = {condition.type: condition for condition in previous.conditions} if previous is not None else {}

    def since(name: str, status: ConditionStatus) -> str:
        before = known.get(name)
        return before.last_transition_time if before is not None and before.status is status else rfc3339(now)

    return tuple(
        Condition(
            type=name,
            status=verdict.status,
            reason=verdict.reason,
            message=clip(verdict.message, MESSAGE),
            lastTransitionTime=since(name, verdict.status),
            observedGeneration=generation,
        )
        for name, verdict in verdicts.items()
    )


def _if(holds: bool) -> ConditionStatus:  # noqa: FBT001  # a converter
    return ConditionStatus.TRUE if holds else ConditionStatus.FALSE


def _reconciling(view: View, progress: Progress) -> Verdict:
    retrying = view.sight.retrying
    if view.paused:
        message = "Nothing is changed while the annotation shieldwall.dev/paused is true; remove it to go on."
        return Verdict(ConditionStatus.FALSE, "Paused", message)
    if progress.state is not State.STALLED and retrying is not None:
        return Verdict(ConditionStatus.TRUE, retrying.reason, retrying.message)
    if progress.state is State.WORKING:
        return Verdict(ConditionStatus.TRUE, progress.reason, progress.message)
    if view.refused:
        return Verdict(ConditionStatus.FALSE, progress.reason, _KEPT)
    if progress.state is State.STALLED:
        return Verdict(ConditionStatus.FALSE, progress.reason, "Nothing goes on until what Stalled says is put right.")
    return Verdict(ConditionStatus.FALSE, progress.reason, "Nothing is left to be changed.")


def _stalled(progress: Progress) -> Verdict:
    if progress.state is State.STALLED:
        return Verdict(ConditionStatus.TRUE, progress.reason, progress.message)
    return Verdict(ConditionStatus.FALSE, "Progressing", "Nobody needs to step in.")


def _suspended(view: View) -> Verdict:
    if view.paused:
        message = (
            "The operator writes nothing but status while the annotation shieldwall.dev/paused is true, and renews no"
            " certificate. Remove it to go on."
        )
        return Verdict(ConditionStatus.TRUE, "Paused", message)
    if view.suspended:
        return Verdict(
            ConditionStatus.TRUE,
            "Suspended",
            "spec.suspend is true, so that no pod is wanted. Set it to false to go on.",
        )
    return Verdict(ConditionStatus.FALSE, "Active", "Neither suspended nor paused.")


def _with_unclear_pause(view: View, verdict: Verdict) -> Verdict:
    """The verdict, and an annotation that was to pause or not to pause the training and does neither."""
    unclear = view.sight.training.unclear_pause
    if not unclear:
        return verdict
    told = f'The annotation {PAUSED} is {unclear} and not understood; "true" pauses.'
    return replace(verdict, message=f"{verdict.message} {told}")
