"""The user's ClientApp as the laboratory calls it."""

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.clientapp import ClientApp

from shieldwall.lab.attacks import Poison
from shieldwall.lab.cohort import AppCohort
from shieldwall.lab.grid import Asked, Member
from shieldwall.runtime.flower.messages import RoundFacts
from shieldwall.runtime.flower.packing import pack
from shieldwall.runtime.model import model_sha256

ARRAYS = {"w": np.zeros(2, np.float32)}
FACTS = RoundFacts("uid", "1", 1, 1, "00", model_sha256(ARRAYS))


@pytest.fixture
def ask(laboratory):
    """Questions to members, as the engine sends them: the records of all are the same objects."""
    packed = pack({name: Array(array) for name, array in ARRAYS.items()})
    config = ConfigRecord({"server-round": 1})

    def asked(*names, facts=FACTS):
        return [
            Asked(
                Member(name, place),
                Message(RecordDict({"arrays": packed, "config": config}), place, "train"),
                facts,
            )
            for place, name in enumerate(names, 1)
        ]

    return asked


def app(train):
    made = ClientApp()
    made.train()(train)
    return made


def cohort(train, poison=None, turned=None):
    apps = {None: app(train)} | ({Poison.LABELS: app(turned)} if turned else {})
    return AppCohort(apps, poison or {}, {"lr": 0.5}, ["a", "b", "c"], {"b": {"bed": 4}, "c": {"partition-id": 9}})


def echo(**metrics):
    return RecordDict({"arrays": ArrayRecord(array_dict={n: Array(a) for n, a in ARRAYS.items()})} | metrics)


def test_each_client_is_told_its_place_and_the_runs_configuration(ask):
    seen = {}

    def train(message, context):
        seen[context.node_id] = (dict(context.node_config), dict(context.run_config))
        return Message(echo(), reply_to=message)

    cohort(train).answer(ask("a", "b", "c"))
    assert [own["partition-id"] for own, _ in seen.values()] == [0, 1, 9]
    assert seen[2] == ({"partition-id": 1, "num-partitions": 3, "bed": 4}, {"lr": 0.5})


def test_a_client_keeps_its_state_from_round_to_round_and_for_itself(ask):
    counts = []

    def train(message, context):
        before = context.state["n"]["rounds"] if "n" in context.state else 0
        context.state["n"] = ConfigRecord({"rounds": before + 1})
        counts.append((context.node_id, before + 1))
        return Message(echo(), reply_to=message)

    group = cohort(train)
    for _ in range(2):
        group.answer(ask("a", "b"))
    assert counts == [(1, 1), (2, 1), (1, 2), (2, 2)]


def test_what_one_client_does_to_its_message_no_other_sees(ask):
    seen = []

    def train(message, _):
        seen.append(message.content["config"]["server-round"])
        message.content["config"]["server-round"] = 99
        message.content["arrays"]["w"] = Array(np.ones(2, np.float32))
        return Message(echo(), reply_to=message)

    replies = cohort(train).answer(ask("a", "b"))
    assert seen == [1, 1]
    assert all(reply.has_content() for reply in replies)


def test_an_app_that_raises_answers_with_an_error_as_a_supernode_does(ask):
    def train(message, context):
        if context.node_id == 1:
            raise ValueError("no data here")
        return Message(echo(), reply_to=message)

    failed, fine = cohort(train).answer(ask("a", "b"))
    assert "ValueError: no data here" in failed.error.reason
    assert fine.has_content()


def test_an_app_is_not_called_with_another_model_than_the_round_names(ask):
    facts = RoundFacts("uid", "1", 1, 1, "00", "ff" * 32)
    (reply,) = cohort(lambda message, _: Message(echo(), reply_to=message)).answer(ask("a", facts=facts))
    assert "not the one that the round names" in reply.error.reason


def test_who_trains_on_poisoned_data_runs_the_turned_copy(ask):
    ran = []

    def clean(message, context):
        ran.append(("clean", context.node_id))
        return Message(echo(), reply_to=message)

    def turned(message, context):
        ran.append(("turned", context.node_id))
        return Message(echo(), reply_to=message)

    cohort(clean, {"b": Poison.LABELS}, turned).answer(ask("a", "b"))
    assert ran == [("clean", 1), ("turned", 2)]
