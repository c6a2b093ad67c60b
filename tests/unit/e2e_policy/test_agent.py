"""The agent's loop: what is read in which order, what is applied, and what happens while the API server is away."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from ipaddress import IPv4Network
from types import SimpleNamespace

import pytest
from kubernetes.aio.client import ApiException, V1Namespace, V1NetworkPolicy, V1Pod
from policy.agent import Agent
from policy.node import NftError
from policy.watcher import Watcher
from unit.e2e_policy.objects import POD_CIDR, namespace, pod, policy
from unit.e2e_policy.simulator import Packet, Ruleset

ONE, TWO = pod("one", "10.244.0.2"), pod("two", "10.244.0.3")
ONE_TO_TWO = Packet("10.244.0.2", "10.244.0.3")


class Api:
    """The three lists; watches are not needed here, the watchers are filled by hand."""

    def __init__(self, pods, policies):
        self.policies = policies
        self.changed = asyncio.Event()
        self.pods = Watcher("pods", self.list_of(V1Pod, pods), self.changed, 60)
        self.namespaces = Watcher("namespaces", self.list_of(V1Namespace, [namespace("fed")]), self.changed, 60)
        self.listed = 0

    @staticmethod
    def list_of(model, objects):
        async def call(**_):
            items = [model.from_dict(each) for each in objects]
            return SimpleNamespace(items=items, metadata=SimpleNamespace(resource_version="1"))

        return call

    async def list_policies(self):
        self.listed += 1
        return [V1NetworkPolicy.from_dict(each) for each in self.policies]


class Node:
    def __init__(self):
        self.documents = []
        self.times = []
        self.broken = False

    def apply(self, document):
        if self.broken:
            raise NftError("no")
        self.documents.append(document)
        self.times.append(time.monotonic())

    def passes(self, packet):
        return Ruleset(self.documents[-1]).passes(packet)


def agent_of(api, node, *, policies=None, seconds=60.0, ready=lambda: None):
    return Agent(
        node, api.pods, api.namespaces, policies or api.list_policies,
        changed=api.changed, pod_cidr=IPv4Network(POD_CIDR), seconds=seconds, ready=ready,
    )  # fmt: skip


@asynccontextmanager
async def running(agent):
    task = asyncio.create_task(agent.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(probe):
    async with asyncio.timeout(10):
        while not probe():
            await asyncio.sleep(0.01)


async def test_before_anything_is_known_all_pods_are_closed():
    api, node = Api([ONE, TWO], []), Node()
    agent_of(api, node).close()
    assert not node.passes(ONE_TO_TWO)
    assert node.passes(Packet("10.244.0.2", "10.244.0.3", state="established"))


async def test_nothing_is_computed_before_both_lists_are_there():
    api, node = Api([ONE, TWO], []), Node()
    async with running(agent_of(api, node)):
        await api.pods._list()
        await asyncio.sleep(0.3)
        assert node.documents == []
        await api.namespaces._list()
        await until(lambda: node.documents)
    assert node.passes(ONE_TO_TWO)


async def test_ready_is_told_once_after_the_first_ruleset():
    api, node, told = Api([ONE, TWO], []), Node(), []
    await api.namespaces._list()
    async with running(agent_of(api, node, ready=lambda: told.append(len(node.documents)))):
        await api.pods._list()
        await until(lambda: told)
        api.policies = [policy()]
        api.changed.set()
        await until(lambda: not node.passes(ONE_TO_TWO))
    assert told == [1]


async def test_a_pod_seen_while_policies_are_listed_waits_for_the_next_list():
    """Its policy may be newer than that list: were it let in, it would be open for a moment."""
    api, node = Api([ONE], []), Node()
    await api.namespaces._list()
    await api.pods._list()

    async def slow():
        answer = await api.list_policies()
        if api.listed == 1:
            api.policies = [policy()]  # first the policy, then the pod, both after this list
            api.pods._objects["fed/two"] = V1Pod.from_dict(TWO)
            api.changed.set()
        return answer

    async with running(agent_of(api, node, policies=slow)):
        await until(lambda: len(node.documents) == 2)
    first, second = map(Ruleset, node.documents)
    assert not first.passes(ONE_TO_TWO)
    assert first.sets["pods"] == ["10.244.0.2"]
    assert not second.passes(ONE_TO_TWO)
    assert second.sets["pods"] == ["10.244.0.2", "10.244.0.3"]


async def test_the_same_ruleset_is_not_applied_for_every_event_but_again_after_a_time():
    api, node = Api([ONE], []), Node()
    await api.namespaces._list()
    await api.pods._list()
    async with running(agent_of(api, node, seconds=2.0)):
        await until(lambda: node.documents)
        while len(node.documents) == 1:
            api.changed.set()
            await asyncio.sleep(0.15)
        assert api.listed > 2
    assert node.documents[0] == node.documents[1]
    assert node.times[1] - node.times[0] > 1.99


async def test_while_policies_cannot_be_listed_the_ruleset_stays_and_then_follows():
    api, node = Api([ONE, TWO], [policy()]), Node()
    await api.namespaces._list()
    await api.pods._list()
    away = True

    async def policies():
        if away:
            api.listed += 1
            raise ApiException(status=503, reason="away")
        return await api.list_policies()

    async with running(agent_of(api, node, policies=policies)):
        await until(lambda: api.listed >= 2)
        assert node.documents == []
        away = False
        await until(lambda: node.documents)
    assert not node.passes(ONE_TO_TWO)


async def test_a_node_that_refuses_ends_the_agent():
    api, node = Api([ONE], []), Node()
    await api.namespaces._list()
    await api.pods._list()
    node.broken = True
    async with running(agent_of(api, node)) as task:
        with pytest.raises(NftError):
            await asyncio.wait_for(task, 10)
