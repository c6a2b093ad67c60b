"""What the report tells about one run, counted from its outcome."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from shieldwall.contract.records import Fate, Outcome
from shieldwall.control.status.contribution import HELD_WORDS, why
from shieldwall.local.standing import FATE_SENTENCES, Standing, standing_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shieldwall.contract.privacy import PrivacyRecord
    from shieldwall.contract.records import ClientStatus, ReplyRecord, RoundRecord
    from shieldwall.local.outcome import RunOutcome


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, least and greatest of some numbers."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Spread | None:
        """None when there is no number."""
        known = [value for value in values if value is not None]
        return cls(median(known), min(known), max(known)) if known else None


@dataclass(frozen=True, slots=True)
class ClientFacts:
    """One client over all rounds."""

    name: str
    attack: str | None
    standings: Counter[Standing]
    norm: Spread | None
    cosine: Spread | None
    strip: tuple[Mark, ...]
    """One for each attempt at a round, oldest first."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One client's reply in one attempt at a round."""

    round: int
    standing: Standing | None
    """None when the client was not asked."""
    title: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """Replies of one client with one fate."""

    client: str
    attack: str | None
    fate: Fate
    count: int
    rounds: str
    """``1–4, 7``."""
    sentence: str


def client_facts(outcome: RunOutcome) -> list[ClientFacts]:
    """Every client, in the training's order."""
    return [_client(name, outcome) for name in outcome.clients]


def _client(name: str, outcome: RunOutcome) -> ClientFacts:
    found = [(record.rule, reply) for record in outcome.records for reply in record.replies if reply.client == name]
    return ClientFacts(
        name=name,
        attack=outcome.attackers.get(name),
        standings=Counter(standing_of(reply, rule) for rule, reply in found),
        norm=Spread.of(reply.norm for _, reply in found),
        cosine=Spread.of(reply.cosine for _, reply in found),
        strip=tuple(_mark(name, record) for record in outcome.records),
    )


def _mark(name: str, record: RoundRecord) -> Mark:
    again = f", attempt {record.attempt}" if record.attempt > 1 or record.outcome is Outcome.REPEATED else ""
    where = f"{name}, round {record.round}{again}"
    reply = next((each for each in record.replies if each.client == name), None)
    if reply is None:
        return Mark(record.round, None, f"{where}: not asked")
    return Mark(record.round, standing_of(reply, record.rule), f"{where}: {reason_of(reply, record.rule)}")


def reason_of(reply: ReplyRecord, rule: str) -> str:
    """Why a reply fared as it did, as a sentence."""
    standing = standing_of(reply, rule)
    if standing is Standing.OK:
        return "Counted."
    if standing is Standing.OUTVOTED and reply.selected is False:
        return "Left out by the rule."
    if standing is Standing.OUTVOTED:
        return "Points away from what the others agreed on."
    return reply.detail or FATE_SENTENCES[reply.fate]


def rejections(outcome: RunOutcome) -> list[Rejection]:
    """Replies that were not admitted, by client and fate; the first sentence stands for all of its kind."""
    grouped: dict[tuple[str, Fate], list[tuple[RoundRecord, ReplyRecord]]] = {}
    for record in outcome.records:
        for reply in record.replies:
            if reply.fate is not Fate.ADMITTED:
                grouped.setdefault((reply.client, reply.fate), []).append((record, reply))
    return [
        Rejection(
            client=client,
            attack=outcome.attackers.get(client),
            fate=fate,
            count=len(found),
            rounds=ranges(record.round for record, _ in found),
            sentence=reason_of(found[0][1], found[0][0].rule),
        )
        for (client, fate), found in sorted(grouped.items(), key=lambda item: (-len(item[1]), item[0]))
    ]


def ranges(numbers: Iterable[int]) -> str:
    """``1–4, 7``."""
    parts: list[list[int]] = []
    for number in sorted(set(numbers)):
        if parts and number == parts[-1][-1] + 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ", ".join("–".join(str(number) for number in part) for part in parts)


@dataclass(frozen=True, slots=True)
class Contribution:
    """How one client stands for what it contributed, at the end."""

    client: str
    attack: str | None
    state: str
    """``banned``, ``suspected``, ``on probation`` or empty."""
    innovation: float | None
    strikes: int
    sentence: str


def contributions(outcome: RunOutcome) -> list[Contribution]:
    """Every client that was scored, in the training's order."""
    known = {client.name: client for client in outcome.status.clients} if outcome.status is not None else {}
    found = [known[name] for name in outcome.clients if name in known]
    return [
        _contribution(client, outcome.attackers.get(client.name))
        for client in found
        if client.innovation is not None or client.strikes or client.flags or client.banned_since is not None
    ]


def _contribution(client: ClientStatus, attack: str | None) -> Contribution:
    state, sentence = "", ""
    if client.banned_since is not None:
        state, sentence = "banned", f"After round {client.banned_since}: {why(client)}."
    elif client.held is not None:
        state, sentence = "suspected", f"Not banned ({HELD_WORDS[client.held]}): {why(client)}."
    elif client.probation_until is not None:
        state, sentence = "on probation", f"Until round {client.probation_until}."
    elif client.flags:
        sentence = f"In its last round: {why(client)}."
    return Contribution(client.name, attack, state, client.innovation, client.strikes, sentence)


def banned(outcome: RunOutcome) -> list[str]:
    """Who is shut out for not contributing."""
    return [each.client for each in contributions(outcome) if each.state == "banned"]


def totals(outcome: RunOutcome) -> Counter[Standing]:
    """How many replies fared how."""
    return Counter(standing_of(reply, record.rule) for record in outcome.records for reply in record.replies)


def attackers_out(outcome: RunOutcome) -> int:
    """How many of the replies that did not count were attackers'."""
    return sum(
        standing_of(reply, record.rule) in {Standing.OUTVOTED, Standing.REJECTED}
        for record in outcome.records
        for reply in record.replies
        if reply.client in outcome.attackers
    )


def refused_requests(outcome: RunOutcome) -> int:
    """Requests that the gate turned away."""
    return sum(denial.count for denial in outcome.status.denials) if outcome.status is not None else 0


def refused_handshakes(outcome: RunOutcome) -> dict[str, int]:
    """Connections that ended before a request: ``{"fleet.no-certificate": 3}``, none of them zero."""
    handshakes = outcome.status.handshakes if outcome.status is not None else {}
    return {name: count for name, count in sorted(handshakes.items()) if count}


def round_seconds(outcome: RunOutcome) -> Spread | None:
    """How long the released rounds took."""
    return Spread.of(record.seconds for record in outcome.released)


@dataclass(frozen=True, slots=True)
class PrivacyFacts:
    """How privacy stood after one attempt at a round."""

    round: int
    attempt: int
    privacy: PrivacyRecord


def privacy_facts(outcome: RunOutcome) -> list[PrivacyFacts]:
    """One for each record that tells of privacy, oldest first."""
    return [
        PrivacyFacts(record.round, record.attempt, record.privacy)
        for record in outcome.records
        if record.privacy is not None
    ]
