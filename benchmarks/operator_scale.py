"""How the operator fares with many trainings, on a real API server with controllers and fake nodes, on loopback.

Beside it, in the same run and on a cluster of its own, a bare loop applies the very same objects, 16 in flight: the
ratio of the two times is what keys, certificates, plans and statuses cost. Needs ``make tools``.

    python benchmarks/operator_scale.py [--stages 100,200,300] [--clients 10] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from scale.cluster import Client, Cluster
from scale.measure import Bare, Plan, Stage, operator, peer
from scale.program import NAMESPACE, Operator
from scale.trainings import objects

from shieldwall.control.config import OperatorConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

GOAL = 1.5
MIB = 1 << 20


async def _peer(cluster: Cluster, plan: Plan) -> list[Bare]:
    async with Client(cluster.server, "peer") as client:
        return await peer(client, plan)


async def _operator(cluster: Cluster, running: Operator, plan: Plan) -> list[Stage]:
    async with Client(cluster.server, "benchmark") as client:
        return await operator(client, running, plan)


def run(plan: Plan, directory: Path, profile: Path | None, workers: int) -> tuple[list[Bare], list[Stage]]:
    """The peer on one new cluster, then the operator on another."""
    with Cluster(directory / "peer") as cluster:
        bare = asyncio.run(_peer(cluster, plan))
    with Cluster(directory / "operator") as cluster:
        cluster.server.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        with Operator(cluster.server, directory, workers, profile) as running:
            return bare, asyncio.run(_operator(cluster, running, plan))


def _table(plan: Plan, bare: Sequence[Bare], stages: Sequence[Stage]) -> None:
    each = sum(plan.objects.counts().values())
    load = os.getloadavg()[1]
    print(
        f"\n{plan.clients} clients each: {each} objects, {plan.objects.pods} pods; {os.cpu_count()} processors for all,"
    )
    print(f"controllers and API server too; load of the last 5 minutes {load:.1f}")
    rows: dict[str, list[str]] = {
        "trainings": [str(stage.trainings) for stage in stages],
        "added": [str(len(numbers)) for numbers in plan.steps()],
        "objects made, s": [f"{stage.applied_seconds:.1f}" for stage in stages],
        "bare loop, s": [f"{each.seconds:.1f}" for each in bare],
        "ratio": [f"{ratio:.2f}" for ratio in _ratios(bare, stages)],
        "processor of the bare loop, s": [f"{each.cpu_seconds:.1f}" for each in bare],
        "processor until made, s": [f"{stage.applied_cpu_seconds:.1f}" for stage in stages],
        "processor until calm, s": [f"{stage.calm_cpu_seconds:.1f}" for stage in stages],
        "passes per training": [
            f"{stage.passes / len(numbers):.1f}" for stage, numbers in zip(stages, plan.steps(), strict=True)
        ],
    }
    for verb in sorted({verb for stage in stages for verb in stage.calm_requests}):
        rows[f"  {verb} per training"] = [
            f"{stage.calm_requests.get(verb, 0) / len(numbers):.1f}"
            for stage, numbers in zip(stages, plan.steps(), strict=True)
        ]
    rows |= {
        f"change to ConfigMap, p95 of {plan.changes}, s": [f"{stage.config_map_seconds:.2f}" for stage in stages],
        f"change to status, p95 of {plan.changes}, s": [f"{stage.status_seconds:.2f}" for stage in stages],
        "memory, MiB": [f"{stage.memory_bytes / MIB:.0f}" for stage in stages],
        "idle, requests/s": [f"{stage.idle_requests_per_second:.2f}" for stage in stages],
        "idle, of the Lease, requests/s": [f"{stage.idle_leases_per_second:.2f}" for stage in stages],
        "idle, share of a processor": [f"{stage.idle_cpu_share:.1%}" for stage in stages],
    }
    for title, cells in rows.items():
        print(f"  {title:42}" + "".join(f"{cell:>10}" for cell in cells))
    print(f"  {'ratio of all stages':42}{_total(bare, stages):10.2f}   (at most {GOAL})")


def _ratios(bare: Sequence[Bare], stages: Sequence[Stage]) -> list[float]:
    return [stage.applied_seconds / each.seconds for stage, each in zip(stages, bare, strict=True)]


def _total(bare: Sequence[Bare], stages: Sequence[Stage]) -> float:
    return sum(stage.applied_seconds for stage in stages) / sum(each.seconds for each in bare)


def _rising(text: str) -> tuple[int, ...]:
    stages = tuple(int(each) for each in text.split(","))
    if not stages or stages[0] < 1 or any(later <= earlier for earlier, later in pairwise(stages)):
        raise argparse.ArgumentTypeError(f"{text}: numbers of trainings that rise, such as 100,200,300")
    return stages


def main() -> int:
    """Print the table; write the figures if asked; 1 when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", type=_rising, default=(100, 200, 300), help="trainings after each stage")
    parser.add_argument("--clients", type=int, default=10, help="clients of each training")
    parser.add_argument("--workers", type=int, default=OperatorConfig().workers, help="trainings worked on at a time")
    parser.add_argument("--changes", type=int, default=50, help="specs changed at once in each stage")
    parser.add_argument("--idle", type=float, default=60, help="seconds of idleness measured in each stage")
    parser.add_argument("--patience", type=float, default=600, help="seconds, for each thing that is waited for")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--profile", type=Path, help="run the operator under cProfile, which makes it slower")
    parser.add_argument("--keep", type=Path, help="a new directory for logs, which stay")
    arguments = parser.parse_args()
    made = asyncio.run(objects(arguments.clients, OperatorConfig()))
    plan = Plan(arguments.stages, arguments.clients, arguments.changes, arguments.idle, arguments.patience, made)
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        directory = arguments.keep or Path(scratch)
        directory.mkdir(parents=True, exist_ok=True)
        bare, stages = run(plan, directory, arguments.profile, arguments.workers)
    _table(plan, bare, stages)
    ratio = _total(bare, stages)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        figures = {
            "bare": [asdict(each) for each in bare],
            "stages": [asdict(stage) for stage in stages],
            "ratio": ratio,
            "goal": GOAL,
        }
        arguments.json.write_text(json.dumps(figures, indent=1))
    return int(ratio > GOAL)


if __name__ == "__main__":
    sys.exit(main())
