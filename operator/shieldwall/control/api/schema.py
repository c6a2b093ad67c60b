"""From the pydantic models to a structural schema, as Kubernetes defines it.

Differences from JSON Schema: no ``$ref``, ``null`` or ``title``; ``exclusiveMinimum`` is a truth value; one type for
each field. Source: Kubernetes API conventions, "Specifying a structural schema"; OpenAPI 3.0.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from pydantic import BaseModel

Schema = dict[str, Any]
"""A JSON Schema: its keywords are as deep and as mixed as the language allows."""

_KEPT: Final = (
    "type",
    "format",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minimum",
    "maximum",
    "required",
    "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
)


@cache
def structural(model: type[BaseModel]) -> Schema:
    """The structural schema of ``model``. Callers share it and must not change it."""
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return _node(schema, schema.get("$defs", {}))


def properties_at(schema: Schema, location: tuple[str | int, ...]) -> tuple[str, ...]:
    """Names of the fields of the object at ``location`` below ``schema``; empty if there is none."""
    for step in location:
        child = schema.get("items") if isinstance(step, int) else schema.get("properties", {}).get(step)
        if child is None:
            return ()
        schema = child
    return tuple(schema.get("properties", ()))


def _node(source: Schema, definitions: dict[str, Schema]) -> Schema:
    """One node, with what it refers to put in its place."""
    source = _resolve(source, definitions)
    node: Schema = {}
    if description := source.get("description"):
        node["description"] = " ".join(description.split())
    if (default := _default(source)) is not None:
        node["default"] = default
    node |= {keyword: source[keyword] for keyword in _KEPT if keyword in source}
    if source.get("x-kubernetes-int-or-string"):
        node["anyOf"] = source["anyOf"]
    for side in ("minimum", "maximum"):
        bound = f"exclusive{side.capitalize()}"
        if bound in source:
            node |= {side: source[bound], bound: True}
        if not float(node.get(side, 0)).is_integer():
            _by_rule(node, side)
    if "properties" in source:
        node["properties"] = {name: _node(child, definitions) for name, child in source["properties"].items()}
    if "items" in source:
        node["items"] = _without_defaults(_node(source["items"], definitions))
    if (values := _values(source)) is not None:
        node["additionalProperties"] = _node(values, definitions)
    return node


def _by_rule(node: Schema, side: str) -> None:
    """Say a bound that is not whole in CEL, and leave the nearest whole one beyond it.

    An API server cuts such a bound to a whole number when the value is one: ``0`` would not be below 0.5.
    Source: ``MinimumNativeType`` of k8s.io/kube-openapi.
    """
    bound, exclusive = node[side], node.pop(f"exclusive{side.capitalize()}", False)
    node[side] = math.floor(bound) if side == "minimum" else math.ceil(bound)
    sign = (">" if side == "minimum" else "<") + ("" if exclusive else "=")
    words = {"<": "less than", "<=": "at most", ">": "greater than", ">=": "at least"}
    rule = {"rule": f"self {sign} {bound}", "message": f"must be {words[sign]} {bound}"}
    node["x-kubernetes-validations"] = [*node.get("x-kubernetes-validations", []), rule]


def _without_defaults(node: Schema) -> Schema:
    """The schema of a list's items without defaults.

    ``kubectl apply`` and Argo CD replace lists as a whole: with defaults filled in below one, every sync would differ.
    """
    kept = {keyword: value for keyword, value in node.items() if keyword != "default"}
    if "properties" in kept:
        kept["properties"] = {name: _without_defaults(child) for name, child in kept["properties"].items()}
    return kept


def _resolve(source: Schema, definitions: dict[str, Schema]) -> Schema:
    """Follow ``$ref``, and take the one type out of ``anyOf: [type, null]``; outer keywords win."""
    if "anyOf" in source and not source.get("x-kubernetes-int-or-string"):
        kinds = [kind for kind in source["anyOf"] if kind.get("type") != "null"]
        if len(kinds) != 1:
            raise ValueError(f"a field with {len(kinds)} types has no structural schema: {source}")
        outer = {keyword: value for keyword, value in source.items() if keyword != "anyOf"}
        return _resolve(kinds[0] | outer, definitions)
    if "$ref" in source:
        target = definitions[cast("str", source["$ref"]).rsplit("/", 1)[1]]
        return _resolve(
            target | {keyword: value for keyword, value in source.items() if keyword != "$ref"}, definitions
        )
    if "const" in source:
        return source | {"enum": [source["const"]]}
    return source


def _default(source: Schema) -> object:
    """The default the API server fills in; sections get ``{}`` and their fields' own, absent lists and maps stay so."""
    default = source.get("default")
    if isinstance(default, dict):
        return {} if "properties" in source else None
    return None if default == [] else default


def _values(source: Schema) -> Schema | None:
    """The schema of a map's values; a map whose keys follow a pattern has them under that pattern."""
    if source.get("type") != "object" or "properties" in source:
        return None
    if patterns := source.get("patternProperties"):
        return cast("Schema", next(iter(patterns.values())))
    values = source.get("additionalProperties")
    return values if isinstance(values, dict) else None
