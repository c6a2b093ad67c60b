"""The base of the API's models, and the types of field that several sections share.

On the wire names are camelCase; only those names are read, as an API server would read them.
Values are never converted: ``"5"`` is a text, ``true`` is no number (strict JSON, see ``parse``).
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from shieldwall.contract.policy import ConfigValue

LABEL: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
TRAINING_NAME: Final = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
SUBDOMAIN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
REGION: Final = r"^[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?$"
QUALIFIED_NAME: Final = (
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
    r"[A-Za-z0-9]([-A-Za-z0-9._]{0,61}[A-Za-z0-9])?$"
)
LABEL_VALUE: Final = r"^([A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?)?$"
REFERENCE: Final = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$"
IMAGE: Final = r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$"
DURATION: Final = r"^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,8}s)?$"
QUANTITY: Final = r"^[0-9]+(\.[0-9]+)?([numkMGTPE]|[KMGTPE]i)?$"
NODE_TEXT: Final = r"^[^\"'\\\x00-\x1f\x7f]*$"
SIZE: Final = r"^[1-9][0-9]*([kMGTPE]|[KMGTPE]i)?$"

PATTERN_SENTENCES: Final = {
    LABEL: "must be lower-case letters, digits and dashes, with a letter or digit at both ends",
    TRAINING_NAME: "must be lower-case letters, digits and dashes, with a letter first and a letter or digit last",
    SUBDOMAIN: "must be the name of a Kubernetes object: lower-case letters, digits, dashes and dots",
    REGION: "must be letters, digits, dashes, dots and underscores, with a letter or digit at both ends",
    QUALIFIED_NAME: "must be a qualified name such as nvidia.com/gpu",
    LABEL_VALUE: "must be a label's value: letters, digits, dashes, dots and underscores",
    REFERENCE: "must be an import reference such as digits.client_app:app",
    IMAGE: "must be a container image such as registry.example/digits:1.4",
    DURATION: "must be a duration such as 24h or 1h30m",
    QUANTITY: "must be a Kubernetes quantity such as 500m, 2 or 1Gi",
    NODE_TEXT: "must have no quotes, backslashes or control characters",
    SIZE: "must be a Kubernetes quantity of bytes such as 10Gi, and not zero",
}
"""What to tell people whose text does not match a pattern."""

MAX_CONFIG_TEXT: Final = 4096
_QUANTITY_LENGTH: Final = 32
_PAST_INTEGERS: Final = 2.0**63
_NODE_TEXT_LENGTH: Final = 256


class ApiModel(BaseModel):
    """A section of the API: camelCase on the wire, unknown fields refused, frozen, no conversions."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        strict=True,
        serialize_by_alias=True,
        use_attribute_docstrings=True,
    )


def _scalar(value: object) -> ConfigValue:
    """A value that Flower allows in a configuration; the document holds plain JSON values only."""
    if not isinstance(value, bool | int | float | str):
        raise PydanticCustomError("scalar", "must be a number, a text, true or false")
    if isinstance(value, str) and len(value) > MAX_CONFIG_TEXT:
        raise PydanticCustomError("scalar_length", f"must have at most {MAX_CONFIG_TEXT} characters")
    return value


def _node_scalar(value: object) -> ConfigValue:
    """A value that survives Flower's ``key=value`` command line, in which texts are quoted and never escaped."""
    scalar = _scalar(value)
    if isinstance(scalar, str) and (len(scalar) > _NODE_TEXT_LENGTH or re.fullmatch(NODE_TEXT, scalar) is None):
        raise PydanticCustomError(
            "node_text", "must have at most 256 characters, and no quotes, backslashes or control characters"
        )
    return scalar


def _quantity(pattern: str) -> PlainValidator:
    def quantity(value: object) -> str:
        if isinstance(value, float) and value.is_integer() and abs(value) < _PAST_INTEGERS:
            value = int(value)  # as the API server sees it
        whole = isinstance(value, int) and not isinstance(value, bool)
        text = str(value) if whole else value
        if not isinstance(text, str) or len(text) > _QUANTITY_LENGTH or re.fullmatch(pattern, text) is None:
            raise PydanticCustomError("quantity", PATTERN_SENTENCES[pattern])
        return text

    return PlainValidator(quantity)


def _quantity_schema(pattern: str) -> WithJsonSchema:
    return WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "minimum": 1 if pattern == SIZE else 0,
            "maxLength": _QUANTITY_LENGTH,
            "pattern": pattern,
        }
    )


# Mixed scalars have no type in a structural schema. OpenAPI's bounds hold for values of their own type only: those of
# texts refuse long ones, and those of maps and lists, which nothing can satisfy, refuse every map and list.
# CEL sees nothing of a map of such values, not even its keys: so these are any text, and whoever writes them quotes.
_NO_MAP_NO_LIST: Final = {"minProperties": 1, "maxProperties": 0, "minItems": 1, "maxItems": 0}
_ANY_SCALAR: Final = {"x-kubernetes-preserve-unknown-fields": True, **_NO_MAP_NO_LIST}

Scalar = Annotated[ConfigValue, PlainValidator(_scalar), WithJsonSchema({**_ANY_SCALAR, "maxLength": MAX_CONFIG_TEXT})]
NodeScalar = Annotated[
    ConfigValue,
    PlainValidator(_node_scalar),
    WithJsonSchema({**_ANY_SCALAR, "maxLength": _NODE_TEXT_LENGTH, "pattern": NODE_TEXT}),
]
Quantity = Annotated[str, _quantity(QUANTITY), _quantity_schema(QUANTITY)]
Size = Annotated[str, _quantity(SIZE), _quantity_schema(SIZE)]

Reference = Annotated[str, Field(min_length=3, max_length=253, pattern=REFERENCE)]
ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=SUBDOMAIN)]
Region = Annotated[str, Field(min_length=1, max_length=63, pattern=REGION)]
QualifiedName = Annotated[str, Field(min_length=1, max_length=253, pattern=QUALIFIED_NAME)]
LabelValue = Annotated[str, Field(max_length=63, pattern=LABEL_VALUE)]
Sentence = Annotated[str, Field(min_length=1, max_length=256)]
