"""The shape of a document: whether a model takes it, or all that is wrong with its fields."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from shieldwall.control.api.plain import Fault
from shieldwall.control.api.schema import properties_at, structural
from shieldwall.control.api.translate import sentence

if TYPE_CHECKING:
    from shieldwall.control.api.plain import Json, Location

M = TypeVar("M", bound=BaseModel)


def shaped(model: type[M], document: dict[str, Json]) -> tuple[M | None, tuple[Fault, ...]]:
    """``document`` as ``model`` has it; None, and every fault, when it does not fit."""
    try:
        return model.model_validate_json(json.dumps(document)), ()
    except ValidationError as error:
        schema = structural(model)
        return None, tuple(
            Fault(_without_key(details["loc"]), sentence(details, properties_at(schema, details["loc"][:-1])))
            for details in error.errors(include_url=False)
        )


def _without_key(location: Location) -> Location:
    """Pydantic marks what is wrong with the name of a map's entry, not its value."""
    return location[:-1] if location[-1:] == ("[key]",) else location
