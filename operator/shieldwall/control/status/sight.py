"""Everything that a training's status is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from shieldwall.control.api.status import FederatedTrainingStatus
    from shieldwall.control.api.training import Training
    from shieldwall.control.plan.orders import Observed, Plan
    from shieldwall.control.plan.outline import Outline
    from shieldwall.control.status.recount import Recount
    from shieldwall.control.steward.sight import StewardSight


@dataclass(frozen=True, slots=True)
class Workload:
    """One StatefulSet or Deployment, as its controller reports it."""

    wanted: int
    """Replicas."""
    ready: int
    current: bool
    """Whether its controller has acted on the newest spec and no old pod is left."""


INVALID_SPEC: Final = "InvalidSpec"
"""Reason of a trouble: the spec that stands cannot be acted on."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One expression of a label selector."""

    key: str
    operator: str
    """In, NotIn, Exists or DoesNotExist."""
    values: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Policy:
    """A NetworkPolicy of the training's namespace that allows something: it adds to what the others allow."""

    name: str
    owner: str | None
    """uid of its controller."""
    selects: tuple[Requirement, ...]
    """The pods that it is for: all of these hold."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why nothing can go on until somebody acts."""

    reason: str
    """One stable CamelCase word: InvalidSpec, ForeignObject, …"""
    message: str
    """A sentence without times."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What one pass saw of one training."""

    training: Training
    now: datetime
    plan: Plan
    outline: Outline
    observed: Observed
    workloads: Mapping[str, Workload] = field(default_factory=dict)
    """By name of the StatefulSet or Deployment."""
    policies: tuple[Policy, ...] = ()
    """NetworkPolicies of the namespace, whoever made them, as of the last list."""
    steward: StewardSight | None = None
    """None while it has never answered."""
    recount: Recount | None = None
    """ε of the steward's newest record, counted again; None while it has told none."""
    trouble: Trouble | None = None
    """Something that needs a human."""
    retrying: Trouble | None = None
    """Something that failed and is tried again."""
    previous: FederatedTrainingStatus | None = None
    """The status as it stands, for times of transition."""
