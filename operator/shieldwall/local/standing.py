"""How a client's reply fared, in the words that people see."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from shieldwall.contract.policy import Rule
from shieldwall.contract.records import Fate

if TYPE_CHECKING:
    from shieldwall.contract.records import ReplyRecord


class Standing(StrEnum):
    """One word for a reply."""

    OK = "ok"
    OUTVOTED = "outvoted"
    """Admitted, and then left out by the rule, or pointing away from what the others agreed on."""
    REJECTED = "rejected"
    ABSENT = "absent"
    """No reply, or an error instead of one."""


_ABSENT: Final = frozenset({Fate.NO_REPLY, Fate.CLIENT_ERROR})
_AVERAGES: Final = frozenset({Rule.FED_AVG.value, Rule.CLIPPED_MEAN.value})


def standing_of(reply: ReplyRecord, rule: str) -> Standing:
    """How a reply fared under ``rule``.

    Averages count everybody who is admitted. Selection rules say whom they used. Coordinate-wise rules have no list
    of losers: there an update that points away from the aggregate counts as outvoted.
    """
    if reply.fate in _ABSENT:
        return Standing.ABSENT
    if reply.fate is not Fate.ADMITTED:
        return Standing.REJECTED
    if reply.selected is not None:
        return Standing.OK if reply.selected else Standing.OUTVOTED
    against = rule not in _AVERAGES and reply.cosine is not None and reply.cosine < 0
    return Standing.OUTVOTED if against else Standing.OK


def is_against(reply: ReplyRecord, rule: str) -> bool:
    """Whether a reply is called outvoted for its direction alone: it points against the released step, and counted."""
    return reply.selected is None and standing_of(reply, rule) is Standing.OUTVOTED


FATE_SENTENCES: Final = {
    Fate.ADMITTED: "Admitted.",
    Fate.NO_REPLY: "No reply before the round closed.",
    Fate.CLIENT_ERROR: "The client answered with an error.",
    Fate.MALFORMED: "Not a message with one model and one set of metrics.",
    Fate.UNSIGNED: "The reply carries no signature.",
    Fate.BAD_SIGNATURE: "The signature or its certificate does not hold.",
    Fate.WRONG_SIGNER: "Signed by another client than the one asked.",
    Fate.TAMPERED: "The content is not what was signed.",
    Fate.STALE: "Signed for another round: a replay.",
    Fate.DENIED: "The client is on the deny list.",
    Fate.NOT_PRIVATE: "The client does not attest the noise that the policy asks of it.",
    Fate.WRONG_SCHEMA: "Arrays of other names, shapes or types than the model's.",
    Fate.NOT_FINITE: "Not every number is finite.",
    Fate.NORM_TOO_LARGE: "The update is larger than the policy admits.",
    Fate.NORM_OUTLIER: "The update is far larger than the others, or than this client's before.",
    Fate.DISTANCE_OUTLIER: "The update lies far from the others, or farther than this client's did before.",
    Fate.NEAR_DUPLICATE: "Another client sent the same update.",
}
"""What each fate means, when a record says no more."""
