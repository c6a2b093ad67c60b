"""Kept objects are those that would be built anew; and they are kept while nothing of theirs changes."""

import dataclasses

import pytest

from shieldwall.contract.identity import Federation
from shieldwall.control.cluster.wanted import MANIFEST_HASH, wanted_of
from shieldwall.control.plan import PlanSettings, build_plan
from shieldwall.control.plan.orders import Trust
from shieldwall.control.plan.outline import outline_of
from shieldwall.control.planner import Planner

from .conftest import NOW, Shell, make_training

SETTINGS = PlanSettings()


@pytest.fixture(scope="module")
def complete():
    return Shell(Federation("cluster.local", "fed", "digits")).settle(make_training(), SETTINGS)


def test_nothing_is_built_anew_while_nothing_changes(complete):
    planner = Planner(SETTINGS)
    first = planner.plan_for(make_training(), complete, NOW)
    again = planner.plan_for(make_training(), dataclasses.replace(complete, leaves=dict(complete.leaves)), NOW)
    assert first.wanted
    assert again.wanted is first.wanted


@pytest.mark.parametrize(
    "change",
    [
        lambda observed: dataclasses.replace(observed, trust=Trust("another\n", "crl\n")),
        lambda observed: dataclasses.replace(observed, trust=None),
        lambda observed: dataclasses.replace(observed, node_keys={}),
        lambda observed: dataclasses.replace(observed, shared_secrets=frozenset()),
        lambda observed: dataclasses.replace(observed, leaves={}),
    ],
)
def test_every_change_of_what_exists_is_in_the_plan(complete, change):
    planner, training = Planner(SETTINGS), make_training()
    planner.plan_for(training, complete, NOW)
    changed = change(complete)
    planned, fresh = planner.plan_for(training, changed, NOW), build_plan(training, changed, SETTINGS, NOW)
    assert planned.plan == dataclasses.replace(fresh, objects=())
    assert planned.outline == outline_of("digits", fresh.objects)
    assert planned.wanted == tuple(wanted_of(obj) for obj in fresh.objects)
    again = planner.plan_for(training, complete, NOW)
    assert again.wanted == tuple(wanted_of(obj) for obj in build_plan(training, complete, SETTINGS, NOW).objects)


@pytest.mark.parametrize(
    "training",
    [
        make_training(spec={"suspend": True}),
        make_training(clients=4),
        make_training(uid="0b6e"),
        make_training(namespace="elsewhere"),
    ],
)
def test_every_change_of_the_training_is_in_the_plan(complete, training):
    planner = Planner(SETTINGS)
    planner.plan_for(make_training(), complete, NOW)
    planned, fresh = planner.plan_for(training, complete, NOW), build_plan(training, complete, SETTINGS, NOW)
    assert planned.plan == dataclasses.replace(fresh, objects=())
    assert planned.wanted == tuple(wanted_of(obj) for obj in fresh.objects)


def test_orders_are_those_of_now_although_objects_are_kept(complete):
    planner, training = Planner(SETTINGS), make_training()
    assert planner.plan_for(training, complete, NOW).plan.complete
    later = max(leaf.not_valid_after_utc for leaf in complete.leaves.values())
    assert not planner.plan_for(training, complete, later).plan.complete


def test_what_is_forgotten_is_built_anew(complete):
    planner, training = Planner(SETTINGS), make_training()
    first = planner.plan_for(training, complete, NOW)
    planner.forget(("fed", "digits"))
    again = planner.plan_for(training, complete, NOW)
    assert again.wanted == first.wanted
    assert again.wanted is not first.wanted


def test_an_object_is_stamped_with_a_hash_of_itself(complete):
    policies = [
        wanted
        for rounds in (30, 30, 31)
        for obj in build_plan(make_training({"rounds": {"count": rounds}}), complete, SETTINGS, NOW).objects
        if (wanted := wanted_of(obj)).name == "digits-policy"
    ]
    assert policies[0] == policies[1]
    assert policies[0].digest != policies[2].digest
    assert policies[0].body()["metadata"]["annotations"][MANIFEST_HASH] == policies[0].digest
