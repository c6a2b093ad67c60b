"""The PrivacyBudget as a document, and as the domain object that everything below the API works with."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from shieldwall.control.api.clients import MAX_CLIENT_NAME
from shieldwall.control.api.fields import LABEL, ApiModel, Sentence
from shieldwall.control.api.privacy import PrivacyMode
from shieldwall.control.api.rounds import MAX_CLIENTS
from shieldwall.control.api.sectionrule import RULE
from shieldwall.control.api.transitions import unchanged

KIND: Final = "PrivacyBudget"
PLURAL: Final = "privacybudgets"
SHORT_NAME: Final = "pb"


class Unit(StrEnum):
    """What is replaced between two neighbouring data sets."""

    RECORD = "Record"
    CLIENT = "Client"


UNITS: Final[Mapping[PrivacyMode, Unit]] = {
    PrivacyMode.RECORD_LEVEL: Unit.RECORD,
    PrivacyMode.CLIENT_LEVEL_LOCAL: Unit.CLIENT,
    PrivacyMode.CLIENT_LEVEL_CENTRAL: Unit.CLIENT,
}
"""What a training of each mode spends a budget of."""


class Period(ApiModel):
    """The span of time in which spec.epsilon may be spent once."""

    name: Annotated[str, Field(min_length=1, max_length=63, pattern=LABEL)]
    """Name of the period. Another name closes the one before, whose sums go to status.history, and begins at nothing
    but what trainings that still run have reserved or spent."""
    reason: Sentence | None = None
    """Why it begins. Required to change the name, and then another one than before."""


_NEW_REASON: Final = (
    "self.name == oldSelf.name || (has(self.reason) && (!has(oldSelf.reason) || self.reason != oldSelf.reason))"
)


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    twice = next((name for index, name in enumerate(names) if name in names[:index]), None)
    if twice is not None:
        raise PydanticCustomError(RULE, "{sentence}", {"sentence": f"Names must differ; {twice} stands there twice."})
    return names


class PrivacyBudgetSpec(ApiModel):
    """What may be spent in all by the trainings that refer to this budget."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {**unchanged("unit", "What was spent is of this unit. Make a budget of its own for the other one.")}
            ]
        }
    )

    epsilon: Annotated[float, Field(gt=0, le=1000)]
    """The sum of the epsilons of all its trainings that may be spent in a period (basic composition)."""
    delta: Annotated[float, Field(gt=0, lt=1)]
    """The sum of their deltas."""
    unit: Unit
    """Whose contribution is hidden: Record for trainings with privacy mode RecordLevel, Client for the others."""
    data: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=MAX_CLIENT_NAME, pattern=LABEL)], ...],
        Field(min_length=1, max_length=MAX_CLIENTS, json_schema_extra={"x-kubernetes-list-type": "set"}),
        AfterValidator(_distinct),
    ]
    """Whose data it is about: names of clients. A training with any other client is refused."""
    purpose: Sentence | None = None
    """What these data may be used for, in a sentence for people."""
    period: Annotated[
        Period,
        Field(
            json_schema_extra={
                "x-kubernetes-validations": [
                    {
                        "rule": _NEW_REASON,
                        "fieldPath": ".reason",
                        "message": "Another period forgives what was spent, so it needs a reason of its own. Give"
                        " period.reason.",
                        "reason": "FieldValueInvalid",
                    }
                ]
            }
        ),
    ]
    """The period that counts now."""


class BudgetMetadata(ApiModel):
    """What is read of an object's metadata; the rest is Kubernetes' own."""

    model_config = ConfigDict(extra="ignore")

    name: Annotated[str, Field(min_length=1, max_length=63, pattern=LABEL)]
    """Name of the budget."""
    namespace: Annotated[str, Field(min_length=1, max_length=63, pattern=LABEL)] = "default"
    """Namespace of the budget and of its trainings."""
    uid: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """Set by the API server."""
    generation: Annotated[int, Field(ge=0)] | None = None
    """Set by the API server: one more at each change of the spec."""


class BudgetManifest(ApiModel):
    """A PrivacyBudget as it is written. Its status is the operator's and not read."""

    api_version: Literal["shieldwall.dev/v1alpha1"]
    """shieldwall.dev/v1alpha1."""
    kind: Literal["PrivacyBudget"]
    """PrivacyBudget."""
    metadata: BudgetMetadata
    """Name and namespace."""
    spec: PrivacyBudgetSpec
    """What may be spent."""


@dataclass(frozen=True, slots=True)
class PrivacyBudget:
    """A valid budget. Whoever holds one need not check it again."""

    name: str
    namespace: str
    uid: str | None
    """None for a file that no API server has seen."""
    generation: int | None
    spec: PrivacyBudgetSpec
