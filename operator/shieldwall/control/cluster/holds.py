"""What holds up one object of a training holds up no other: troubles of a pass are gathered, and told at its end."""

from __future__ import annotations

from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from shieldwall.control.cluster.errors import (
    ApiError,
    ForeignAuthorityError,
    HeldError,
    HeldObjectsError,
    LeavingObjectError,
    OtherOperatorError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_OF_ALL: Final = (OtherOperatorError, ForeignAuthorityError)
"""With these nothing of the training may be written."""
_OF_ONE: Final = {HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY}
"""A quota, a right, an admission policy: the next object may well pass."""


class Holds:
    """The troubles of one pass."""

    def __init__(self) -> None:
        self._held: list[HeldError] = []
        self._refused: list[ApiError] = []

    def __bool__(self) -> bool:
        """Whether anything is held up."""
        return bool(self._held or self._refused)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Around the work on one object. What concerns all of them goes through."""
        try:
            yield
        except _OF_ALL:
            raise
        except HeldError as error:
            self._held.append(error)
        except ApiError as error:
            if error.status not in _OF_ONE or error.terminating:
                raise
            self._refused.append(error)

    def tell(self) -> None:
        """Raise what was gathered: first what waits for a human, then what is refused, then what goes by itself."""
        waiting = [error for error in self._held if not isinstance(error, LeavingObjectError)]
        if len(waiting) > 1:
            raise HeldObjectsError(waiting)
        for error in (*waiting, *self._refused, *self._held):
            raise error
