"""The clients, counted, and those that most need a look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.contract.policy import Rule
from shieldwall.contract.records import Fate
from shieldwall.control.api.status import WORST_CLIENTS, ClientReport, ClientsStatus
from shieldwall.control.status.contribution import HELD_WORDS, why
from shieldwall.control.status.text import REMARK, clip

if TYPE_CHECKING:
    from shieldwall.contract.records import ClientStatus, ReplyRecord
    from shieldwall.control.status.view import View

BANNED: Final = "banned"
REFUSED: Final = "refused"
SUSPECTED: Final = "suspected"
OUTVOTED: Final = "outvoted"
ABSENT: Final = "absent"
OFFLINE: Final = "offline"
OK: Final = "ok"
LAST_ROUND: Final = "Last round: "
"""What the reason begins with, where it is one round's."""

_ORDER: Final = (BANNED, REFUSED, SUSPECTED, OUTVOTED, ABSENT, OFFLINE)
_ABSENT: Final = frozenset({Fate.NO_REPLY, Fate.CLIENT_ERROR})
_AVERAGES: Final = frozenset({Rule.FED_AVG.value, Rule.CLIPPED_MEAN.value})
_MOST: Final = 2**53


def clients_of(view: View) -> ClientsStatus:
    """Clients of the spec only: the steward may still know others. Connected counts what is seen now."""
    if view.last is None:
        return _remembered(view)
    wanted, known = view.sight.training.spec.clients, view.clients()
    seen = [known[client.name] for client in wanted if client.name in known]
    return ClientsStatus(
        ready=sum(client.online for client in seen) if view.fresh is not None else 0,
        total=len(wanted),
        banned=sum(client.denied for client in seen),
        worst=_worst(view, seen),
        unknownRequests=view.sight.training.reinstatements.ignored,
    )


def _remembered(view: View) -> ClientsStatus:
    """As status has it when the steward was not asked yet: who is banned is no news after the operator's restart."""
    names = {client.name for client in view.sight.training.spec.clients}
    before = view.sight.previous.clients if view.sight.previous is not None else None
    if before is None:
        return ClientsStatus(total=len(names))
    worst = tuple(report for report in before.worst if report.name in names)
    return ClientsStatus(total=len(names), banned=min(before.banned, len(names)), worst=worst)


def _worst(view: View, seen: list[ClientStatus]) -> tuple[ClientReport, ...]:
    last = view.last.last_round if view.last is not None else None
    replies = {reply.client: reply for reply in last.replies} if last is not None else {}
    rule = last.rule if last is not None else ""
    limit, rounds = view.sight.training.spec.contribution.ban.strikes, view.sight.training.spec.contribution.ban.rounds
    reports = [_report(client, replies.get(client.name), rule, (limit, rounds)) for client in seen]
    bad = [report for report in reports if report.state in _ORDER]
    bad.sort(key=lambda report: (_ORDER.index(report.state), -report.refused, report.name))
    return tuple(bad[:WORST_CLIENTS])


def _report(client: ClientStatus, reply: ReplyRecord | None, rule: str, ban: tuple[int, int]) -> ClientReport:
    """``ban``: how many strikes bring one on, and how many rounds it lasts."""
    state, message = _state(client, reply, rule, ban)
    return ClientReport(
        name=clip(client.name, REMARK // 2),
        state=state,
        message=clip(message, REMARK),
        admitted=min(max(client.admitted, 0), _MOST),
        refused=min(max(client.refused, 0), _MOST),
        strikes=min(max(client.strikes, 0), _MOST),
        innovation=round(client.innovation, 2) if client.innovation is not None else None,
    )


def _state(client: ClientStatus, reply: ReplyRecord | None, rule: str, ban: tuple[int, int]) -> tuple[str, str]:
    """The word for a client, by the last released round; its rank is its place in ``_ORDER``."""
    shut_out = _shut_out(client, ban[1])
    fate = reply.fate if reply is not None else None
    if shut_out is not None:
        return BANNED, shut_out
    if reply is not None and fate not in _ABSENT | {Fate.ADMITTED}:
        return REFUSED, f"{LAST_ROUND}{reply.detail or reply.fate.value}"
    if (suspicion := _suspicion(client, ban[0])) is not None:
        return SUSPECTED, suspicion
    if reply is not None and _outvoted(reply, rule):
        return OUTVOTED, f"{LAST_ROUND}the update disagreed with the others."
    if not client.online:
        return OFFLINE, "Not connected: look at the events and logs of its pod."
    absent = reply is not None and fate in _ABSENT
    return (ABSENT, f"{LAST_ROUND}{reply.detail or reply.fate.value}") if reply is not None and absent else (OK, "")


def _shut_out(client: ClientStatus, rounds: int) -> str | None:
    """Why a client may not pass, as a sentence; a ban lasts ``rounds``."""
    if client.banned_since is not None:
        return f"Banned from round {client.banned_since} to {client.banned_since + rounds}: {why(client)}."
    return "On the deny list: shut out until it is taken off." if client.denied else None


def _suspicion(client: ClientStatus, limit: int) -> str | None:
    """What more than half of the strikes for a ban are for, as a sentence."""
    if client.held is not None:
        return f"Not banned ({HELD_WORDS[client.held]}): {why(client)}."
    if 2 * client.strikes > limit and client.flags:
        return f"{client.strikes} of {limit} strikes: {why(client)}."
    return None


def _outvoted(reply: ReplyRecord, rule: str) -> bool:
    """Selection rules say whom they left out.

    Else an update that points away from the aggregate lost, except where everybody is averaged.
    """
    if reply.fate is not Fate.ADMITTED:
        return False
    if reply.selected is not None:
        return not reply.selected
    return rule not in _AVERAGES and reply.cosine is not None and reply.cosine < 0
