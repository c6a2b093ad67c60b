"""What is measured: the time to make objects, by a bare loop and by the operator; then changes, and idleness."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from statistics import quantiles
from typing import TYPE_CHECKING, Any

import aiohttp

from scale.cluster import MERGE, Client, Put, until
from scale.program import NAMESPACE
from scale.trainings import ROUNDS, creations, name_of, namespace_of, namespaces
from shieldwall.control.cluster.kinds import CONFIG_MAP, SECRET, SERVICE_ACCOUNT, TRAINING
from shieldwall.control.plan.labels import TRAINING_LABEL
from shieldwall.control.plan.names import Names

if TYPE_CHECKING:
    from scale.program import Operator, Reading
    from scale.trainings import Objects

CALM_SECONDS = 5.0
SHARES = 20
"""Quantiles in steps of 5 %."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for."""

    stages: tuple[int, ...]
    """Trainings that there are after each stage; rising."""
    clients: int
    changes: int
    idle_seconds: float
    patience_seconds: float
    """At most, for each thing that is waited for."""
    objects: Objects

    def steps(self) -> list[range]:
        """The trainings that each stage adds."""
        return [range(first, last) for first, last in zip((0, *self.stages), self.stages, strict=False)]


@dataclass(frozen=True, slots=True)
class Stage:
    """What the operator did in one stage."""

    trainings: int
    applied_seconds: float
    """From the first training's creation until the last object was there."""
    applied_cpu_seconds: float
    calm_cpu_seconds: float
    """The same until all pods ran and no more requests were sent."""
    calm_requests: dict[str, int]
    """By verb."""
    refused: dict[str, int]
    """Answers of 400 and more, by verb and code; a look at what is not there is one."""
    passes: int
    memory_bytes: int
    config_map_seconds: float
    """95th percentile: from the change of a spec to its ConfigMap."""
    status_seconds: float
    """95th percentile: the same to a status that tells of it, the last thing a pass writes."""
    idle_requests_per_second: float
    idle_requests: dict[str, int]
    """By verb and kind."""
    idle_leases_per_second: float
    idle_cpu_share: float
    """Of one processor."""


@dataclass(frozen=True, slots=True)
class Bare:
    """What a bare loop needed for the objects of one stage."""

    seconds: float
    cpu_seconds: float
    """Of the loop itself."""


async def peer(client: Client, plan: Plan) -> list[Bare]:
    """Apply the objects of each stage in a bare loop."""
    found = []
    for numbers in plan.steps():
        await client.put_all(namespaces(numbers))
        answers = await client.put_all(creations(numbers, plan.clients))
        uids = [json.loads(answer)["metadata"]["uid"] for answer in answers]
        puts = [put for number, uid in zip(numbers, uids, strict=True) for put in plan.objects.of(number, uid)]
        began, used = time.monotonic(), time.process_time()
        await client.put_all(puts)
        found.append(Bare(time.monotonic() - began, time.process_time() - used))
        print(f"peer: {numbers.stop} trainings, the last {len(puts)} objects in {found[-1].seconds:.1f} s", flush=True)
        if numbers.stop != plan.stages[-1]:
            await _pods_run(client, plan, numbers.stop)
    return found


async def operator(client: Client, running: Operator, plan: Plan) -> list[Stage]:
    """The same by the operator, and what else is to be known of it."""
    stages = []
    async with aiohttp.ClientSession() as http:
        await until(lambda: _not(running.leads(http)), plan.patience_seconds)
        before = await _collections(client, plan) + Counter({SECRET.path(): 1})  # the root CA, with the first training
        for numbers in plan.steps():
            await client.put_all(namespaces(numbers))
            await _namespaces_complete(client, plan, numbers)
            stages.append(await _stage(client, running, http, plan, numbers, before))
    return stages


async def _stage(  # noqa: PLR0913, PLR0917  # all that it stands on
    client: Client,
    running: Operator,
    http: aiohttp.ClientSession,
    plan: Plan,
    numbers: range,
    before: Counter[str],
) -> Stage:
    start, began = await running.read(http), time.monotonic()
    await client.put_all(creations(numbers, plan.clients))
    # Every namespace brings a ServiceAccount and a ConfigMap of its own.
    spaces = len({namespace_of(number) for number in range(numbers.stop)})
    extra = Counter({CONFIG_MAP.path(): spaces, SERVICE_ACCOUNT.path(): spaces})
    wanted = Counter({path: count * numbers.stop for path, count in plan.objects.counts().items()}) + before + extra

    async def missing() -> dict[str, int]:
        there = await _collections(client, plan)
        return {path: count - there[path] for path, count in wanted.items() if there[path] != count}

    ended = await until(missing, plan.patience_seconds)
    applied = await running.read(http)
    print(f"operator: {numbers.stop} trainings, the last {len(numbers)} in {ended - began:.1f} s", flush=True)
    await _pods_run(client, plan, numbers.stop)
    calm = await _calm(running, http, plan)
    config_maps, statuses = await _changes(client, plan, numbers)
    await _pods_run(client, plan, numbers.stop)  # those that started again with another policy, too
    changed = await _calm(running, http, plan)
    await asyncio.sleep(plan.idle_seconds)
    idle = await running.read(http)
    return Stage(
        trainings=numbers.stop,
        applied_seconds=ended - began,
        applied_cpu_seconds=applied.cpu_seconds - start.cpu_seconds,
        calm_cpu_seconds=calm.cpu_seconds - start.cpu_seconds,
        calm_requests=dict(calm.requests - start.requests),
        refused=dict(calm.refused - start.refused),
        passes=calm.passes - start.passes,
        memory_bytes=idle.memory_bytes,
        config_map_seconds=_p95(config_maps),
        status_seconds=_p95(statuses),
        idle_requests_per_second=(idle.requests - changed.requests).total() / plan.idle_seconds,
        idle_requests=dict(idle.by_kind - changed.by_kind),
        idle_leases_per_second=(idle.leases - changed.leases) / plan.idle_seconds,
        idle_cpu_share=(idle.cpu_seconds - changed.cpu_seconds) / plan.idle_seconds,
    )


async def _not(question: Any) -> bool:  # noqa: ANN401  # an awaitable
    return not await question


async def _collections(client: Client, plan: Plan) -> Counter[str]:
    paths = list(plan.objects.counts())
    return Counter(dict(zip(paths, await asyncio.gather(*map(client.count, paths)), strict=True)))


async def _namespaces_complete(client: Client, plan: Plan, numbers: range) -> None:
    """Wait for what the controllers put into each new namespace."""

    async def missing() -> list[str]:
        found = await client.get(SERVICE_ACCOUNT.path(), fieldSelector="metadata.name=default")
        roots = await client.get(CONFIG_MAP.path(), fieldSelector="metadata.name=kube-root-ca.crt")
        sets = [{item["metadata"]["namespace"] for item in each["items"]} for each in (found, roots)]
        wanted = {namespace_of(number) for number in numbers} | {NAMESPACE}
        return sorted(wanted - (sets[0] & sets[1]))

    await until(missing, plan.patience_seconds)


async def _pods_run(client: Client, plan: Plan, trainings: int) -> None:
    wanted = plan.objects.pods * trainings

    async def missing() -> str:
        count = await client.running()
        return "" if count == wanted else f"{count} of {wanted} pods run"

    await until(missing, plan.patience_seconds, 2.0)


async def _calm(running: Operator, http: aiohttp.ClientSession, plan: Plan) -> Reading:
    """Wait until nothing but the Lease has been asked about for a while; how it was at the beginning of the calm."""
    last = await running.read(http)

    async def busy() -> Counter[str]:
        nonlocal last
        before, last = last, await running.read(http)
        return last.requests - before.requests

    await until(busy, plan.patience_seconds, CALM_SECONDS)
    return last


async def _changes(client: Client, plan: Plan, numbers: range) -> tuple[list[float], list[float]]:
    """Change specs of this stage all at once: how long until each ConfigMap, and each status, tells of it."""
    chosen = list(numbers)[: plan.changes]
    keys = {(namespace_of(number), name_of(number)): number for number in chosen}
    by_config_map = {(space, Names(name).policy): number for (space, name), number in keys.items()}
    sent: dict[int, float] = {}
    generations: dict[int, int] = {}
    config_maps: dict[int, float] = {}
    statuses: dict[int, float] = {}

    async def see_config_maps() -> None:
        async for body in client.watch(CONFIG_MAP.path(), labelSelector=TRAINING_LABEL):
            number = by_config_map.get((body["metadata"].get("namespace"), body["metadata"].get("name")))
            if number in sent:
                config_maps.setdefault(number, time.monotonic())

    async def see_statuses() -> None:
        async for body in client.watch(TRAINING.path()):
            number = keys.get((body["metadata"].get("namespace"), body["metadata"].get("name")))
            told = body.get("status", {}).get("observedGeneration", 0)
            if number in sent and told >= generations.get(number, 1 << 60):
                statuses.setdefault(number, time.monotonic())

    async def change(number: int) -> None:
        body = json.dumps({"spec": {"rounds": {"count": ROUNDS + 1}}}).encode()
        path = TRAINING.path(namespace_of(number), name_of(number))
        sent[number] = time.monotonic()
        answer = await client.put(Put("PATCH", path, body, MERGE, "kubectl"))
        generations[number] = json.loads(answer)["metadata"]["generation"]

    async def unseen() -> int:
        return 2 * len(chosen) - len(config_maps) - len(statuses)

    watching = [asyncio.create_task(see_config_maps()), asyncio.create_task(see_statuses())]
    try:
        await asyncio.sleep(1)  # until both are open
        await asyncio.gather(*map(change, chosen))
        await until(unseen, plan.patience_seconds)
    finally:
        for task in watching:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*watching)
    return [config_maps[n] - sent[n] for n in chosen], [statuses[n] - sent[n] for n in chosen]


def _p95(values: list[float]) -> float:
    return quantiles(values, n=SHARES, method="inclusive")[-1] if len(values) > 1 else max(values)
