"""What a pass acts on: the spec that stands or, where that is invalid, the one that was accepted last."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shieldwall.control.api.parse import parse_accepted, parse_training
from shieldwall.control.api.problems import InvalidTrainingError
from shieldwall.control.cluster.kinds import CONFIG_MAP, STATEFUL_SET
from shieldwall.control.cluster.observe import WORKLOADS, owned_by
from shieldwall.control.plan.accepted import SPEC_DIGEST, SPEC_FILE, digest_of, spec_text
from shieldwall.control.plan.names import Names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shieldwall.control.api.training import Training
    from shieldwall.control.cluster.api import Json
    from shieldwall.control.cluster.live import Live
    from shieldwall.control.cluster.store import Key, ObjectName
    from shieldwall.control.cluster.wanted import Wanted
    from shieldwall.control.status.sight import Trouble

_READS: Final = ((parse_training, True), (parse_accepted, False))


@dataclass(frozen=True, slots=True)
class Case:
    """One training in one pass."""

    key: Key
    body: Json
    """The object as it stands."""
    training: Training
    """What is acted on."""
    refused: Trouble | None = None
    """What is wrong with the spec that stands; ``training`` then has the last accepted one."""
    sound: bool = True
    """False for an accepted spec that the rules of today would refuse: no pod is made or changed by it."""

    def acts_on(self, wanted: Wanted) -> bool:
        """Whether the object is made what is wanted; by an unsound spec the wall is kept up, and no more."""
        if self.sound:
            return True
        return wanted.kind.kind not in WORKLOADS and (
            wanted.kind is not CONFIG_MAP or wanted.name == Names(self.key[1]).trust
        )


def kept_case(
    key: Key, body: Json, owned: Mapping[ObjectName, Live], remembered: Training | None, refused: Trouble | None
) -> Case | None:
    """The case of a training whose spec is not to be acted on: by the spec that was acted on last.

    That is ``remembered`` or, after a start of the operator, what is on record. None when there is no object of the
    training, or neither.
    """
    mine = owned_by(body["metadata"]["uid"], owned)
    if not mine:
        return None
    if remembered is not None and remembered.uid == body["metadata"]["uid"]:
        text: str | None = spec_text(remembered.spec)
    else:
        text = _recorded(Names(key[1]), mine)
    return _read(key, body, text, refused) if text is not None else None


def _recorded(names: Names, mine: Mapping[ObjectName, Live]) -> str | None:
    """The spec on record, if a StatefulSet vouches for it."""
    live = mine.get((CONFIG_MAP.kind, names.accepted))
    text = (live.body().get("data") or {}).get(SPEC_FILE) if live is not None else None
    if text is None:
        return None
    sets = (mine.get((STATEFUL_SET.kind, name)) for name in (names.server, names.aggregator))
    vouched = {each.annotations.get(SPEC_DIGEST) for each in sets if each is not None}
    return text if digest_of(text) in vouched else None


def _read(key: Key, body: Json, text: str, refused: Trouble | None) -> Case | None:
    try:
        document = {**body, "spec": json.loads(text)}
    except (ValueError, RecursionError):
        return None
    for parse, sound in _READS:
        try:
            return Case(key, body, parse(document), refused, sound)
        except InvalidTrainingError:
            continue
    return None
