"""What an attack on privacy came to: a table for people, and JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from shieldwall.cli.terminal import printable
from shieldwall.lab.privacy.attack import AuditFound, InversionFound, MembershipFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shieldwall.lab.privacy.attack import Found, PrivacyTrial
    from shieldwall.lab.privacy.canaries import Audit
    from shieldwall.lab.privacy.intervals import Estimate

_LEGENDS = {
    MembershipFound: (
        "area under the curve, 0.5: a coin; told: of members, at 1 % false positives; most: what (ε, δ) allows;"
        " intervals at 95 %"
    ),
    InversionFound: (
        "likeness to the original, 1: the same; PSNR in decibels; told apart: from 99 other images; intervals at 95 %"
    ),
    AuditFound: "ε that canaries prove, at 95 % confidence: no more than accounted, and more once noise is off",
}
_COLUMNS = {
    MembershipFound: ("privacy", "whose", "area", "most", "told", "most"),
    InversionFound: ("privacy", "images", "correlation", "SSIM", "PSNR", "told apart"),
    AuditFound: ("privacy", "seed", "accounted", "proved", "guesses right", "noise off"),
}


def found_table(found: Sequence[Found]) -> tuple[Table, str]:
    """One line for each finding, all of one attack; and what the columns say."""
    kind = type(found[0])
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for place, name in enumerate(_COLUMNS[kind]):
        table.add_column(name, justify="left" if place == 0 else "right", no_wrap=place > 0)
    for one in found:
        table.add_row(*map(printable, cells(one)))
    return table, _LEGENDS[kind]


def cells(one: Found) -> tuple[str, ...]:
    """One line of the table."""
    match one:
        case MembershipFound():
            area, told = ("–", "–") if one.most is None else (f"{part:.2f}" for part in one.most)
            return one.label, one.unit, str(one.found.area), area, str(one.found.true_positives), told
        case InversionFound():
            found = one.found
            like = f"{found.structure.value:.2f}".replace("-", "−"), f"{found.signal_to_noise.value:.0f}"
            return one.label, str(found.records), str(found.correlation), *like, str(found.identified)
        case AuditFound():
            bound = one.found.bound
            right = f"{bound.guesses.right} of {bound.guesses.made}"
            accounted = f"{one.found.accounted.epsilon:.2f}"
            proved, off = bound.epsilon, one.control.bound.epsilon
            return one.label, str(one.seed), accounted, f"{proved:.2f}", right, f"{off:.2f}"


def as_json(trial: PrivacyTrial, found: Sequence[Found]) -> dict[str, object]:
    """For programs: everything of the table."""
    return {
        "version": 1,
        "training": trial.training,
        "attack": trial.attack.value,
        "task": trial.task,
        "seeds": trial.seeds,
        "rows": [{"privacy": one.label, "holds": one.holds, **_row(one)} for one in found],
    }


def _row(one: Found) -> dict[str, object]:
    match one:
        case MembershipFound():
            return {
                "unit": one.unit.value,
                "area": _interval(one.found.area),
                "truePositives": _interval(one.found.true_positives),
                "epsilon": None if one.promised is None else one.promised.epsilon,
                "most": None if one.most is None else dict(zip(("area", "truePositives"), one.most, strict=True)),
            }
        case InversionFound():
            found = one.found
            return {
                "records": found.records,
                "correlation": _interval(found.correlation),
                "structure": _interval(found.structure),
                "signalToNoise": _interval(found.signal_to_noise),
                "identified": _interval(found.identified),
            }
        case AuditFound():
            return {"seed": one.seed, **_audit(one.found), "noiseOff": _audit(one.control)}


def _audit(one: Audit) -> dict[str, object]:
    guesses = one.bound.guesses
    return {
        "epsilonAccounted": one.accounted.epsilon,
        "epsilonProved": one.bound.epsilon,
        "guesses": {"slots": guesses.slots, "made": guesses.made, "right": guesses.right},
    }


def _interval(estimate: Estimate) -> dict[str, float]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}
