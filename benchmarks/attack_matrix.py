"""Every attack against every rule on two tasks, by the pods' own round code in this process.

15 clients of which 3 attack, data shared out by a Dirichlet distribution with α = ∞, 0.5 and 0.1, five seeds. Trials
are kept in a file as they end, so an interrupted matrix goes on where it was, and the page is written from that file.
Rules come from the policy itself: a new one is measured without a change here.

    python benchmarks/attack_matrix.py [--seeds 5] [--tasks digits mnist] [--results bench/attack_matrix.jsonl]
                                       [--page docs/attack-matrix.md]
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

# Matrices this small gain nothing from threads; NumPy reads this when it is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from shieldwall.lab.attacks import PLANS, Goal, LabAttack
from shieldwall.lab.matrix import ALPHAS, ROUNDS, SEEDS, Result, cells, defences, measure, policy_of, protocol_fates
from shieldwall.lab.matrix_page import Facts, page
from shieldwall.lab.run import Laboratory
from shieldwall.lab.tasks import TASKS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shieldwall.lab.matrix import Cell

ATTACKS = (None, *(kind for kind, plan in PLANS.items() if plan.goal is not Goal.PROTOCOL), LabAttack.INFLATED_EXAMPLES)
KIBIBYTE = 1024


def read(path: Path) -> dict[tuple[object, ...], Result]:
    """Trials that were run before."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {result.key: result for result in map(Result.model_validate_json, lines)}


def run(todo: Iterable[Cell], known: dict[tuple[object, ...], Result], path: Path, laboratory: Laboratory) -> None:
    """Run what is not known yet, and keep it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with path.open("a") as log:
        for done, cell in enumerate([cell for cell in todo if cell.key not in known], 1):
            result = measure(cell, laboratory)
            known[result.key] = result
            log.write(result.model_dump_json() + "\n")
            if done % 100 == 0:
                log.flush()
                print(f"{done} trials in {time.monotonic() - started:.0f} s: {cell.key}", file=sys.stderr, flush=True)


def main() -> int:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--tasks", nargs="+", choices=sorted(TASKS), default=list(TASKS))
    parser.add_argument("--alphas", nargs="+", type=float, default=list(ALPHAS))
    parser.add_argument("--before", nargs="*", help="pre-aggregations to measure; all when absent")
    parser.add_argument("--results", type=Path, default=Path("bench/attack_matrix.jsonl"))
    parser.add_argument("--page", type=Path, default=Path("docs/attack-matrix.md"))
    arguments = parser.parse_args()
    chosen, refused = defences()
    if arguments.before is not None:
        chosen = [defence for defence in chosen if defence.before is None or defence.before in arguments.before]
    wanted = list(cells(arguments.tasks, arguments.alphas, ATTACKS, chosen, arguments.seeds))
    known = read(arguments.results)
    with Laboratory.of(policy_of(chosen[0].policy, ROUNDS), datetime.now(UTC)) as laboratory:
        run(wanted, known, arguments.results, laboratory)
        fates = protocol_fates(laboratory)
    results = [known[cell.key] for cell in wanted]
    facts = Facts(
        command=" ".join(["python", *_shown(sys.argv)]),
        seeds=arguments.seeds,
        seconds=math.fsum(result.seconds for result in results),
        peak_mebibytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIBIBYTE,
        refused=refused,
    )
    arguments.page.write_text(page(results, chosen, fates, facts))
    print(f"{arguments.page}: {len(results)} trials", file=sys.stderr)
    return 0


def _shown(argv: list[str]) -> list[str]:
    """The command without directories of this machine."""
    return ["benchmarks/attack_matrix.py", *argv[1:]]


if __name__ == "__main__":
    sys.exit(main())
