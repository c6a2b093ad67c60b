import datetime as dt

import pytest

from shieldwall.contract.records import Phase
from shieldwall.control.status.previous import previous_status
from shieldwall.control.status.sight import Trouble
from shieldwall.control.status.stalled import stalled_status
from shieldwall.control.status.summarise import summarise

LATER = dt.timedelta(seconds=20)


def test_all_conditions_are_always_there_in_one_order(world):
    types = ["Ready", "Reconciling", "Stalled", "Suspended", "Certificates", "Privacy", "PrivacySignal"]
    for facts in ({}, {"steward": None}, {"trouble": Trouble("ForeignObject", "Not ours.")}):
        assert [each.type for each in summarise(world.sight(**facts)).conditions] == types


def test_each_condition_carries_the_generation(world):
    status = summarise(world.sight(world.training(generation=5)))
    assert {each.observed_generation for each in status.conditions} == {5}


def test_a_conditions_time_moves_when_its_status_flips_and_at_nothing_else(world, condition):
    training = world.training()
    first = summarise(world.sight(training))
    further = world.steward(training, world.observed(training), status={"round": 8}, seen=world.now + LATER)
    second = summarise(world.sight(training, now=world.now + LATER, steward=further, previous=first))
    assert condition(second, "Ready").message == "Round 8 of 30 is released."
    assert [each.last_transition_time for each in second.conditions] == ["2026-03-01T12:00:00Z"] * 7
    trouble = Trouble("ForeignObject", "Not ours.")
    third = summarise(world.sight(training, now=world.now + LATER, trouble=trouble, previous=second))
    assert condition(third, "Ready").last_transition_time == "2026-03-01T12:00:20Z"
    assert condition(third, "Stalled").last_transition_time == "2026-03-01T12:00:20Z"
    assert condition(third, "Privacy").last_transition_time == "2026-03-01T12:00:00Z"


def test_nothing_is_hidden_by_privacy(world, condition):
    found = condition(summarise(world.sight()), "Privacy")
    assert (found.status, found.reason) == ("False", "Unprotected")


def test_a_training_that_cannot_be_read_keeps_what_it_reached(world, condition):
    before = summarise(world.sight())
    trouble = Trouble("InvalidSpec", "spec.rounds:\nmust be a map")
    status = stalled_status(before, 2, trouble, world.now + LATER)
    assert (status.phase, status.observed_generation, status.round, status.model) == ("Invalid", 2, 7, before.model)
    assert condition(status, "Stalled").status == "True"
    assert condition(status, "Ready").message == (
        "The spec cannot be acted on until this is corrected: spec.rounds: must be a map"
    )
    assert condition(status, "Certificates").status == "Unknown"
    assert status.clients.ready == 0
    assert status.security.score == 0
    assert next(one for one in status.security.checks if one.name == "PrivacyAccounted").state == "failed"
    assert stalled_status(status, 2, trouble, world.now + 2 * LATER) == status


def test_a_training_that_could_never_be_read_has_no_score(world):
    status = stalled_status(None, 1, Trouble("InvalidSpec", "No."), world.now)
    assert (status.phase, status.security, status.round) == ("Invalid", None, None)


def suspended(world):
    return summarise(world.sight(world.training(spec={"suspend": True})))


def paused(world):
    return summarise(world.sight(world.training(annotations={"shieldwall.dev/paused": "true"})))


def unreachable(world):
    return summarise(world.sight(now=world.now + 10 * LATER))


def unasked(world):
    return summarise(world.sight(steward=None))


def invalid(world):
    return stalled_status(summarise(world.sight()), 2, Trouble("InvalidSpec", "No."), world.now)


def failed(world):
    training = world.training()
    steward = world.steward(training, world.observed(training), status={"phase": Phase.FAILED})
    return summarise(world.sight(training, steward=steward))


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (
            suspended,
            {
                "Ready": "Set spec.suspend to false",
                "Suspended": "Set it to false",
                "Certificates": "while spec.suspend is true",
            },
        ),
        (paused, {"Reconciling": "remove it to go on", "Suspended": "renews no certificate. Remove it to go on"}),
        (
            unreachable,
            {
                "Ready": "look at the log of pod digits-server-0",
                "Reconciling": "look at the log of pod digits-server-0",
                "Certificates": "see Ready",
            },
        ),
        (unasked, {"Ready": "has not answered yet; if that lasts, look at", "Certificates": "see Ready"}),
        (
            invalid,
            {
                "Ready": "until this is corrected: No.",
                "Reconciling": "until the spec is corrected; what runs is left alone",
                "Stalled": "until this is corrected: No.",
                "Suspended": "see Stalled",
                "Certificates": "see Stalled",
                "Privacy": "see Stalled",
                "PrivacySignal": "see Stalled",
            },
        ),
        (
            failed,
            {
                "Ready": "log of pod digits-aggregator-0",
                "Reconciling": "what Stalled says is put right",
                "Privacy": "release no model whose records must stay hidden",
            },
        ),
    ],
)
def test_each_condition_says_what_to_do(world, condition, state, told):
    status = state(world)
    assert {name: words for name, words in told.items() if words not in condition(status, name).message} == {}


def test_a_pause_that_is_not_understood_is_told(world, condition):
    unclear = {"shieldwall.dev/paused": "yes"}
    told = 'The annotation shieldwall.dev/paused is "yes" and not understood; "true" pauses.'
    found = condition(summarise(world.sight(world.training(annotations=unclear))), "Suspended")
    assert (found.status, found.reason) == ("False", "Active")
    assert found.message == f"Neither suspended nor paused. {told}"
    both = world.training(annotations=unclear, spec={"suspend": True})
    found = condition(summarise(world.sight(both)), "Suspended")
    assert (found.status, found.reason) == ("True", "Suspended")
    assert found.message.endswith(told)


def test_a_status_reads_back_as_it_was_written(world, dumped):
    status = summarise(world.sight())
    assert previous_status(dumped(status)) == status


def test_a_status_of_another_version_is_no_status():
    assert previous_status({"conditions": "none"}) is None
    assert previous_status({}) is None
    assert previous_status(None) is None
