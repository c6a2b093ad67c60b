"""What privacy costs a round of a 100 MB model: clipping, noise, accounting and the ledger, beside the rule itself.

Seconds are medians of interleaved runs, in reads: how often the round's replies could have been read meanwhile on one
thread. The peer is Flower's own differential privacy, which clips and adds noise and counts nothing. Memory is what a
run takes at most besides its input and its result.

    python benchmarks/privacy_overhead.py [--clients 10] [--parameters 2.5e7] [--rounds 100] [--output FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from flwr.supercore import differential_privacy as flower
from rules.measure import READ, extra_bytes, interleaved

from shieldwall.accounting import noise_multiplier_for
from shieldwall.contract.policy import AggregationPolicy, Rule
from shieldwall.contract.privacy import PrivacyMode, Spend
from shieldwall.runtime.aggregation import Updates, aggregate
from shieldwall.runtime.checkpoint import CheckpointStore
from shieldwall.runtime.cpus import available_cpus
from shieldwall.runtime.privacy.ledger import epsilon_spent, rounds_left
from shieldwall.runtime.privacy.mechanism import add_noise, clip, os_generator

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Run = Callable[[], object]

DELTA, CLIP = 1e-5, 1.0
RULE = "the rule, without privacy"
PAIRS = {
    "noise on the aggregate": "Flower: noise on the aggregate",
    "a client's clip and noise": "Flower: a client's clip and noise",
}


def spend(number: int, clients: int, noise: float) -> Spend:
    """A line of the ledger: one release of all clients."""
    return Spend(
        run_id="bench",
        round=number,
        attempt=1,
        mode=PrivacyMode.CLIENT_LEVEL_CENTRAL,
        noise_multiplier=noise,
        releases=1,
        clients=tuple(f"client-{place}" for place in range(clients)),
        clip=CLIP,
        sensitivity=2 * CLIP / clients,
    )


def runs(matrix: NDArray[np.float32], rounds: int, directory: Path) -> dict[str, Run]:
    """What is measured, by name; ``matrix`` is the round's replies, (n, d), each 4·d bytes."""
    clients, _ = matrix.shape
    updates, generator = Updates.of(list(matrix)), os_generator()
    policy = AggregationPolicy(rule=Rule.CLIPPED_MEAN, max_norm=CLIP)
    noise = noise_multiplier_for(1.0, DELTA, rounds)
    spends = [spend(number, clients, noise) for number in range(1, rounds)]
    store, vector = CheckpointStore(directory), matrix[0].copy()

    def account() -> tuple[float, int]:
        last = spend(rounds, clients, noise)
        return epsilon_spent([*spends, last], DELTA), rounds_left(spends, last, 1.0, DELTA, 1)

    def client(add: Callable[[NDArray[np.float32]], None]) -> Run:
        return lambda: add(vector)

    def ours(update: NDArray[np.float32]) -> None:
        clip(update, CLIP)
        add_noise(update, noise * 2 * CLIP, generator)

    def theirs(update: NDArray[np.float32]) -> None:
        flower.clip_inputs_inplace([update], CLIP)
        flower.add_gaussian_noise_inplace([update], noise * 2 * CLIP)

    central, local = PAIRS
    return {
        RULE: lambda: aggregate(updates, policy, 1, available_cpus()),
        central: client(lambda update: add_noise(update, noise * 2 * CLIP / clients, generator)),
        PAIRS[central]: client(lambda update: flower.add_gaussian_noise_inplace([update], noise * 2 * CLIP / clients)),
        local: client(ours),
        PAIRS[local]: client(theirs),
        f"ε of {rounds} rounds, and how many are left": account,
        "a line of the ledger, synced to disk": lambda: store.spend(spend(len(store.spends) + 1, clients, noise)),
    }


def main() -> int:
    """Print the table; write the figures if asked; 1 where Flower's clip or noise is faster or smaller."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--parameters", type=float, default=2.5e7)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    shape = (arguments.clients, int(arguments.parameters))
    matrix = np.random.default_rng(1).standard_normal(shape, dtype=np.float32)
    print(f"{shape[0]} replies of {shape[1] * 4 / 1e6:.0f} MB; load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="shieldwall-bench-") as directory:
        each = runs(matrix, arguments.rounds, Path(directory) / "model")
        seconds = interleaved(each, matrix, arguments.repeats, 60, time.perf_counter)
        extra = {name: extra_bytes(run) for name, run in each.items()}
    median = {name: statistics.median(values) for name, values in seconds.items()}
    rows = {
        name: {"seconds": median[name], "reads": median[name] / median[READ], "extra_bytes": extra[name]}
        for name in each
    }
    print(f"{'':45} {'ms':>9} {'reads':>7} {'extra':>9}")
    for name, row in rows.items():
        print(f"{name:45} {row['seconds'] * 1e3:9.2f} {row['reads']:7.2f} {row['extra_bytes'] / 2**20:5.0f} MiB")
    worse = [
        f"{name}: Flower is better"
        for name, peer in PAIRS.items()
        if rows[peer]["seconds"] < rows[name]["seconds"] or rows[peer]["extra_bytes"] < rows[name]["extra_bytes"]
    ]
    print(*worse, sep="\n", end="\n" if worse else "")
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(rows, indent=1))
    return int(bool(worse))


if __name__ == "__main__":
    sys.exit(main())
