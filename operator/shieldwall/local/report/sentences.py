"""The report's sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.local.outcome import End
from shieldwall.local.report.facts import attackers_out, banned, refused_handshakes, refused_requests, totals
from shieldwall.local.standing import Standing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shieldwall.local.outcome import RunOutcome


_VISIBLE: Final = 0.05
"""Fewer percentage points than this are shown as 0.0."""


def number(value: float | None) -> str:
    """Two decimals, with a minus sign that people recognise; a dash for nothing."""
    return "–" if value is None else f"{value:.2f}".replace("-", "−")


def seconds(value: float | None) -> str:
    """``9.4 s``, ``3 min 12 s``."""
    if value is None:
        return "–"
    if value < 60:  # noqa: PLR2004  # seconds in a minute
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s"


def plural(count: int, word: str) -> str:
    """``1 reply``, ``2 replies``."""
    if count == 1:
        return f"{count} {word}"
    return f"{count} {word[:-1]}ies" if word.endswith("y") else f"{count} {word}s"


def summary(runs: Sequence[RunOutcome]) -> str:
    """The report in a sentence or two."""
    compared = comparison(runs)
    return compared if compared is not None else run_summary(runs[0])


def run_summary(outcome: RunOutcome) -> str:
    """One run."""
    counts = totals(outcome)
    rounds = plural(len(outcome.released), "round")
    accuracy = f" and ended with accuracy {number(outcome.accuracy)}" if outcome.accuracy is not None else ""
    ends = {
        End.COMPLETED: f"{outcome.training} finished {rounds} in {seconds(outcome.timings.total)}{accuracy}.",
        End.FAILED: f"{outcome.training} failed after {rounds}: {outcome.message}",
        End.INTERRUPTED: f"{outcome.training} was interrupted after {rounds}.",
    }
    sentences = [ends[outcome.end]]
    if counts.total():
        fared = [f"{counts[Standing.OK]} counted"]
        others = (Standing.OUTVOTED, Standing.REJECTED, Standing.ABSENT)
        fared += [f"{counts[each]} {each}" for each in others if counts[each]]
        sentences.append(f"Of {plural(counts.total(), 'reply')}, {_listed(fared)}.")
    return " ".join(
        [*sentences, *_lost(outcome), *_privacy(outcome), *_attackers(outcome), *_banned(outcome), *_door(outcome)],
    )


def _lost(outcome: RunOutcome) -> list[str]:
    told = outcome.end is End.COMPLETED and outcome.rounds_lost and not outcome.budget_spent
    return [outcome.message] if told else []


def _privacy(outcome: RunOutcome) -> list[str]:
    if outcome.epsilon is None:
        return []
    spent = f"What was released spent ε = {number(outcome.epsilon)}."
    return [spent, outcome.message] if outcome.budget_spent and outcome.end is End.COMPLETED else [spent]


def _banned(outcome: RunOutcome) -> list[str]:
    names = banned(outcome)
    if not names:
        return []
    return [f"{_listed(names)} {'is' if len(names) == 1 else 'are'} banned for not contributing."]


def _attackers(outcome: RunOutcome) -> list[str]:
    if not outcome.attackers:
        return []
    out = attackers_out(outcome)
    among = plural(len(outcome.attackers), "client")
    return [f"{among} attacked; {plural(out, 'reply')} of theirs did not count." if out else f"{among} attacked."]


def _door(outcome: RunOutcome) -> list[str]:
    handshakes, requests = sum(refused_handshakes(outcome).values()), refused_requests(outcome)
    parts = [plural(handshakes, "connection")] if handshakes else []
    parts += [plural(requests, "request")] if requests else []
    return [f"The server turned away {_listed(parts)}."] if parts else []


def comparison(runs: Sequence[RunOutcome]) -> str | None:
    """What the demonstration shows; None when these runs are not its three, or not all completed."""
    bare = next((run for run in runs if not run.protected and run.attackers), None)
    held = next((run for run in runs if run.protected and run.attackers), None)
    calm = next((run for run in runs if run.protected and not run.attackers), None)
    if bare is None or held is None or calm is None:
        return None
    if bare.accuracy is None or held.accuracy is None or calm.accuracy is None:
        return None
    attackers = _kinds(held)
    points = 100 * (calm.accuracy - held.accuracy)
    side = "below" if points > 0 else "above"
    close = "the same as" if abs(points) < _VISIBLE else f"{abs(points):.1f} points {side}"
    return (
        f"Without protection, {attackers} leave a model of accuracy {number(bare.accuracy)}. "
        f"Shieldwall, under the same attack, reaches {number(held.accuracy)}, {close} its run without attackers."
    )


def _kinds(outcome: RunOutcome) -> str:
    kinds = sorted(set(outcome.attackers.values()))
    return f"{len(outcome.attackers)} of {len(outcome.clients)} clients with {' and '.join(kinds)} attacks"


def _listed(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]
