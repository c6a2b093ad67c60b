"""What differential privacy costs and what it saves: accuracy by ε and cohort, and attacks with and without it.

Results are kept in a file as they end, so an interrupted run goes on where it was; the page and its plots are written
from that file. A quarter of an hour of one core.

    python benchmarks/privacy_utility.py [--seeds 5] [--results bench/privacy.jsonl] [--page docs/privacy-measured.md]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

# Matrices this small gain nothing from threads; NumPy reads this when it is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from privacy_cases import CASES, Case, trial_of
from privacy_page import Attacked, page, utility_plots

from shieldwall.cli.views.attacked import cells as table_row
from shieldwall.contract.privacy import PrivacyMode
from shieldwall.lab.privacy.pictures import draw, save
from shieldwall.lab.privacy.utility import Cell, Utility, cells, measure

TASK = "digits"
CLAIM = Cell(TASK, PrivacyMode.RECORD_LEVEL, 1.0, 10, 0)
CLAIM_SEEDS = 40


class Results:
    """What was measured before, and a file to keep what is measured now."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self.utilities: dict[Cell, Utility] = {}
        self.attacks: dict[str, Attacked] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            kind, _, body = line.partition(" ")
            if kind == "utility":
                self._keep(Utility.model_validate_json(body))
            else:
                self._keep(Attacked(**json.loads(body)))

    def add(self, result: Utility | Attacked) -> None:
        """Keep a result, here and on disk."""
        self._keep(result)
        body = result.model_dump_json() if isinstance(result, Utility) else json.dumps(vars(result))
        with self._path.open("a", encoding="utf-8") as log:
            log.write(f"{type(result).__name__.lower()} {body}\n")

    def _keep(self, result: Utility | Attacked) -> None:
        if isinstance(result, Utility):
            self.utilities[result.cell] = result
        else:
            self.attacks[result.key] = result


def attacked(case: Case, directory: Path) -> Attacked:
    """Make one attack; the page's pictures go into ``directory``."""
    started, trial = time.process_time(), trial_of(case)
    found = list(trial.run(lambda text: print(text, file=sys.stderr, flush=True)))
    if case.drawn:
        draw(found, directory)
    held = all(one.holds for one in found)
    rows = [list(table_row(one)) for one in found]
    return Attacked(case.key, case.attack.value, rows, held, time.process_time() - started)


def main() -> int:
    """Measure what is not known, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--results", type=Path, default=Path("bench/privacy.jsonl"))
    parser.add_argument("--page", type=Path, default=Path("docs/privacy-measured.md"))
    arguments = parser.parse_args()
    results, directory = Results(arguments.results), arguments.page.with_suffix("")
    directory.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        if case.key not in results.attacks:
            results.add(attacked(case, directory))
    wanted = cells(TASK, arguments.seeds)
    claimed = [replace(CLAIM, seed=seed) for seed in range(CLAIM_SEEDS)]
    for cell in (*wanted, *claimed):
        if cell not in results.utilities:
            results.add(measure(cell))
            print(results.utilities[cell], file=sys.stderr, flush=True)
    measured = [results.utilities[cell] for cell in wanted]
    for name, figure in utility_plots(measured).items():
        save(figure, directory / name)
    command = " ".join(["python", "benchmarks/privacy_utility.py", *sys.argv[1:]])
    claims, attacks = [results.utilities[cell] for cell in claimed], [results.attacks[case.key] for case in CASES]
    arguments.page.write_text(page(measured, claims, attacks, command, directory.name), encoding="utf-8")
    print(f"{arguments.page}: {len(measured)} trainings, {len(results.attacks)} attacks", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
