"""Flower's secure aggregation, SecAgg and SecAgg+: apps that use it are refused, since no rule is kept behind it."""

from __future__ import annotations

from types import CellType, FunctionType
from typing import TYPE_CHECKING, Final

from flwr.client.mod import secagg_mod, secaggplus_mod
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flwr.app import Message

    from shieldwall.contract.policy import Rule

HIDES: Final = (
    "hides each client's update from the server, and {rule} has to see every one: of their sum alone one liar makes"
    " what it likes. Leave it out. Where the server may not see what a client learned, use spec.privacy with mode"
    " RecordLevel or ClientLevelLocal, whose noise is in an update before it leaves the client"
)
"""Why, with the rule's name to be filled in."""
_MODS: Final = (secagg_mod, secaggplus_mod)


class HiddenUpdatesError(ValueError):
    """The app asks for secure aggregation by ``name``, one of Flower's mods."""

    def __init__(self, name: str, rule: Rule) -> None:
        super().__init__(f"{name} {HIDES.format(rule=rule)}.")
        self.name = name
        self.rule = rule


def require_open(app: object, rule: Rule) -> None:
    """Raise HiddenUpdatesError for a ClientApp, or a function, that has one of Flower's mods of secure aggregation."""
    handlers = [app, getattr(app, "_call", None), *getattr(app, "_registered_funcs", {}).values()]
    found = next((function for function in _enclosed(handlers) if function in _MODS), None)
    if found is not None:
        raise HiddenUpdatesError(found.__name__, rule)


def asks_for_masks(message: Message) -> bool:
    """Whether it is part of the protocol, of any stage."""
    return RECORD_KEY_CONFIGS in message.content


def _enclosed(handlers: Iterable[object]) -> Iterator[FunctionType]:
    """The functions, and those that they close over: of a handler its mods, one in the other."""
    waiting, seen = list(handlers), set[FunctionType]()
    while waiting:
        one = waiting.pop()
        if isinstance(one, FunctionType) and one not in seen:
            seen.add(one)
            yield one
            waiting += [found for cell in one.__closure__ or () for found in _contents(cell)]


def _contents(cell: CellType) -> tuple[object, ...]:
    """One, or none of a name that was not set."""
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()
