"""The sections of the operator's configuration."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Annotated, Final

from kubernetes.utils.quantity import parse_quantity
from pydantic import AfterValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from shieldwall import __version__
from shieldwall.control.api.app import PullPolicy
from shieldwall.control.api.fields import (
    IMAGE,
    ApiModel,
    LabelValue,
    ObjectName,
    QualifiedName,
    Quantity,
    Size,
)
from shieldwall.control.plan.settings import ContainerResources, DnsPeer, PlanSettings

if TYPE_CHECKING:
    from decimal import Decimal

_JITTER: Final = 1.2
"""By how much the official client's leader election may stretch a retry period."""

Labels = Annotated[dict[QualifiedName, LabelValue], Field(min_length=1, max_length=16)]
"""Of a selector. Never empty: an empty selector lets everybody in."""


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError as error:
        raise PydanticCustomError("cidr", "must be a network such as 169.254.20.10/32 or fd00::10/128") from error


Cidr = Annotated[str, Field(max_length=49), AfterValidator(_network)]


class RuntimeImage(ApiModel):
    """The image of the containers without user code: proxy, SuperLink, steward, SuperNode, init."""

    name: Annotated[str, Field(min_length=1, max_length=512, pattern=IMAGE)] = f"shieldwall/runtime:{__version__}"
    """Name it by digest to pin it. By default the release that is the operator's own."""
    pull_policy: PullPolicy = PullPolicy.IF_NOT_PRESENT
    """When nodes fetch it."""
    pull_secrets: Annotated[tuple[ObjectName, ...], Field(max_length=8)] = ()
    """Secrets, in each training's namespace, with which nodes fetch it."""


class Dns(ApiModel):
    """Where pods may ask for names."""

    namespace_labels: Labels = Field(default_factory=lambda: dict(DnsPeer().namespace_labels))
    """Labels of the namespace of the cluster's DNS."""
    pod_labels: Labels = Field(default_factory=lambda: dict(DnsPeer().pod_labels))
    """Labels of its pods."""
    cidrs: Annotated[tuple[Cidr, ...], Field(max_length=16)] = ()
    """Networks besides those pods, for DNS that runs on nodes: 169.254.20.10/32 is the usual node-local cache."""


class ContainerSize(ApiModel):
    """Requests and the memory limit of a container. There is no CPU limit: throttling breaks heartbeats."""

    cpu: Quantity
    """Processors set aside."""
    memory: Size
    """Memory set aside."""
    memory_limit: Size
    """Memory at most; not less than memory."""

    @field_validator("memory_limit")
    @classmethod
    def _not_less(cls, value: str, info: ValidationInfo) -> str:
        least = info.data.get("memory")
        if least is not None and _amount(value) < _amount(least):
            raise PydanticCustomError("memory_limit", f"must be at least memory, {least}")
        return value

    def settings(self) -> ContainerResources:
        """In the words of the plan."""
        return ContainerResources(self.cpu, self.memory, self.memory_limit)


def _amount(quantity: str) -> Decimal:
    amount: Decimal = parse_quantity(quantity)  # type: ignore[no-untyped-call]
    return amount


def _size(resources: ContainerResources) -> ContainerSize:
    return ContainerSize(cpu=resources.cpu, memory=resources.memory, memoryLimit=resources.memory_limit)


_PLAN: Final = PlanSettings()


class ContainerSizes(ApiModel):
    """Resources by container; modest ones for those left out."""

    proxy: ContainerSize = _size(_PLAN.proxy_resources)
    """Envoy, in each pod."""
    superlink: ContainerSize = _size(_PLAN.superlink_resources)
    """Flower's server."""
    steward: ContainerSize = _size(_PLAN.steward_resources)
    """The gate beside Flower's server."""
    supernode: ContainerSize = _size(_PLAN.supernode_resources)
    """Flower's client."""
    init: ContainerSize = _size(_PLAN.init_resources)
    """What prepares each pod."""
    user: ContainerSize = _size(_PLAN.user_resources)
    """Trainer and aggregator, when the training names none."""


class LeaderElection(ApiModel):
    """Which of several replicas acts: the holder of a Lease. Times in seconds."""

    enabled: bool = True
    """False only where there is never more than one replica, not even during an upgrade."""
    lease_name: ObjectName = "shieldwall"
    """Name of the Lease, in the operator's namespace: the chart's full name, as its rights are for that Lease only."""
    lease_duration_seconds: Annotated[int, Field(ge=2, le=600)] = 15
    """How long others wait after the last renewal they saw."""
    renew_deadline_seconds: Annotated[int, Field(ge=1, le=599, validate_default=True)] = 10
    """How long a leader that cannot renew goes on; less than leaseDurationSeconds."""
    retry_period_seconds: Annotated[int, Field(ge=1, le=300, validate_default=True)] = 2
    """Between two tries; renewDeadlineSeconds is more than 1.2 times as long."""

    @field_validator("renew_deadline_seconds")
    @classmethod
    def _before_others_take_over(cls, value: int, info: ValidationInfo) -> int:
        duration = info.data.get("lease_duration_seconds")
        if duration is not None and value >= duration:
            raise PydanticCustomError("deadline", f"must be less than leaseDurationSeconds, {duration}")
        return value

    @field_validator("retry_period_seconds")
    @classmethod
    def _within_the_deadline(cls, value: int, info: ValidationInfo) -> int:
        deadline = info.data.get("renew_deadline_seconds")
        if deadline is not None and value * _JITTER >= deadline:
            raise PydanticCustomError("retry", f"must be less than renewDeadlineSeconds / {_JITTER}, {deadline}")
        return value
