"""Whom the operator follows, and when it does not wait for the next question."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest

from shieldwall.control.api.parse import parse_training
from shieldwall.control.issuing.randomness import Randomness
from shieldwall.control.plan import PlanSettings
from shieldwall.control.plan.orders import Observed, Trust
from shieldwall.control.stewards import Stewards

from .conftest import NOW, training_body

KEY = ("fed", "digits")


class Watches:
    """Keeps what it is told."""

    def __init__(self):
        self.told = []

    def start(self, key):
        self.told.append("start")

    def stop(self, key):
        self.told.append("stop")

    def nudge(self, key):
        self.told.append("nudge")


@pytest.fixture
async def stewards(monkeypatch):
    made = Stewards(None, PlanSettings(), Randomness(), lambda: NOW, lambda: 0.5, lambda _: None)
    monkeypatch.setattr(made, "_watches", Watches())
    return made


def observed(serial):
    leaf = SimpleNamespace(serial_number=serial)
    return Observed(trust=Trust("ca", "crl"), issuer=leaf, leaves={"digits-server-tls": leaf} if serial else {})


async def test_a_steward_is_asked_at_once_when_its_servers_leaf_was_renewed(stewards):
    training = parse_training(training_body())
    for serial in (1, 1, 2, 2):
        stewards.follow(training, observed(serial), running=True)
    assert stewards._watches.told == ["start", "start", "start", "nudge", "start"]


@pytest.mark.parametrize(("serial", "shown", "current"), [(171, "ab", True), (171, "cd", False), (None, "ab", True)])
async def test_the_leaf_in_the_secret_is_the_one_to_be_served(stewards, serial, shown, current):
    stewards.follow(parse_training(training_body()), observed(serial), running=True)
    assert stewards._is_current(KEY, shown) is current


async def test_annotations_that_want_a_client_back_reach_the_watch(monkeypatch):
    given = {}
    monkeypatch.setattr("shieldwall.control.stewards.StewardWatches", lambda **parts: given.update(parts) or Watches())
    stewards = Stewards(None, PlanSettings(), Randomness(), lambda: NOW, lambda: 0.5, lambda _: None)
    body = training_body()
    client = body["spec"]["clients"][0]["name"]
    body["metadata"]["annotations"] = {f"reinstate.shieldwall.dev/{client}": "1"}
    stewards.follow(parse_training(body), observed(171), running=True)
    assert given["reinstatements"](KEY) == {client: "1"}


async def test_a_pod_that_missed_a_nudge_is_named_again_after_half_a_minute(stewards):
    stewards.follow(parse_training(training_body()), observed(171), running=True)
    status = SimpleNamespace(aggregator_serial=None, clients=())
    stewards._sights[KEY] = SimpleNamespace(reachable=True, server_serial="ab", status=status)
    assert stewards.behind(KEY, NOW) == frozenset(), "what is in the Secret is served"
    stewards._sights[KEY].server_serial = "cd"
    late = [stewards.behind(KEY, NOW + timedelta(seconds=seconds)) for seconds in (0, 1, 29, 30, 31)]
    assert late == [{"digits-server-tls"}, set(), set(), {"digits-server-tls"}, set()]
    stewards._sights[KEY].reachable = False
    assert stewards.behind(KEY, NOW + timedelta(seconds=90)) == frozenset(), "nobody knows what is served"
