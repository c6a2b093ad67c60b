"""What an event does: the store, the queue, and the doubt when a watch begins anew."""

import asyncio
import itertools

import pytest

from shieldwall.control import handlers
from shieldwall.control.cluster.kinds import BUDGET, CONFIG_MAP, OURS, OWNED, TRAINING
from shieldwall.control.cluster.store import Store
from shieldwall.control.workqueue import WorkQueue

from .conftest import TRAINING_LABEL, body_of

KEY, OTHER = ("fed", "digits"), ("fed", "other")


class Watch:
    """Sends events as kopf does."""

    def __init__(self):
        self.store, self.queue = Store(), WorkQueue(lambda: 0.5, coalesce=0)
        self.budgets = WorkQueue(lambda: 0.5, coalesce=0)
        registry = handlers.registry_of(None, self.store, self.queue, self.budgets)
        self._handlers = {
            str(each.selector.any_name or each.selector.plural): each for each in registry._watching._handlers
        }

    async def send(self, type_, kind, body):
        await self._handlers[kind.plural].fn(type=type_, body=body)
        return await self.taken()

    async def taken(self, queue=None):
        queue, keys = queue or self.queue, set()
        await asyncio.sleep(0.001)  # what is asked for soon
        while len(queue):
            key = await queue.get()
            queue.done(key)
            keys.add(key)
        return keys


def policy(version, training="digits"):
    return body_of(CONFIG_MAP, "digits-policy", version, training=training)


@pytest.fixture
def watch():
    return Watch()


def test_every_kind_is_watched_and_owned_ones_by_their_label(watch):
    assert set(watch._handlers) == {kind.plural for kind in (*OWNED, *OURS)}
    settings = handlers.settings_of()
    assert {settings.watching.label_selectors[kind.group, kind.version, kind.plural] for kind in OWNED} == {
        TRAINING_LABEL
    }
    assert not settings.posting.enabled
    assert settings.peering.standalone


def test_a_watch_is_tried_again_within_seconds_for_more_than_a_minute():
    waits = list(handlers.settings_of().networking.error_backoffs)
    assert max(waits) <= 5
    assert sum(waits) > 90


@pytest.mark.parametrize("type_", [None, "ADDED", "MODIFIED"])
async def test_an_event_brings_its_training_into_the_queue(watch, type_):
    assert await watch.send(type_, CONFIG_MAP, policy(5)) == {KEY}
    assert watch.store.owned(KEY)
    assert await watch.send(type_, TRAINING, body_of(TRAINING, "digits", 5, training=None)) == {KEY}
    assert watch.store.training(KEY)


async def test_what_is_known_already_is_no_news(watch):
    watch.store.put(CONFIG_MAP, policy(5))
    assert await watch.send("MODIFIED", CONFIG_MAP, policy(5)) == set()


async def test_a_deletion_does_too(watch):
    await watch.send("ADDED", CONFIG_MAP, policy(5))
    assert await watch.send("DELETED", CONFIG_MAP, policy(6)) == {KEY}
    assert not watch.store.owned(KEY)
    await watch.send("ADDED", TRAINING, body_of(TRAINING, "digits", 5, training=None))
    assert await watch.send("DELETED", TRAINING, body_of(TRAINING, "digits", 6, training=None)) == {KEY}
    assert watch.store.training(KEY) is None


async def test_a_changed_label_wakes_both_trainings(watch):
    await watch.send("ADDED", CONFIG_MAP, policy(5))
    assert await watch.send("MODIFIED", CONFIG_MAP, policy(6, "other")) == {KEY, OTHER}


async def test_a_watch_that_begins_anew_makes_the_store_doubtful_but_not_its_first_list(monkeypatch):
    now = itertools.count(0, 6).__next__
    monkeypatch.setattr(handlers.time, "monotonic", now)
    watch = Watch()  # at 0
    await watch.send(None, CONFIG_MAP, policy(5))  # at 6
    assert not watch.store.doubted.is_set()
    await watch.send("MODIFIED", CONFIG_MAP, policy(6))
    assert not watch.store.doubted.is_set()
    await watch.send(None, TRAINING, body_of(TRAINING, "digits", 5, training=None))  # at 12
    assert watch.store.doubted.is_set()


async def test_a_burst_of_events_of_owned_objects_is_looked_at_once_and_a_training_at_once(watch):
    watch.queue = queue = WorkQueue(lambda: 0.5, coalesce=0.05)
    registry = handlers.registry_of(None, watch.store, queue, watch.budgets)
    fns = {str(each.selector.any_name or each.selector.plural): each.fn for each in registry._watching._handlers}
    for version in range(5, 10):
        await fns[CONFIG_MAP.plural](type="MODIFIED", body=policy(version))
    assert len(queue) == 0
    await asyncio.sleep(0.1)
    assert await watch.taken() == {KEY}
    await fns[TRAINING.plural](type="MODIFIED", body=body_of(TRAINING, "digits", 20, training=None))
    assert len(queue) == 1


def drawing(name, version, budget="patients"):
    return body_of(TRAINING, name, version, training=None, spec={"privacy": {"budgetRef": budget}})


async def test_a_budget_and_the_trainings_that_draw_on_it_wake_each_other(watch):
    await watch.send("ADDED", TRAINING, drawing("digits", 5))
    assert await watch.taken(watch.budgets) == {("fed", "patients")}
    await watch.send("ADDED", TRAINING, drawing("faces", 6, "others"))
    await watch.send("ADDED", TRAINING, body_of(TRAINING, "plain", 7, training=None))
    assert await watch.taken(watch.budgets) == {("fed", "others")}
    assert await watch.send("ADDED", BUDGET, body_of(BUDGET, "patients", 8, training=None)) == {KEY}
    assert await watch.taken(watch.budgets) == {("fed", "patients")}
    assert watch.store.budgets.get(("fed", "patients"))["kind"] == "PrivacyBudget"
    assert await watch.send("DELETED", TRAINING, drawing("digits", 9)) == {KEY}
    assert await watch.taken(watch.budgets) == {("fed", "patients")}, "its share is settled now"
    await watch.send("DELETED", BUDGET, body_of(BUDGET, "patients", 10, training=None))
    assert watch.store.budgets.get(("fed", "patients")) is None


def test_kopf_keeps_and_computes_nothing_of_an_object():
    """Its stores would copy every object of every event, twice."""
    persistence = handlers.settings_of().persistence
    body = {"metadata": {"annotations": {"a": "b"}}, "spec": {"c": "d"}}
    assert persistence.diffbase_storage.build(body=body, extra_fields=()) == {}
    assert persistence.diffbase_storage.fetch(body=body) is None
    essence = {"spec": {}}
    assert persistence.progress_storage.clear(essence=essence) is essence
