"""What pods ask of the cluster: processors, memory, nodes, volumes."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from shieldwall.control.api.fields import (
    QUALIFIED_NAME,
    ApiModel,
    LabelValue,
    ObjectName,
    QualifiedName,
    Quantity,
    Size,
)
from shieldwall.control.api.quantities import amount
from shieldwall.control.api.sectionrule import SectionRule, require, validations

# The schema cannot say what names of a map's entries look like; pydantic does it by their type.
_NAMES = {
    "x-kubernetes-validations": [
        {
            "rule": f"self.all(name, size(name) <= 253 && name.matches(r'{QUALIFIED_NAME}'))",
            "message": "Each name must be a qualified name such as nvidia.com/gpu.",
        }
    ]
}

ResourceList = Annotated[dict[QualifiedName, Quantity], Field(max_length=16, json_schema_extra=_NAMES)]
NodeSelector = Annotated[dict[QualifiedName, LabelValue], Field(max_length=16, json_schema_extra=_NAMES)]

_STANDARD = ("cpu", "ephemeral-storage", "memory")
_STANDARD_CEL = "name in ['cpu', 'ephemeral-storage', 'memory']"
_BOTH = "has(self.requests) && has(self.limits)"


def _is_known(name: str) -> bool:
    return name in _STANDARD or ("/" in name and not name.startswith("requests."))


def _in_pieces(resources: "Resources") -> bool:
    """Only the standard resources can be shared out in fractions or promised twice."""
    given = [*resources.requests.items(), *resources.limits.items()]
    return all(name in _STANDARD or value.isdecimal() for name, value in given) and all(
        name in _STANDARD or (name in resources.limits and amount(resources.limits[name]) == amount(value))
        for name, value in resources.requests.items()
    )


_KNOWN_CEL = f"{_STANDARD_CEL} || (name.contains('/') && !name.startsWith('requests.'))"
_WHOLE_CEL = "self.{side}.all(name, " + _STANDARD_CEL + " || string(self.{side}[name]).matches(r'^[0-9]+$'))"
_COMPARED = "quantity(string(self.requests[name])).compareTo(quantity(string(self.limits[name])))"

_RESOURCE_RULES = (
    SectionRule(
        f"(!has(self.requests) || self.requests.all(name, {_KNOWN_CEL}))"
        f" && (!has(self.limits) || self.limits.all(name, {_KNOWN_CEL}))",
        lambda resources: all(map(_is_known, [*resources.requests, *resources.limits])),
        "A resource is cpu, memory, ephemeral-storage, or one of a device with its domain, such as nvidia.com/gpu.",
    ),
    SectionRule(
        f"!({_BOTH}) || self.requests.all(name, !(name in self.limits) || {_COMPARED} <= 0)",
        lambda resources: all(
            name not in resources.limits or amount(value) <= amount(resources.limits[name])
            for name, value in resources.requests.items()
        ),
        "A request must not be larger than its limit.",
    ),
    SectionRule(
        f"(!has(self.requests) || {_WHOLE_CEL.format(side='requests')})"
        f" && (!has(self.limits) || {_WHOLE_CEL.format(side='limits')})"
        f" && (!has(self.requests) || self.requests.all(name, {_STANDARD_CEL}"
        f" || (has(self.limits) && name in self.limits && {_COMPARED} == 0)))",
        _in_pieces,
        "Devices such as nvidia.com/gpu are whole numbers, and a request for them needs the same limit.",
    ),
)


class Resources(ApiModel):
    """Requests and limits of the container that runs the user's code."""

    model_config = ConfigDict(json_schema_extra=validations(_RESOURCE_RULES))

    requests: ResourceList = Field(default_factory=dict)
    """What the scheduler sets aside, such as cpu, memory or nvidia.com/gpu."""
    limits: ResourceList = Field(default_factory=dict)
    """What the container may use at most."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        require(_RESOURCE_RULES, self)
        return self


class TolerationOperator(StrEnum):
    """How a toleration's value is compared."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class TaintEffect(StrEnum):
    """What a taint does."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


_TOLERATION_RULES = (
    SectionRule(
        "!has(self.operator) || self.operator == 'Equal' || !has(self.value) || self.value == ''",
        lambda toleration: toleration.operator is TolerationOperator.EQUAL or not toleration.value,
        "With the operator Exists the value does not count; leave value out.",
    ),
    SectionRule(
        "has(self.key) || (has(self.operator) && self.operator == 'Exists')",
        lambda toleration: toleration.key is not None or toleration.operator is TolerationOperator.EXISTS,
        "All keys are tolerated with the operator Exists only; give key, or operator: Exists.",
    ),
    SectionRule(
        "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
        lambda toleration: toleration.toleration_seconds is None or toleration.effect is TaintEffect.NO_EXECUTE,
        "tolerationSeconds is for the effect NoExecute only.",
    ),
)


class Toleration(ApiModel):
    """A taint that the pod puts up with."""

    model_config = ConfigDict(json_schema_extra=validations(_TOLERATION_RULES))

    key: QualifiedName | None = None
    """Key of the taint; all keys when absent."""
    operator: TolerationOperator = TolerationOperator.EQUAL
    """Whether the value counts."""
    value: LabelValue | None = None
    """Value of the taint."""
    effect: TaintEffect | None = None
    """Effect of the taint; all effects when absent."""
    toleration_seconds: Annotated[int, Field(ge=0, le=31_536_000)] | None = None
    """With NoExecute: seconds until the pod is evicted after all."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        require(_TOLERATION_RULES, self)
        return self


class PodTemplate(ApiModel):
    """Where pods with the user's code run, and with what."""

    resources: Resources | None = None
    """Requests and limits of the container that runs the user's code; modest ones when absent."""
    node_selector: NodeSelector = Field(default_factory=dict)
    """Labels of the nodes the pods may run on."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=16)] = ()
    """Taints the pods put up with."""


class DeletionPolicy(StrEnum):
    """What becomes of a volume when its training is deleted."""

    RETAIN = "Retain"
    DELETE = "Delete"


class Storage(ApiModel):
    """The training's own volumes. Sizes and class cannot be changed later."""

    server: Size = "1Gi"
    """Volume for the state of the server: Flower's database and the steward's."""
    model: Size = "5Gi"
    """Volume for checkpoints and round records: five times the model, and twelve times more where contribution is
    watched. With less room, fewer of the model's earlier steps are compared with, and the training goes on."""
    model_deletion_policy: DeletionPolicy = DeletionPolicy.RETAIN
    """Whether that volume is kept when the training is deleted: the model is what the training was for."""
    storage_class_name: ObjectName | None = None
    """StorageClass of both volumes; the cluster's default when absent."""
