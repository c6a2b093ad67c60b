"""When to start a run, and whether the training goes on, is complete or has failed: a pure step.

Flower fails a run when its aggregator dies (no heartbeat for 47 s). Model, round and ledger are on the aggregator's
volume by then, so a new run continues from the last released round. What must not happen is an endless row of runs
that release nothing; that is a failure for people to look at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from shieldwall.contract.policy import Mode
from shieldwall.contract.privacy import BUDGET_SPENT
from shieldwall.contract.records import Phase
from shieldwall.runtime.steward.flower import RunStage
from shieldwall.runtime.tally import UNTRIED, Tally

if TYPE_CHECKING:
    from shieldwall.contract.policy import RoundsPolicy
    from shieldwall.runtime.steward.flower import Run

_COMPLETED: Final = "completed"
FRUITLESS_RUNS: Final = 5
"""So many runs in a row without a released round end the training."""
_BACKOFF: Final = (0.0, 1.0, 5.0, 15.0, 30.0)
"""Seconds before the next run, by how many in a row released nothing."""


class RunState(BaseModel):
    """What the steward remembers of its runs, on its volume."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    runs: tuple[str, ...] = ()
    """Ids of all runs started, oldest first."""
    current: str | None = None
    """The run that trains now."""
    baseline: int = 0
    """The last released round when the current run started."""
    fruitless: int = 0
    """Runs in a row that ended without releasing a round."""
    not_before: float = 0.0
    """Unix seconds: no run starts earlier."""
    quorum_since: float | None = None
    """Unix seconds: since when enough clients are online."""
    complete: bool = False
    """A run ended by itself, with nothing left to do."""
    last_end: str = ""
    """How the last run ended, in Flower's words."""
    spent: str = ""
    """In the aggregator's words: that another round would pass the policy's ε. No run is started any more."""
    policy_sha256: str | None = None
    """Of the policy under which runs were counted as fruitless, and the budget was spent."""

    def under(self, policy_sha256: str | None, released: int = 0) -> RunState:
        """The state under a policy: a new one, with a new image or other rounds, is tried as if none had failed.

        ``released``: rounds that the last run released. One that ended without any has failed.
        """
        if policy_sha256 == self.policy_sha256:
            return self
        anew = {"policy_sha256": policy_sha256, "fruitless": 0, "not_before": 0.0, "spent": ""}
        anew["complete"] = self.complete and released > 0
        return self.model_copy(update=anew)

    def started(self, run_id: str, released: int) -> RunState:
        """The state when a run has just been started, or found running."""
        runs = self.runs if run_id in self.runs else (*self.runs, run_id)
        return self.model_copy(update={"runs": runs, "current": run_id, "baseline": released, "quorum_since": None})

    def ended(self, how: str, *, fruitful: bool, now: float) -> RunState:
        """The state when the current run is over; ``how`` in Flower's words."""
        fruitless = 0 if fruitful else self.fruitless + 1
        not_before = now + _BACKOFF[min(fruitless, len(_BACKOFF) - 1)]
        change = {"current": None, "fruitless": fruitless, "not_before": not_before, "last_end": how}
        return self.model_copy(update=change)

    def refused(self, how: str, now: float) -> RunState:
        """The state when the SuperLink would not start a run."""
        return self.ended(f"was refused: {how}", fruitful=False, now=now)


@dataclass(frozen=True, slots=True)
class Observation:
    """What the steward sees when it looks."""

    reachable: bool
    """Whether the SuperLink answered."""
    online: int = 0
    clients: int = 0
    """How many clients the policy names."""
    runs: tuple[Run, ...] = ()
    """The SuperLink's runs, newest first."""
    released: int = 0
    """The last released round."""
    tally: Tally = UNTRIED
    """How rounds fared: of all runs, or in wrapped mode of the last one."""


@dataclass(frozen=True, slots=True)
class Step:
    """What to remember, what to tell, and whether to start a run now."""

    state: RunState
    phase: Phase
    message: str
    start: bool = False


def next_step(state: RunState, seen: Observation, rounds: RoundsPolicy, now: float, mode: Mode = Mode.MANAGED) -> Step:
    """Decide what to do; the same arguments always give the same step. ``now``: Unix seconds.

    A managed training is complete with its last round. A wrapped one is when the user's ServerApp ends well: how many
    rounds it runs, and what it does after them, is its own affair; when it fails it begins anew. Either has failed if
    it went to its end and released nothing, and tells the rounds that it lost on the way. Where the privacy
    budget is spent no other run can release anything: the training is complete with what it released, and has failed
    if that is nothing.
    """
    if not seen.reachable:
        return Step(state, Phase.TRAINING if state.current else Phase.STARTING, "Flower's SuperLink does not answer.")
    if state.current is not None:
        return _follow(state, seen, rounds, now, mode)
    return _before(state, seen, rounds, now, mode)


def _follow(state: RunState, seen: Observation, rounds: RoundsPolicy, now: float, mode: Mode) -> Step:
    run = next((run for run in seen.runs if run.run_id == state.current), None)
    if run is not None and run.stage is not RunStage.FINISHED:
        return Step(state, Phase.TRAINING, _progress(run, seen, rounds))
    fruitful = mode is Mode.MANAGED and seen.released > state.baseline
    ended = state.ended(_how(run), fruitful=fruitful, now=now)
    if run is not None and run.result == _COMPLETED and (mode is Mode.WRAPPED or seen.tally.last >= rounds.count):
        ended = ended.model_copy(update={"complete": True})
    if run is not None and BUDGET_SPENT in run.details:
        ended = ended.model_copy(update={"spent": run.details[run.details.index(BUDGET_SPENT) :].rstrip(".")})
    return _before(ended, seen, rounds, now, mode)


def _how(run: Run | None) -> str:
    if run is None:
        return "was lost with Flower's database"
    return f"{run.result}: {run.details}" if run.details else run.result


def _before(state: RunState, seen: Observation, rounds: RoundsPolicy, now: float, mode: Mode) -> Step:
    if mode is Mode.MANAGED and seen.released >= rounds.count:
        whole = f"All {rounds.count} rounds are released."
        return Step(state, Phase.COMPLETED, seen.tally.end if seen.tally.lost else whole)
    if state.complete and (mode is Mode.WRAPPED or seen.tally.last >= rounds.count):
        return _ended(state, seen.tally)
    if state.spent:
        end = f"the training ends after round {seen.released} of {rounds.count}"
        phase = Phase.COMPLETED if seen.released else Phase.FAILED
        return Step(state, phase, f"{state.spent[0].upper()}{state.spent[1:]}; {end}.")
    if (running := next((run for run in seen.runs if run.stage is not RunStage.FINISHED), None)) is not None:
        return Step(state.started(running.run_id, seen.released), Phase.TRAINING, _progress(running, seen, rounds))
    if state.fruitless >= FRUITLESS_RUNS:
        came_to = "released no round" if mode is Mode.MANAGED else "did not come to their end"
        why = f"{state.fruitless} runs in a row {came_to}; the last one {state.last_end}"
        return Step(state, Phase.FAILED, f"{why.rstrip('.')}.")
    return _gather(state, seen, rounds, now)


def _ended(state: RunState, tally: Tally) -> Step:
    """The app went to its end, with what it released."""
    if tally.released:
        return Step(state, Phase.COMPLETED, tally.end)
    return Step(state, Phase.FAILED, tally.empty)


def _gather(state: RunState, seen: Observation, rounds: RoundsPolicy, now: float) -> Step:
    online = f"{seen.online} of {seen.clients} clients are online"
    if seen.online < rounds.min_replies:
        waiting = state.model_copy(update={"quorum_since": None})
        return Step(waiting, Phase.WAITING, f"{online}; at least {rounds.min_replies} are needed.")
    since = state.quorum_since if state.quorum_since is not None else now
    patient = state.model_copy(update={"quorum_since": since})
    if seen.online < seen.clients and now < since + rounds.grace_seconds:
        return Step(patient, Phase.WAITING, f"{online}; the others have {rounds.grace_seconds} s to join.")
    if now < state.not_before:
        return Step(patient, Phase.WAITING, f"The last run {state.last_end}; the next one starts soon.")
    return Step(patient, Phase.WAITING, f"{online}; the run starts.", start=True)


def _progress(run: Run, seen: Observation, rounds: RoundsPolicy) -> str:
    if run.stage is RunStage.PENDING:
        return "The run waits for the aggregator."
    return f"{seen.released} of {rounds.count} rounds are released; {seen.online} of {seen.clients} clients are online."
