"""When a replica acts, and when it stands by."""

import asyncio
from types import SimpleNamespace

import pytest

from shieldwall.control import main
from shieldwall.control.cluster.leadership import Seat
from shieldwall.control.config import OperatorConfig

SEAT = Seat("ops", "operator", "me")


class Worker:
    def __init__(self):
        self.told = []

    async def run(self):
        self.told.append("run")

    async def stand_by(self):
        self.told.append("stand by")
        try:
            await asyncio.sleep(3600)
        finally:
            self.told.append("no more")


def config(*, elects):
    return OperatorConfig.model_validate({"operatorNamespace": "ops", "leaderElection": {"enabled": elects}})


@pytest.mark.parametrize("elected", [True, False])
async def test_a_replica_stands_by_until_it_leads_and_no_longer(monkeypatch, elected):
    worker = Worker()

    async def lead(api, seat, terms, work):
        await asyncio.sleep(0.01)
        if elected:
            await work()

    monkeypatch.setattr(main, "lead", lead)
    await main._act(config(elects=True), SEAT, SimpleNamespace(api=None, worker=worker))
    await asyncio.sleep(0.01)
    assert worker.told == ["stand by", "no more", *(["run"] if elected else [])]


async def test_the_only_replica_acts_at_once():
    worker = Worker()
    await main._act(config(elects=False), SEAT, SimpleNamespace(api=None, worker=worker))
    assert worker.told == ["run"]
