"""What is seen of a training that draws on a budget: what it asked for, what it spent, and whether it has ended.

Read leniently: a spec that is refused today, or a status of another release, must not make a training's spending
unseen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from shieldwall.control.budgets.loss import Loss

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shieldwall.control.cluster.shelf import Key


class _Lenient(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True)


class _Asked(_Lenient):
    budget_ref: str | None = None
    epsilon: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    delta: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0


class _Rounds(_Lenient):
    count: int | None = None


class _Spec(_Lenient):
    privacy: _Asked | None = None
    rounds: _Rounds = _Rounds()


class _Spent(_Lenient):
    epsilon_spent: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    epsilon_lost: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    delta_lost: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0


class _Status(_Lenient):
    observed_generation: int | None = None
    phase: str | None = None
    round: Annotated[int, Field(ge=0)] | None = None
    privacy: _Spent = _Spent()


class _Metadata(_Lenient):
    name: str
    namespace: str
    uid: str
    generation: int = 0


class _Body(_Lenient):
    metadata: _Metadata
    spec: _Spec = _Spec()
    status: _Status = _Status()


@dataclass(frozen=True, slots=True)
class TrainingSight:
    """One training, as it was last seen."""

    budget: Key
    name: str
    uid: str
    generation: int
    target: Loss
    rounds: int | None
    """How many are to be released; None when the spec does not say it in a way that can be read."""
    observed_generation: int
    phase: str
    round: int
    """The last released one; 0 before the first."""
    epsilon: float | None
    """Spent so far, by its own ledger and those that were lost; None when nothing is known."""
    lost: Loss
    """What those had told of that were lost; its ε is a part of ``epsilon``."""
    running: bool = False
    """Whether a server of it is wanted, so that pods of it may run."""

    @property
    def begun(self) -> bool:
        """Whether it may have spent anything."""
        return self.running or self.round > 0 or bool(self.epsilon)


Sights = Callable[[], dict[str, TrainingSight]]
"""The trainings that draw on one budget, by uid; asked for only when they are needed."""


def sight_of(body: Mapping[str, Any], *, running: bool = False) -> TrainingSight | None:
    """What is seen of a training; None when it draws on no budget."""
    read = _read(body)
    if read is None or read.spec.privacy is None or read.spec.privacy.budget_ref is None:
        return None
    metadata, asked, status = read.metadata, read.spec.privacy, read.status
    return TrainingSight(
        budget=(metadata.namespace, read.spec.privacy.budget_ref),
        name=metadata.name,
        uid=metadata.uid,
        generation=metadata.generation,
        target=Loss.of(asked.epsilon, asked.delta),
        rounds=read.spec.rounds.count,
        observed_generation=status.observed_generation if status.observed_generation is not None else -1,
        phase=status.phase or "",
        round=status.round or 0,
        epsilon=status.privacy.epsilon_spent,
        lost=Loss.of(status.privacy.epsilon_lost, status.privacy.delta_lost),
        running=running,
    )


def drawn_on(body: Mapping[str, Any]) -> Key | None:
    """The budget that a training draws on; of each training at each event, so that nothing else is read."""
    privacy = (body.get("spec") or {}).get("privacy")
    name = privacy.get("budgetRef") if isinstance(privacy, dict) else None
    return (body["metadata"]["namespace"], name) if isinstance(name, str) else None


def _read(body: Mapping[str, Any]) -> _Body | None:
    """Without the status, where only that cannot be read; None when the spec cannot."""
    for part in (body, {**body, "status": {}}):
        try:
            return _Body.model_validate(part)
        except ValidationError:
            continue
    return None
