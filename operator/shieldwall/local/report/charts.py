"""The accuracy chart, as SVG that takes its colours from the page: readable in light and dark, and on paper."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from shieldwall.local.outcome import RunOutcome

_INK: Final = "#010203"
_FAINT: Final = "#010204"
_RUNS: Final = ("#010210", "#010211", "#010212", "#010213", "#010214", "#010215")
_VARIABLES: Final = {_INK: "currentColor", _FAINT: "var(--faint)"} | {
    colour: f"var(--run-{index})" for index, colour in enumerate(_RUNS)
}
"""matplotlib knows colours only by number: these are replaced in its output."""
_SETTINGS: Final[dict[Any, object]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "shieldwall",
    "font.family": "sans-serif",
    "font.size": 11,
    "text.color": _INK,
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "text.parse_math": False,
}
_SIZE: Final = (8.4, 3.4)
_MARKER_LIMIT: Final = 40


def metric_of(runs: Sequence[RunOutcome]) -> str | None:
    """What the chart shows: accuracy where there is one, otherwise any metric that all runs have."""
    measured = [set(record.metrics) for run in runs for record in run.released[:1]]
    shared = set.intersection(*measured) if measured else set()
    return "accuracy" if "accuracy" in shared else min(shared, default=None)


def colours(runs: Sequence[RunOutcome]) -> list[int]:
    """Which of the page's colours each run has: the first is for runs without protection."""
    numbers, protected = [], 0
    for run in runs:
        numbers.append(1 + protected % (len(_RUNS) - 1) if run.protected else 0)
        protected += run.protected
    return numbers


def metric_chart(runs: Sequence[RunOutcome], metric: str) -> Markup:
    """``metric`` by round, one line for each run; an ``svg`` element."""
    # matplotlib takes a second to import; it is needed only when a report is written.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_SETTINGS):
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes = figure.add_subplot()
        for run, colour in zip(runs, colours(runs), strict=True):
            _line(axes, run, metric, _RUNS[colour])
        _dress(axes, runs, metric)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return Markup(_adapt(text.getvalue()))  # noqa: S704  # matplotlib's own output; it escapes the labels


def _line(axes: Axes, run: RunOutcome, metric: str, colour: str) -> None:
    points = [(record.round, record.metrics[metric]) for record in run.released if metric in record.metrics]
    marker = "o" if len(points) <= _MARKER_LIMIT else None
    style = "-" if run.protected else "--"
    axes.plot(*zip(*points, strict=True), color=colour, linestyle=style, linewidth=2.2, marker=marker, markersize=4)


def _dress(axes: Axes, runs: Sequence[RunOutcome], metric: str) -> None:
    from matplotlib.ticker import MaxNLocator

    if metric == "accuracy":
        axes.set_ylim(0, 1.02)
    last = max((record.round for run in runs for record in run.released), default=1)
    axes.set_xlim(min(1, last) - 0.3, last + 0.3)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12))
    axes.set_xlabel("round")
    axes.set_ylabel(metric)
    axes.grid(axis="y", color=_FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0)


def _adapt(svg: str) -> str:
    """Only the element itself, without a background, coloured by the page's variables."""
    element = svg[svg.index("<svg") :]
    for colour, variable in _VARIABLES.items():
        element = element.replace(colour, variable)
    return element.replace('style="fill: #ffffff"', 'style="fill: none"')
