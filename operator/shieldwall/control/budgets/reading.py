"""Reads the books out of a budget's status."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from shieldwall.control.api.budget_status import PrivacyBudgetStatus

if TYPE_CHECKING:
    from collections.abc import Mapping


class UnreadableBooksError(ValueError):
    """Somebody, or another release, wrote books that are not understood: they are never written over."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(
            f"Its books were not written by an operator of this release: status.{field}: {message}. Restore its status"
            " from a copy, or bring the operator up to date."
        )
        self.field = field


def books_of(body: Mapping[str, Any]) -> PrivacyBudgetStatus:
    """The books as they stand, not opened where there are none. Raises UnreadableBooksError."""
    try:
        return PrivacyBudgetStatus.model_validate_json(json.dumps(body.get("status") or {}))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UnreadableBooksError(".".join(str(step) for step in first["loc"]), first["msg"]) from error


def status_of(books: PrivacyBudgetStatus) -> dict[str, Any]:
    """As status has them."""
    return books.model_dump(mode="json", by_alias=True, exclude_none=True)
