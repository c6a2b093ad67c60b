"""The store against the order in which watches, lists and our own writes may come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shieldwall.control.cluster.kinds import CONFIG_MAP, SERVICE, TRAINING
from shieldwall.control.cluster.store import Store

from .conftest import body_of

KEY = ("fed", "digits")
OTHER = ("fed", "other")
POLICY = ("ConfigMap", "digits-policy")


@pytest.fixture
def store():
    return Store()


def policy(version, training="digits", uid="uid-1", **more):
    return body_of(CONFIG_MAP, "digits-policy", version, training=training, uid=uid, **more)


def training(version, name="digits", uid="t-1"):
    return body_of(TRAINING, name, version, training=None, uid=uid, spec={})


def version_of(store, key=KEY):
    live = store.owned(key).get(POLICY)
    return live.resource_version if live is not None else None


@given(st.permutations([9, 10, 11, 100]))
def test_the_newest_version_wins_in_any_order_as_a_number(order):
    store = Store()
    for version in order:
        store.put(CONFIG_MAP, policy(version))
        store.put_training(training(version))
    assert version_of(store) == 100
    assert store.training(KEY)["metadata"]["resourceVersion"] == "100"


def test_an_older_version_is_no_news(store):
    assert store.put(CONFIG_MAP, policy(5)) is not None
    assert store.put(CONFIG_MAP, policy(5)) is None
    assert store.put(CONFIG_MAP, policy(4)) is None


@pytest.mark.parametrize("known", [True, False])
def test_a_late_event_does_not_bring_back_what_was_deleted(store, known):
    if known:
        store.put(CONFIG_MAP, policy(5))
        store.put_training(training(5))
    store.remove(CONFIG_MAP, policy(8))
    store.remove_training(training(8))
    assert store.put(CONFIG_MAP, policy(7)) is None
    store.put_training(training(7))
    assert version_of(store) is None
    assert store.training(KEY) is None


def test_what_is_made_anew_under_the_same_name_is_taken(store):
    store.put(CONFIG_MAP, policy(5))
    store.remove(CONFIG_MAP, policy(8))
    store.put(CONFIG_MAP, policy(9, uid="uid-2"))
    assert version_of(store) == 9
    store.put_training(training(5))
    store.remove_training(training(8))
    store.put_training(training(9, uid="t-2"))
    assert store.training(KEY)["metadata"]["uid"] == "t-2"


def test_the_deletion_of_an_earlier_object_leaves_the_later_one(store):
    store.put(CONFIG_MAP, policy(9, uid="uid-2"))
    assert store.remove(CONFIG_MAP, policy(8, uid="uid-1")) is None
    store.put_training(training(9, uid="t-2"))
    store.remove_training(training(8, uid="t-1"))
    assert version_of(store) == 9
    assert store.training(KEY) is not None


def test_an_object_of_another_label_is_held_by_its_new_training_alone(store):
    store.put(CONFIG_MAP, policy(5))
    live = store.put(CONFIG_MAP, policy(6, training="other"))
    assert live.training == "other"
    assert version_of(store) is None
    assert version_of(store, OTHER) == 6


def test_who_lost_an_object_to_another_label_is_told(store):
    store.put(CONFIG_MAP, policy(5))
    assert store.holder(CONFIG_MAP, policy(6, training="other")) == KEY
    assert store.holder(SERVICE, policy(6)) is None
    changed = store.replace(CONFIG_MAP, [policy(6, training="other")], 10)
    assert changed == {KEY, OTHER}


def test_an_older_event_of_a_former_label_changes_nothing(store):
    store.put(CONFIG_MAP, policy(6, training="other"))
    assert store.put(CONFIG_MAP, policy(5)) is None
    assert version_of(store) is None
    assert version_of(store, OTHER) == 6


def test_an_object_that_lost_its_label_is_dropped_whoever_held_it(store):
    store.put(CONFIG_MAP, policy(5))
    assert store.remove(CONFIG_MAP, policy(6, training=None)) == KEY  # kopf's DELETED for a selector
    assert version_of(store) is None


def test_an_object_without_our_label_is_not_kept(store):
    assert store.put(CONFIG_MAP, policy(5, training=None)) is None
    assert not store.keys()


def test_a_list_drops_ghosts_but_nothing_newer_and_no_other_kind(store):
    store.put(CONFIG_MAP, policy(5))
    store.put(CONFIG_MAP, body_of(CONFIG_MAP, "digits-trust", 12))
    store.put(SERVICE, body_of(SERVICE, "digits-server", 5))
    assert store.replace(CONFIG_MAP, [], 10) == {KEY}
    assert set(store.owned(KEY)) == {("ConfigMap", "digits-trust"), ("Service", "digits-server")}


def test_a_list_of_trainings_names_those_that_went(store):
    for name, version in (("digits", 5), ("new", 12), ("stays", 6)):
        store.put_training(training(version, name))
    assert store.replace_trainings([training(6, "stays")], 10) == {KEY}
    assert store.keys() == {("fed", "new"), ("fed", "stays")}


def test_a_late_event_does_not_bring_back_what_a_list_has_dropped(store):
    """A watch may be behind the list: the DELETED that should follow is lost with a 410."""
    store.put(CONFIG_MAP, policy(5))
    store.put_training(training(5))
    store.replace(CONFIG_MAP, [], 10)
    store.replace_trainings([], 10)
    store.sweep()
    assert store.put(CONFIG_MAP, policy(7)) is None
    store.put_training(training(7))
    assert not store.keys()
    store.put_training(training(11))
    assert store.keys() == {KEY}


def test_a_late_event_after_a_deletion_and_a_list_does_not_bring_it_back(store):
    store.put_training(training(5))
    store.replace_trainings([training(5)], 6)
    store.remove_training(training(8))
    store.sweep()  # of a list that was asked for before the deletion
    store.put_training(training(7))
    assert store.training(KEY) is None


def test_nothing_is_remembered_for_ever(store):
    for index in range(100):
        body = body_of(CONFIG_MAP, f"object-{index}", 2 * index + 1, training=f"t{index}")
        store.put(CONFIG_MAP, body)
        store.remove(CONFIG_MAP, body_of(CONFIG_MAP, f"object-{index}", 2 * index + 2, training=f"t{index}"))
    for _ in range(2):
        store.replace(CONFIG_MAP, [], 1000)
        store.sweep()
    assert not any(len(held) for held in vars(store).values() if isinstance(held, dict) and held is not store._listed)


EVENTS = st.lists(st.tuples(st.sampled_from(["put", "relabel", "remove"]), st.integers(0, 2)), max_size=12)


@given(EVENTS, st.data())
def test_whatever_the_order_the_store_ends_as_the_cluster_is(history, data):
    """One object's life, seen by two watches of which each may lag and repeat; a last list makes it whole."""
    store, uid, label, version, events, truth = Store(), 0, "digits", 10, [], None
    for what, _ in history:
        version += 1
        if what == "remove" and truth is not None:
            events.append(
                (True, policy(version, truth["metadata"]["labels"][next(iter(truth["metadata"]["labels"]))], f"u{uid}"))
            )
            truth, uid = None, uid + 1
        elif what != "remove":
            label = {"digits": "other", "other": "digits"}[label] if what == "relabel" else label
            truth = policy(version, label, f"u{uid}")
            events.append((False, truth))
    late = data.draw(st.permutations(range(len(events)))) if events else []
    for index in [*range(len(events)), *late]:
        gone, body = events[index]
        if gone:
            store.remove(CONFIG_MAP, body)
        else:
            store.put(CONFIG_MAP, body)
    held = [(key, live.resource_version) for key in (KEY, OTHER) for live in store.owned(key).values()]
    expected = [] if truth is None else [(("fed", label), int(truth["metadata"]["resourceVersion"]))]
    assert held == expected
