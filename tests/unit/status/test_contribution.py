"""What status says of free-riders, and what the score asks."""

import pytest

from shieldwall.contract.records import Fate, Flag, Held
from shieldwall.control.status.contribution import FLAG_WORDS, HELD_WORDS
from shieldwall.control.status.summarise import summarise

SCORED, BANNED = "ContributionScored", "FreeRidersBanned"


def summary(world, clients=(), spec=None, annotations=None, size=6, **facts):
    """``clients`` changes what the steward knows of site-0, site-1, ..."""
    clients = (*clients, *({} for _ in range(size - len(clients))))
    training = world.training(size, spec=spec, annotations=annotations)
    observed = world.observed(training)
    known = tuple(world.client(observed, f"site-{n}", **each) for n, each in enumerate(clients))
    return summarise(
        world.sight(training, steward=world.steward(training, observed, status={"clients": known}, **facts))
    )


def test_every_flag_and_every_reason_has_words():
    assert set(FLAG_WORDS) == set(Flag)
    assert set(HELD_WORDS) == set(Held)


def test_the_banned_come_first_with_their_scores_and_how_long(world):
    rider = {
        "denied": True,
        "banned_since": 7,
        "strikes": 5,
        "innovation": 0.0123,
        "flags": (Flag.REPLAY, Flag.NO_INNOVATION),
    }
    clients = summary(world, ({"strikes": 3, "flags": (Flag.TINY,), "innovation": 0.4}, {"refused": 1}, rider)).clients
    assert [(one.name, one.state) for one in clients.worst] == [("site-2", "banned"), ("site-0", "suspected")]
    assert clients.banned == 1
    first, second = clients.worst
    assert (first.strikes, first.innovation) == (5, 0.01)
    assert first.message.startswith("Banned from round 7 to 27: it sends what the model did earlier, others bear out")
    assert second.message == "3 of 5 strikes: its updates are next to nothing."


@pytest.mark.parametrize("facts", [{"strikes": 2, "flags": (Flag.TINY,)}, {"strikes": 5}, {"flags": (Flag.OPPOSED,)}])
def test_a_round_or_two_is_no_suspicion(world, facts):
    assert summary(world, (facts, {}, {})).clients.worst == ()


def test_who_would_be_banned_is_told_with_what_stands_against_it(world):
    held = {"strikes": 5, "flags": (Flag.REPEAT,), "held": Held.DRY_RUN}
    (found,) = summary(world, (held, {}, {})).clients.worst
    assert (found.state, found.message) == ("suspected", "Not banned (dry run): it sends what it sent before.")


def test_an_operators_own_denial_is_not_called_a_ban_for_contribution(world):
    (found,) = summary(world, ({"denied": True}, {}, {})).clients.worst
    assert found.message.startswith("On the deny list")


def test_requests_for_nobody_are_told(world):
    annotations = {"reinstate.shieldwall.dev/nobody": "1", "reinstate.shieldwall.dev/site-1": "1"}
    assert summary(world, annotations=annotations).clients.unknown_requests == ("nobody",)


def test_all_points_when_everybody_was_scored_and_nobody_is_left(world, check):
    status = summary(world, ({"denied": True, "banned_since": 7, "strikes": 5}, {}, {}))
    assert (check(status, SCORED).state, check(status, SCORED).points) == ("observed", 15)
    assert (check(status, BANNED).state, check(status, BANNED).points) == ("observed", 10)


@pytest.mark.parametrize(
    ("change", "scored", "banned"),
    [
        ({"spec": {"contribution": {"policy": "None"}}}, "failed", "failed"),
        ({"spec": {"contribution": {"ban": {"dryRun": True}}}}, "observed", "failed"),
        ({"spec": {"aggregation": {"rule": "FedMedian", "byzantine": 0}}}, "observed", "failed"),
        ({"clients": ({"strikes": 5, "held": Held.FEW_CLIENTS}, {}, {})}, "observed", "failed"),
        ({"size": 5}, "observed", "failed"),
        ({"last_round": None}, "unknown", "unknown"),
    ],
)
def test_what_is_not_done_costs_its_points(world, check, change, scored, banned):
    status = summary(world, **change)
    assert (check(status, SCORED).state, check(status, BANNED).state) == (scored, banned)


def test_an_update_that_was_not_scored_costs_the_check(world, check):
    training = world.training(6)
    replies = [world.reply("site-0"), world.reply("site-1", flags=None), world.reply("site-2", fate=Fate.STALE)]
    found = check(summary(world, last_round=world.record(training, tuple(replies))), SCORED)
    assert (found.state, found.message) == ("failed", "Round 7: not scored are site-1.")


def test_a_model_too_small_to_tell_anything_is_no_observation(world, check):
    training = world.training(6)
    record = world.record(training, innovation_floor=None)
    assert check(summary(world, last_round=record), SCORED).state == "unknown"
    cosine = {"contribution": {"policy": "MinCosine", "minCosine": 0.0}}
    assert check(summary(world, spec=cosine, last_round=record), SCORED).state == "observed"
