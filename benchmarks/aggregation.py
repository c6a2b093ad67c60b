"""Aggregation rules against Flower's and ByzFL's, in one run, beside the time of reading the matrix once.

Machines differ and are noisy, so a figure is the median of interleaved runs, in reads: how many times the matrix could
have been read meanwhile, on one thread. Memory is what a run takes at most besides its input and its result.

    python benchmarks/aggregation.py [--cells 10x1e6,50x1e6] [--rules Krum,median] [--clock cpu] [--alone] [--output F]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rules.cases import BYZFL, FLOWER, OURS, Case, cases
from rules.measure import READ, extra_bytes, interleaved

from shieldwall.runtime.cpus import available_cpus

if TYPE_CHECKING:
    from rules.measure import Clock

CELLS = "10x1e6,50x1e6,200x1e6,10x1e7"
AIMS = {
    ("Krum", 50, 1_000_000): 7,
    ("median", 50, 1_000_000): 8,
    ("trimmed mean", 50, 1_000_000): 8,
    ("median", 10, 10_000_000): 4,
    ("NNM + trimmed mean", 200, 1_000_000): 25,
}
"""Reads."""
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "cpu": time.process_time}
MOST_EXTRA = 32 * 2**20
UNSEEN = 4 * 2**20
"""Less than what threads and their allocators take by chance."""
PAIR_SECONDS = 2.5e-9
"""A peer's time for a difference of two numbers and its square, about."""


def why_not(case: Case, name: str, patience: float) -> str:
    """Why a peer is left out of a case; empty when it is not."""
    needed, free = case.bytes_needed.get(name, 0), os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > free * 0.6:
        return f"takes {needed / 2**30:.0f} GiB"
    seconds = case.pairs.get(name, 0) * case.d * PAIR_SECONDS
    return f"about {seconds:.0f} s" if seconds > patience else ""


def measure(case: Case, matrix: np.ndarray, repeats: int, patience: float, clock: Clock) -> dict[str, object]:
    """One row of the table."""
    left_out = {name: reason for name in case.runs if (reason := why_not(case, name, patience))}
    runs = {name: run for name, run in case.runs.items() if name not in left_out}
    seconds = interleaved(runs, matrix, repeats, patience, clock)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "rule": case.rule, "n": case.n, "d": case.d, "seconds": median, "left_out": left_out,
        "reads": {name: median[name] / median[READ] for name in runs},
        "extra_bytes": {name: extra_bytes(run) for name, run in runs.items()},
    }  # fmt: skip


def complaints(row: dict) -> list[str]:
    """Where an aim is missed, or a peer is better."""
    reads, extra, where = row["reads"], row["extra_bytes"], f"{row['rule']} {row['n']}x{row['d']:.3g}"
    found = []
    aim = AIMS.get((row["rule"], row["n"], row["d"]))
    if aim is not None and reads[OURS] > aim:
        found.append(f"{where}: {reads[OURS]:.1f} reads where the aim is {aim}")
    if extra[OURS] > MOST_EXTRA:
        found.append(f"{where}: {extra[OURS] / 2**20:.0f} MiB where the aim is {MOST_EXTRA // 2**20}")
    for peer in (FLOWER, BYZFL):
        if peer in reads and reads[peer] < reads[OURS]:
            found.append(f"{where}: {peer} takes {reads[peer]:.1f} reads, Shieldwall {reads[OURS]:.1f}")
        if peer in extra and extra[OURS] > max(extra[peer], UNSEEN):
            found.append(f"{where}: {peer} takes {extra[peer] >> 20} MiB, Shieldwall {extra[OURS] >> 20}")
    return found


def line(row: dict) -> str:
    """One row for people."""

    def one(name: str) -> str:
        if name in row["left_out"]:
            return f"{row['left_out'][name]:>22}"
        if name not in row["reads"]:
            return f"{'–':>22}"
        return f"{row['reads'][name]:9.1f} {row['extra_bytes'][name] / 2**20:9.0f} MiB"

    seconds = row["seconds"]
    cells = f"{row['n']:4}x{row['d']:<8.3g} {row['rule']:25} {seconds[READ] * 1e3:8.1f}"
    return f"{cells} {seconds[OURS] * 1e3:9.1f} {one(OURS)} {one(FLOWER)} {one(BYZFL)}"


def main() -> int:
    """Print the table; write the figures if asked; 1 when an aim is missed or a peer is better."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", default=CELLS)
    parser.add_argument("--rules", default="")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--patience", type=float, default=30, help="seconds for a peer in a case")
    parser.add_argument(
        "--alone", action="store_true", help="leave the peers out, which may need many times the memory"
    )
    parser.add_argument("--threads", type=int, default=available_cpus())
    parser.add_argument(
        "--clock",
        choices=CLOCKS,
        default="wall",
        help="cpu: seconds of all threads together, which others on the machine disturb less",
    )
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
    print(f"{arguments.clock} clock, {arguments.threads} threads; {load}")
    print(f"{'':13} {'':25} {'read ms':>8} {'ms':>9} {'reads and extra: ours':>22} {'Flower':>22} {'ByzFL':>22}")
    rows, missed = [], []
    for cell in arguments.cells.split(","):
        n, d = (int(float(number)) for number in cell.split("x"))
        matrix = np.random.default_rng(1).standard_normal((n, d), dtype=np.float32)
        for case in cases(matrix, arguments.threads):
            if arguments.rules and case.rule not in arguments.rules.split(","):
                continue
            if arguments.alone:
                case = replace(case, runs={OURS: case.runs[OURS]})  # noqa: PLW2901
            row = measure(case, matrix, arguments.repeats, arguments.patience, CLOCKS[arguments.clock])
            rows.append(row)
            missed += complaints(row)
            print(line(row), flush=True)
        del matrix
    for complaint in missed:
        print(complaint)
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(rows, indent=1))
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
