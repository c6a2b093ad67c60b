"""What attacks found, as PNG."""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from shieldwall.lab.privacy.attack import AuditFound, InversionFound, MembershipFound

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from shieldwall.lab.privacy.attack import Found

SHOWN: Final = 10
_POINTS: Final = 200
_FAINT: Final = "#9a9a9a"
_COLOURS: Final = ("#c2410c", "#1d4ed8", "#6b7280")
_RESOLUTION: Final = 110


def draw(found: Sequence[Found], directory: Path) -> list[Path]:
    """Write what there is to see, and say where."""
    drawn: list[tuple[str, Figure]] = []
    inverted = [one for one in found if isinstance(one, InversionFound)]
    for records in dict.fromkeys(one.found.records for one in inverted):
        rows = [one for one in inverted if one.found.records == records]
        drawn.append((f"inversion-{records}.png", images(rows)))
    told = [one for one in found if isinstance(one, MembershipFound)]
    audits = [one for one in found if isinstance(one, AuditFound)]
    drawn += [("membership.png", curves(told))] if told else []
    drawn += [("audit.png", bounds(audits))] if audits else []
    for name, figure in drawn:
        save(figure, directory / name)
    return [directory / name for name, _ in drawn]


def save(figure: Figure, path: Path) -> None:
    """The same figure always gives the same bytes."""
    figure.savefig(path, dpi=_RESOLUTION, metadata={"Software": None})


def images(rows: Sequence[InversionFound]) -> Figure:
    """Originals in the first row, and below them what was made of each."""
    from matplotlib.figure import Figure  # matplotlib takes a second to import

    shown = min(SHOWN, len(rows[0].found.pairs))
    figure = Figure(figsize=(0.8 * shown + 2.2, 0.85 * (len(rows) + 1)), layout="constrained")
    grid = figure.subplots(len(rows) + 1, shown, squeeze=False)
    lines = [("original", [pair.original for pair in rows[0].found.pairs])]
    lines += [(row.label.replace(", ", "\n"), [pair.recovered for pair in row.found.pairs]) for row in rows]
    for axes, (label, line) in zip(grid, lines, strict=True):
        axes[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
        for each, image in zip(axes, line, strict=False):
            each.imshow(_square(image), cmap="gray", vmin=0, vmax=1)
            each.set_xticks([])
            each.set_yticks([])
    return figure


def curves(found: Sequence[MembershipFound]) -> Figure:
    """Receiver operating characteristics on logarithmic axes, one panel a unit (Carlini 2021, section III)."""
    from matplotlib.figure import Figure  # as above

    units = list(dict.fromkeys(one.unit for one in found))
    figure = Figure(figsize=(4.2 * len(units), 4.0), layout="constrained")
    for axes, unit in zip(figure.subplots(1, len(units), squeeze=False)[0], units, strict=True):
        rates = np.logspace(-3, 0, _POINTS)
        axes.loglog(rates, rates, color=_FAINT, linestyle=":", label="a coin")
        for one, colour in zip([each for each in found if each.unit is unit], _COLOURS, strict=False):
            label = f"{one.label}: {one.found.area.value:.2f}"
            axes.loglog(rates, _caught(one, rates), color=colour, label=label)
        axes.set(title=f"was this {unit} in?", xlabel="false positives", ylabel="true positives", ylim=(1e-3, 1.1))
        axes.legend(fontsize=8, loc="lower right", title="area under the curve", title_fontsize=8)
    return figure


def bounds(found: Sequence[AuditFound]) -> Figure:
    """What was proved beside what was accounted for, by seed."""
    from matplotlib.figure import Figure  # as above

    figure = Figure(figsize=(5.6, 3.4), layout="constrained")
    axes = figure.subplots()
    seeds = [one.seed for one in found]
    axes.plot(seeds, [one.found.accounted.epsilon for one in found], color="black", label="accounted")
    axes.plot(seeds, [one.found.bound.epsilon for one in found], "o", color=_COLOURS[1], label="proved")
    silent = [one.control.bound.epsilon for one in found]
    axes.plot(seeds, silent, "x", color=_COLOURS[0], label="proved, noise switched off")
    axes.set(xlabel="seed", ylabel="ε", ylim=(0, None), xticks=seeds)
    axes.legend(fontsize=8)
    return figure


def _caught(one: MembershipFound, rates: NDArray[np.float64]) -> NDArray[np.float64]:
    scores = np.concatenate([told.scores for told in one.found.told])
    members = np.concatenate([told.members for told in one.found.told])
    strangers = np.sort(scores[~members])[::-1]
    thresholds = strangers[np.minimum((rates * len(strangers)).astype(int), len(strangers) - 1)]
    caught: NDArray[np.float64] = (scores[members][:, None] > thresholds).mean(axis=0)
    return caught


def _square(image: NDArray[Any]) -> NDArray[Any]:
    side = isqrt(image.size)
    return image.reshape(side, side)
