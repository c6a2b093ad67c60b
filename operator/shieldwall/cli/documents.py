"""Reads a training's file: one YAML 1.2 document, every mistake told with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES: Final = 1 << 20


class UnreadableDocumentError(ValueError):
    """A file does not hold one YAML document; ``place`` is ``line 3, column 7`` or empty."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(f"{place}: {message}" if place else message)
        self.place = place
        self.message = message


def load(path: Path) -> object:
    """The plain data of the one document in ``path``; raises UnreadableDocumentError."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableDocumentError("", f"The file cannot be read: {error.strerror}.") from error
    if len(raw) > MAX_BYTES:
        raise UnreadableDocumentError("", f"The file is larger than {MAX_BYTES >> 20} MiB.")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise UnreadableDocumentError(f"line {line}", "The file is not UTF-8 text.") from error
    return parse(text)


def parse(text: str) -> object:
    """The plain data of the one document in ``text``; raises UnreadableDocumentError."""
    yaml = YAML(typ="safe", pure=True)  # the C parser reads YAML 1.1, in which ``no`` is false
    yaml.allow_duplicate_keys = False
    try:
        documents = [document for document in yaml.load_all(text) if document is not None]
    except MarkedYAMLError as error:
        raise UnreadableDocumentError(_place(error), _sentence(error)) from error
    except RecursionError as error:
        raise UnreadableDocumentError("", "The document is nested too deeply.") from error
    except (YAMLError, ValueError, TypeError, AttributeError, KeyError, OverflowError) as error:
        # Impossible dates, tags and keys end in all of these inside the parser.
        raise UnreadableDocumentError("", f"The file is not YAML: {_first_line(str(error))}.") from error
    if not documents:
        raise UnreadableDocumentError("", "The file is empty.")
    if len(documents) > 1:
        raise UnreadableDocumentError("", f"The file holds {len(documents)} documents; it must hold one.")
    return documents[0]


def _place(error: MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""


def _sentence(error: MarkedYAMLError) -> str:
    problem = _first_line(str(error.problem or error.context or "it is not YAML"))
    context = _first_line(str(error.context)) if error.context and error.problem else ""
    text = f"{problem} ({context})" if context else problem
    return f"{text[:1].upper()}{text[1:]}."


def _first_line(text: str) -> str:
    return (text.splitlines() or [""])[0].strip().rstrip(".")
