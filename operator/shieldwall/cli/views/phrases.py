"""The sentences that both views use."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from shieldwall.cli.terminal import printable
from shieldwall.contract.records import Outcome
from shieldwall.local.standing import Standing, standing_of

if TYPE_CHECKING:
    from shieldwall.contract.records import ReplyRecord, RoundRecord
    from shieldwall.local import events


def number(value: float) -> str:
    """Two decimals, with a minus sign that people recognise."""
    return f"{value:.2f}".replace("-", "−")


def metrics(values: dict[str, float]) -> str:
    """``accuracy 0.91``; loss or others only where there is no accuracy."""
    if "accuracy" in values:
        return f"accuracy {number(values['accuracy'])}"
    return ", ".join(f"{printable(name)} {number(value)}" for name, value in sorted(values.items())[:2])


def epsilon(record: RoundRecord) -> str:
    """``ε 0.31``, what was spent so far; empty where nothing is private."""
    return "" if record.privacy is None else f"ε {number(record.privacy.epsilon)}"


def round_line(record: RoundRecord, rounds: int) -> str:
    """``round 7/30 · accuracy 0.91 · ε 0.31 · 9 of 10 admitted · outvoted: hamburg · rejected: leipzig (stale)``."""
    parts = [f"round {record.round}/{rounds}"]
    if record.outcome is Outcome.REPEATED:
        parts.append(f"attempt {record.attempt}: repeated for want of replies")
    elif record.outcome is Outcome.SKIPPED:
        parts.append("skipped for want of replies")
    elif record.metrics:
        parts.append(metrics(record.metrics))
    if record.privacy is not None:
        parts.append(epsilon(record))
    parts.append(f"{record.admitted} of {len(record.replies)} admitted")
    by_standing: dict[Standing, list[ReplyRecord]] = {}
    for reply in record.replies:
        by_standing.setdefault(standing_of(reply, record.rule), []).append(reply)
    for standing in (Standing.OUTVOTED, Standing.REJECTED, Standing.ABSENT):
        if standing in by_standing:
            names = sorted(_named(reply, standing) for reply in by_standing[standing])
            parts += [f"{standing}: {', '.join(names)}"]
    return " · ".join(parts)


def _named(reply: ReplyRecord, standing: Standing) -> str:
    name = printable(reply.client)
    return name if standing is Standing.OUTVOTED else f"{name} ({reply.fate})"


def exited_line(event: events.Exited) -> str:
    """``client-leipzig: supernode exited with 0 (restart 1), see logs/…``."""
    ended = f"was ended by signal {-event.code}" if event.code < 0 else f"exited with {event.code}"
    return f"{event.pod}: {event.container} {ended} (restart {event.restarts}), see {event.log}"


def standings(records: tuple[RoundRecord, ...]) -> Counter[Standing]:
    """How many replies fared how, over all rounds."""
    return Counter(standing_of(reply, record.rule) for record in records for reply in record.replies)
