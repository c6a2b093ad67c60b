"""Writes the report's two files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import jinja2

import shieldwall
from shieldwall.local.report import facts, sentences
from shieldwall.local.report.charts import colours, metric_chart, metric_of
from shieldwall.local.standing import Standing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from shieldwall.local.outcome import RunOutcome

_TEMPLATE: Final = "report.html.j2"
_LARGEST_STRIP: Final = 20_000
"""Marks in the table of rounds and clients; beyond that it is left out."""


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """What was written."""

    html: Path
    json: Path


def write_report(runs: Sequence[RunOutcome], path: Path) -> ReportFiles:
    """Write ``path`` (HTML) and the same with ``.json`` beside it; raises OSError."""
    files = ReportFiles(path, path.with_suffix(".json"))
    files.html.parent.mkdir(parents=True, exist_ok=True)
    files.html.write_text(as_html(runs), encoding="utf-8")
    files.json.write_text(as_json(runs), encoding="utf-8")
    return files


def as_json(runs: Sequence[RunOutcome]) -> str:
    """The report for programs."""
    document = {
        "version": 1,
        "shieldwall": shieldwall.__version__,
        "summary": sentences.summary(runs),
        "runs": [_run_json(run) for run in runs],
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _run_json(run: RunOutcome) -> dict[str, object]:
    rejected = [
        {"client": each.client, "fate": each.fate, "count": each.count, "rounds": each.rounds, "why": each.sentence}
        for each in facts.rejections(run)
    ]
    return {
        **run.model_dump(mode="json"),
        "summary": sentences.run_summary(run),
        "accuracy": run.accuracy,
        "epsilon": run.epsilon,
        "replies": {standing.value: facts.totals(run)[standing] for standing in Standing},
        "rejections": rejected,
        "banned": facts.banned(run),
    }


def as_html(runs: Sequence[RunOutcome]) -> str:
    """The report for people. Everything is escaped: names and errors come from strangers."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.PackageLoader("shieldwall.local.report", "templates"),
    )
    environment.filters |= {"number": sentences.number, "seconds": sentences.seconds, "when": _when, "size": _size}
    metric = metric_of(runs)
    return environment.get_template(_TEMPLATE).render(
        runs=runs,
        facts=facts,
        sentences=sentences,
        Standing=Standing,
        summary=sentences.summary(runs),
        metric=metric,
        colours=colours(runs),
        chart=metric_chart(runs, metric) if metric is not None else None,
        largest_strip=_LARGEST_STRIP,
        version=shieldwall.__version__,
    )


def _when(unix: float) -> str:
    return f"{datetime.fromtimestamp(unix, UTC):%Y-%m-%d %H:%M UTC}"


def _size(octets: int) -> str:
    kibi = octets / 1024
    return f"{kibi:.1f} KiB" if kibi < 1024 else f"{kibi / 1024:.1f} MiB"  # noqa: PLR2004  # KiB in a MiB
