"""Loading what a policy names by ``module:attribute``."""

from __future__ import annotations

from importlib import import_module
from operator import attrgetter
from typing import Any


class ReferenceNotFoundError(LookupError):
    """The app has no such module or attribute; ``field`` is the field of the spec that names it."""

    def __init__(self, field: str, reference: str, cause: str) -> None:
        super().__init__(f"spec.app.{field} names {reference!r}, which this image does not have: {cause}")
        self.field = field
        self.reference = reference


def load(field: str, reference: str) -> Any:  # noqa: ANN401  # whatever the user's module holds
    """The object that ``reference`` names; raises ReferenceNotFoundError, or what the module raises itself."""
    module, _, attribute = reference.partition(":")
    try:
        return attrgetter(attribute)(import_module(module))
    except ModuleNotFoundError as error:
        raise ReferenceNotFoundError(field, reference, str(error)) from error
    except AttributeError as error:
        raise ReferenceNotFoundError(field, reference, str(error)) from error
