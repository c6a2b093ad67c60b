"""kopf's stores, with nothing in them.

kopf keeps the last essence of an object and the progress of its handlers in the object's annotations. Handlers of
events need neither; computing them all the same would take most of the time of an event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kopf import DiffBaseStorage, ProgressStorage

if TYPE_CHECKING:
    from kopf import BodyEssence


class NoDiffBase(DiffBaseStorage):
    """No essence of any object."""

    def build(self, **_: Any) -> BodyEssence:  # noqa: ANN401
        """Nothing is compared."""
        return {}

    def fetch(self, **_: Any) -> BodyEssence | None:  # noqa: ANN401
        """Nothing is kept."""
        return None

    def store(self, **_: Any) -> None:  # noqa: ANN401
        """Nothing is kept."""


class NoProgress(ProgressStorage):
    """No progress of any handler."""

    def fetch(self, **_: Any) -> None:  # noqa: ANN401
        """Nothing is kept."""

    def store(self, **_: Any) -> None:  # noqa: ANN401
        """Nothing is kept."""

    def purge(self, **_: Any) -> None:  # noqa: ANN401
        """Nothing is kept."""

    def touch(self, **_: Any) -> None:  # noqa: ANN401
        """Nothing is kept."""

    def clear(self, *, essence: BodyEssence) -> BodyEssence:
        """There is nothing to take out."""
        return essence
