"""How far a training is from what its spec says: the one decision that Ready, Reconciling and Stalled tell."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from shieldwall.contract.records import Phase
from shieldwall.control.api.status import ConditionStatus
from shieldwall.control.status.recount import privacy_of
from shieldwall.control.status.text import count, some
from shieldwall.control.status.view import SERVER_NOT_READY, STEWARD_UNREACHABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shieldwall.control.status.sight import Workload
    from shieldwall.control.status.view import View


_MADE: Final = frozenset({"IssuingCertificates", "RollingOut", "Suspending"})
"""Reasons of what the operator has to write before it is so."""
_STOP: Final = "Its pods stay; spec.suspend: true stops them."


class State(StrEnum):
    """Exactly one holds; they are kstatus' Current, InProgress and Failed."""

    CURRENT = "current"
    """What is wanted is there."""
    WORKING = "working"
    """It is being made, or awaited."""
    STALLED = "stalled"
    """A human is needed."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The state, and why."""

    state: State
    reason: str
    message: str


def progress_of(view: View) -> Progress:
    """The first thing that stands between the training and its spec, or that nothing does."""
    found = next(found for rule in _RULES if (found := rule(view)) is not None)
    match found.state:
        case State.CURRENT:
            return _proven(view, found)
        case State.WORKING:
            return _held_up(view, found)
        case State.STALLED:
            return found


def _held_up(view: View, working: Progress) -> Progress:
    """Where something is not made yet and a write is refused, that is why."""
    retrying = view.sight.retrying
    if retrying is None or working.reason not in _MADE:
        return working
    return Progress(State.WORKING, retrying.reason, retrying.message)


def _proven(view: View, current: Progress) -> Progress:
    """While a write is tried again, only what was Ready with this very spec stays so.

    Asked last: what is said of a training that is not Ready must not depend on whether it was, or it would flap.
    """
    retrying, previous = view.sight.retrying, view.sight.previous
    if retrying is None:
        return current
    was_ready = previous is not None and any(
        condition.type == "Ready"
        and condition.status is ConditionStatus.TRUE
        and condition.observed_generation == view.sight.training.generation
        for condition in previous.conditions
    )
    return current if was_ready else Progress(State.WORKING, retrying.reason, retrying.message)


def _trouble(view: View) -> Progress | None:
    trouble = view.sight.trouble
    return Progress(State.STALLED, trouble.reason, trouble.message) if trouble is not None else None


def _pause(view: View) -> Progress | None:
    if view.acted_on:
        return None
    message = "The spec was changed during the pause; remove the annotation shieldwall.dev/paused to have it acted on."
    return Progress(State.WORKING, "Paused", message)


def _orders(view: View) -> Progress | None:
    """What is to be issued before pods can mount it. A leaf that is merely to be renewed holds nothing up."""
    plan = view.sight.plan
    missing = [leaf.subject for leaf in view.leaves if leaf.certificate is None]
    if plan.authority is not None or view.sight.observed.issuer is None:
        return Progress(State.WORKING, "IssuingCertificates", "The training's issuing CA is being made.")
    if missing:
        return Progress(State.WORKING, "IssuingCertificates", f"Certificates are being issued: {some(missing)}.")
    if plan.node_keys or plan.shared_secrets:
        return Progress(State.WORKING, "IssuingCertificates", "Node keys and shared secrets are being made.")
    return None


def _rollout(view: View) -> Progress | None:
    behind = list(
        dict.fromkeys(part for part, workload in _workloads(view) if workload is None or not workload.current)
    )
    if not behind:
        return None
    if view.suspended:
        return Progress(State.WORKING, "Suspending", "Pods are being stopped.")
    return Progress(State.WORKING, "RollingOut", f"Pods are being brought to the spec: {', '.join(behind)}.")


def _workloads(view: View) -> Iterator[tuple[str, Workload | None]]:
    """Each StatefulSet and Deployment that is wanted, under the name of its part."""
    workloads, names = view.sight.workloads, view.names
    yield "server", workloads.get(names.server)
    yield "aggregator", workloads.get(names.aggregator)
    for client in view.sight.training.spec.clients:
        yield "clients", workloads.get(names.client(client.name))


def _suspended(view: View) -> Progress | None:
    if not view.suspended:
        return None
    if any(workload is not None and (workload.wanted or workload.ready) for _, workload in _workloads(view)):
        return Progress(State.WORKING, "Suspending", "Pods are being stopped.")
    return Progress(
        State.CURRENT, "Suspended", f"Suspended: no pod runs. {view.progress} Set spec.suspend to false to go on."
    )


def _failed(view: View) -> Progress | None:
    if view.ended is not Phase.FAILED or view.last is None:
        return None
    said = view.last.status.message or "The training failed."
    return Progress(
        State.STALLED, "RunsFailed", f"{said} Look for the cause in the log of pod {view.names.aggregator}-0."
    )


def _server(view: View) -> Progress | None:
    if view.fresh is not None:
        return None
    pod, server = f"{view.names.server}-0", view.sight.workloads.get(view.names.server)
    if server is None or server.ready < server.wanted:
        reason = SERVER_NOT_READY
        message = f"The server pod is not ready; if that lasts, look at the events of pod {pod}."
    else:
        reason, never = STEWARD_UNREACHABLE, "has not answered yet" if view.last is None else "does not answer"
        where = f"the log of pod {pod} and at network policies between it and the operator"
        message = f"The server's steward {never}; if that lasts, look at {where}."
    return Progress(State.WORKING, "ServerStarting" if view.starting else reason, message)


def _aggregator(view: View) -> Progress | None:
    aggregator = view.sight.workloads.get(view.names.aggregator)
    if view.ended is not None or (aggregator is not None and aggregator.ready >= aggregator.wanted):
        return None
    pod = f"{view.names.aggregator}-0"
    message = f"The aggregator pod is not ready; if that lasts, look at the events of pod {pod}. {view.progress}"
    return Progress(State.WORKING, "AggregatorNotReady", message)


def _phase(view: View) -> Progress:
    """What the steward says."""
    phase = view.last.status.phase if view.last is not None else Phase.STARTING
    match phase:
        case Phase.TRAINING:
            return Progress(State.CURRENT, phase.value, view.progress)
        case Phase.COMPLETED:
            return Progress(State.CURRENT, phase.value, f"{_completed(view)} {_STOP}")
        case Phase.WAITING:
            needed = count(view.sight.training.spec.min_replies, "client/clients")
            message = f"The next run needs {needed} online; status.clients names who is not. {view.progress}"
            return Progress(State.WORKING, phase.value, message)
        case _:
            return Progress(State.WORKING, Phase.STARTING.value, "The server has started and prepares the run.")


def _completed(view: View) -> str:
    """All rounds are released, or as many as privacy allows."""
    told, released = privacy_of(view.last), view.released or 0
    if told is not None and told.privacy.rounds_left < 1 and released < view.sight.training.spec.rounds.count:
        return f"The training has ended: no further round fits into privacy.epsilon. {view.progress}"
    if view.last is not None and view.last.status.lost:
        return f"The training is complete. {view.last.status.message}"
    return f"The training is complete; {count(released, 'round/rounds')} released."


_RULES: Final[tuple[Callable[[View], Progress | None], ...]] = (
    _trouble,
    _pause,
    _orders,
    _rollout,
    _suspended,
    _failed,
    _server,
    _aggregator,
    _phase,
)
"""The first that has something to say speaks; the last always does."""
