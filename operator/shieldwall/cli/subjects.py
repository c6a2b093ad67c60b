"""Whose certificate is meant by a word of the command line."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shieldwall.control.api.requests import AGGREGATOR, ALL, SERVER, client_subject

if TYPE_CHECKING:
    from collections.abc import Sequence

_PREFIXES: Final = ("client/", "client.")
_MOST_NAMED: Final = 10


class UnknownSubjectError(ValueError):
    """A training has no certificate of that name; ``near`` are names that resemble it."""

    def __init__(self, word: str, training: str, clients: Sequence[str]) -> None:
        names = (SERVER, AGGREGATOR, *clients)
        self.near = tuple(difflib.get_close_matches(word, names, n=3))
        super().__init__(f"{training} has no client {word}{_hint(self.near, names)}")
        self.word = word


@dataclass(frozen=True, slots=True)
class Subject:
    """One certificate, or all."""

    requested_as: str
    """As an annotation names it: ``all``, ``server``, ``aggregator`` or ``client.<name>``."""

    @property
    def everybody(self) -> bool:
        """Whether it is all."""
        return self.requested_as == ALL

    @property
    def text(self) -> str:
        """As status and tables name it: ``client/berlin``."""
        return self.requested_as.replace(".", "/")


EVERYBODY: Final = Subject(ALL)


def subject_of(word: str, training: str, clients: Sequence[str]) -> Subject:
    """``server``, ``aggregator``, or a client, which may be written ``client/berlin``; raises UnknownSubjectError.

    A client that is called server or aggregator is meant by the longer form only.
    """
    if word in {SERVER, AGGREGATOR}:
        return Subject(word)
    for prefix in _PREFIXES:
        if word.startswith(prefix) and word[len(prefix) :] in clients:
            return Subject(client_subject(word[len(prefix) :]))
    if word in clients:
        return Subject(client_subject(word))
    bare = next((word[len(prefix) :] for prefix in _PREFIXES if word.startswith(prefix)), word)
    raise UnknownSubjectError(bare, training, clients)


def _hint(near: Sequence[str], names: Sequence[str]) -> str:
    if near:
        return f"; did you mean {' or '.join(near)}?"
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f". It has {', '.join(names[:_MOST_NAMED])}{more}."
