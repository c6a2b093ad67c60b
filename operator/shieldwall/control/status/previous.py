"""Reading a status back from the API server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from shieldwall.control.api.status import FederatedTrainingStatus

if TYPE_CHECKING:
    from collections.abc import Mapping


def previous_status(document: Mapping[str, Any] | None) -> FederatedTrainingStatus | None:
    """The status as it stands; None when there is none, or when another version wrote it in words not understood.

    The models are strict: only as JSON are lists read as tuples and texts as words of an enum.
    """
    if not document:
        return None
    try:
        return FederatedTrainingStatus.model_validate_json(json.dumps(document))
    except ValidationError:
        return None
