"""An object that is changed back again and again is mended less often."""

from datetime import timedelta

import pytest

from shieldwall.control.cluster.brake import MOST, Brake
from shieldwall.control.cluster.errors import ContestedObjectError
from shieldwall.control.cluster.kinds import CONFIG_MAP
from shieldwall.control.cluster.live import live_of

from .conftest import NOW, body_of

KEY = ("fed", "digits")


class Fight:
    """Passes over one object."""

    def __init__(self):
        self.now = NOW
        self.brake = Brake(lambda: self.now)

    def wrong(self, seconds, manager="flux"):
        self.now += timedelta(seconds=seconds)
        entry = {"manager": manager, "fieldsV1": {"f:data": {}}}
        owner = {"apiVersion": "shieldwall.dev/v1alpha1", "kind": "FederatedTraining", "name": "digits", "uid": "u"}
        metadata = {"managedFields": [entry], "ownerReferences": [owner | {"controller": True}]}
        live = live_of(CONFIG_MAP, body_of(CONFIG_MAP, "digits-policy", 1, metadata=metadata))
        return self.brake.allows(KEY, live)

    def right(self, seconds):
        self.now += timedelta(seconds=seconds)
        self.brake.calm(KEY, live_of(CONFIG_MAP, body_of(CONFIG_MAP, "digits-policy", 1)))


def test_ten_mends_in_a_minute_are_made_and_then_one_a_minute():
    fight = Fight()
    assert [fight.wrong(1) for _ in range(MOST)] == [True] * MOST
    assert [fight.wrong(1) for _ in range(300)].count(True) == 5
    with pytest.raises(ContestedObjectError, match=r"ConfigMap digits-policy .*: flux\."):
        fight.brake.require_peace(KEY)


def test_slow_changes_are_all_mended():
    fight = Fight()
    assert all(fight.wrong(61 / MOST) for _ in range(100))
    fight.brake.require_peace(KEY)


def test_a_fight_is_over_two_minutes_after_the_last_mend():
    fight = Fight()
    for _ in range(MOST + 1):
        fight.wrong(1)
    fight.right(100)
    with pytest.raises(ContestedObjectError):
        fight.brake.require_peace(KEY)
    fight.right(30)
    fight.brake.require_peace(KEY)
    assert [fight.wrong(1) for _ in range(MOST)] == [True] * MOST


def test_another_operator_writes_under_our_own_name():
    fight = Fight()
    for _ in range(MOST + 1):
        fight.wrong(1, "shieldwall")
    with pytest.raises(ContestedObjectError, match=r": shieldwall\."):
        fight.brake.require_peace(KEY)


def test_a_training_that_has_gone_leaves_nothing():
    fight = Fight()
    for _ in range(MOST + 1):
        fight.wrong(1)
    fight.brake.forget(KEY)
    fight.brake.require_peace(KEY)


def test_what_is_no_longer_wanted_is_no_longer_contested():
    fight = Fight()
    for _ in range(MOST + 1):
        fight.wrong(1)
    fight.brake.keep(KEY, {("ConfigMap", "digits-policy")})
    with pytest.raises(ContestedObjectError):
        fight.brake.require_peace(KEY)
    fight.brake.keep(KEY, {("ConfigMap", "digits-trust")})
    fight.brake.require_peace(KEY)
    fight.brake.keep(("fed", "another"), set())


class Deletions(Fight):
    """Passes over one object that somebody deletes."""

    name = ("ConfigMap", "digits-policy")

    def gone(self, seconds):
        self.now += timedelta(seconds=seconds)
        allowed = self.brake.allows_making(KEY, self.name)
        if allowed:
            self.brake.made(KEY, self.name)
        return allowed


def test_what_is_deleted_again_and_again_is_made_anew_once_a_minute_and_told():
    fight = Deletions()
    assert [fight.gone(1) for _ in range(MOST)] == [True] * MOST
    fight.brake.require_peace(KEY)
    assert [fight.gone(1) for _ in range(300)].count(True) == 5
    with pytest.raises(ContestedObjectError, match=r"ConfigMap digits-policy was deleted or spoilt again and again"):
        fight.brake.require_peace(KEY)
    fight.right(121)
    fight.brake.require_peace(KEY)
    assert fight.gone(1)


def test_deleting_and_changing_by_turns_is_one_fight():
    fight = Deletions()
    turns = [fight.gone(1) if number % 2 else fight.wrong(1) for number in range(MOST)]
    assert turns == [True] * MOST
    assert not fight.gone(1)
    assert not fight.wrong(1)


def test_what_could_not_be_made_is_not_counted():
    fight = Deletions()
    assert all(fight.brake.allows_making(KEY, fight.name) for _ in range(5 * MOST))
    fight.brake.require_peace(KEY)
