"""What status tells of privacy: the newest record, what it was counted again as, and what is to be done."""

import dataclasses

import pytest

from shieldwall.accounting import Release, epsilon_of
from shieldwall.contract.privacy import PrivacyRecord
from shieldwall.contract.records import Outcome, Phase
from shieldwall.control.api.parse import parse_accepted
from shieldwall.control.notices import transitions
from shieldwall.control.status.previous import previous_status
from shieldwall.control.status.recount import privacy_of, recount
from shieldwall.control.status.summarise import summarise

CENTRAL = {"mode": "ClientLevelCentral", "epsilon": 1.0, "delta": 1e-5, "clip": 1.0}
LOCAL = CENTRAL | {"mode": "ClientLevelLocal"}
RECORDS = {"epsilon": 1.0, "delta": 1e-5, "clip": 1.0, "records": 140, "batchSize": 32, "steps": 5}
ACCOUNTED, WITHIN = "PrivacyAccounted", "PrivacyWithinBudget"


@pytest.fixture
def private(world):
    """The status of a training of ten clients whose last records said so of its privacy."""

    def told(privacy=CENTRAL, released=None, newest=None, *, training=None, again=True, **facts):
        training = training if training is not None else world.training(10, spec={"privacy": privacy})

        def record(said, **changes):
            usual = {"epsilon": 0.4, "delta": 1e-5, "rounds_left": 23, "releases": 7, "signal_to_noise": 0.5}
            return world.record(training, privacy=PrivacyRecord(**(usual | said)), **changes)

        last = None if released is False else record({} if released is None else released)
        after = record(newest, round=8, outcome=Outcome.REPEATED) if newest is not None else last
        status = facts.pop("status", None)
        steward = world.steward(training, world.observed(training), last_round=last, newest=after, status=status)
        counted = privacy_of(steward)
        if counted is not None and again:
            facts["recount"] = recount(training.spec, counted.privacy)
        return summarise(world.sight(training, steward=steward, **facts))

    return told


def spent(releases, noise):
    return epsilon_of({Release(noise): releases}, 1e-5)


NOISE = 20.44  # what epsilon 1 needs in 30 rounds


def test_all_that_an_auditor_needs_is_told(private, dumped):
    status = dumped(private(released={"epsilon": spent(7, NOISE)}))
    assert status["privacy"] == {
        "mode": "ClientLevelCentral",
        "unit": "client",
        "adjacency": "replace-one",
        "epsilonSpent": 0.45125824,
        "epsilonTarget": 1.0,
        "delta": 1e-05,
        "releases": 7,
        "noiseMultiplier": NOISE,
        "roundsLeft": 23,
        "signalToNoise": 0.5,
    }
    assert status["summary"]["epsilon"] == "0.451/1"
    assert dumped(private(privacy=RECORDS))["privacy"]["unit"] == "record"


def test_what_is_newest_counts_also_where_it_released_nothing(private):
    """Under local modes clients that were asked may have answered, whatever came of the round."""
    status = private(LOCAL, {"epsilon": 0.3}, {"epsilon": 0.5, "rounds_left": 2, "signal_to_noise": None})
    assert (status.privacy.epsilon_spent, status.privacy.rounds_left) == (0.5, 2)
    assert status.privacy.signal_to_noise == 0.5  # of the last release


@pytest.mark.parametrize("said", [{"epsilon": float("inf")}, {"epsilon": float("nan")}, {"epsilon": -1.0}])
def test_what_is_no_epsilon_is_not_taken_over(private, check, said):
    status = private(released=said)
    assert status.privacy.epsilon_spent is None
    assert check(status, ACCOUNTED).state == "failed"


def test_before_the_first_record_nothing_is_claimed(private, check, condition):
    status = private(released=False)
    assert status.summary.epsilon == "0/1"
    assert {check(status, name).state for name in (ACCOUNTED, WITHIN)} == {"unknown"}
    found = condition(status, "Privacy")
    assert (found.status, found.reason) == ("Unknown", "NotObserved")
    assert found.message.startswith("One client changes what is released by ε = 1 at δ = 1e-05 at most")
    assert condition(status, "PrivacySignal").status == "Unknown"


def test_an_operator_that_was_started_anew_keeps_what_was_told(private, world, dumped):
    training = world.training(10, spec={"privacy": CENTRAL})
    before = previous_status(dumped(private(training=training)))
    status = summarise(world.sight(training, steward=None, previous=before))
    assert status.privacy == before.privacy
    other = world.training(10, spec={"privacy": LOCAL})
    assert summarise(world.sight(other, steward=None, previous=before)).privacy.epsilon_spent is None


def test_a_training_with_privacy_and_all_else_reaches_a_hundred(private, world):
    training = world.training(10, spec={"privacy": RECORDS, "rounds": {"count": 30, "minReplies": 10}})
    counted = recount(training.spec, PrivacyRecord(epsilon=1.0, delta=1e-5, rounds_left=1, releases=7))
    assert private(released={"epsilon": counted.most}, training=training).security.score == 100


def test_under_central_noise_nobody_is_watched_unless_asked_for_and_nobody_is_banned(private, world):
    def score(**spec):
        training = world.training(10, spec={"privacy": CENTRAL, **spec})
        return private(released={"epsilon": spent(7, NOISE)}, training=training).security.score

    assert score() == 75
    assert score(contribution={"policy": "Innovation", "ban": {"dryRun": True}}) == 90


def test_an_epsilon_that_its_releases_cannot_have_cost_is_not_believed(private, check):
    for epsilon, state in ((spent(7, NOISE), "observed"), (spent(7, NOISE) / 2, "unknown"), (0.9, "unknown")):
        assert check(private(released={"epsilon": epsilon}), ACCOUNTED).state == state
    seen = check(private(released={"epsilon": 0.1}), ACCOUNTED)
    assert seen.message.startswith("Round 7: ε = 0.1; with the spec's noise it would be 0.451. Was")
    assert check(private(again=False), ACCOUNTED).state == "unknown"


def test_clients_that_take_turns_may_have_spent_less_each(world):
    """Of ten clients nine take part at least: in 20 lines somebody is in 18, and nobody in more than 20."""
    training = world.training(10, spec={"privacy": CENTRAL})
    bounds = recount(training.spec, PrivacyRecord(epsilon=0.5, rounds_left=1, releases=20, delta=1e-5))
    assert bounds == (spent(18, NOISE), spent(20, NOISE))


def test_steps_and_batches_are_counted_again_too(world):
    training = world.training(10, spec={"privacy": RECORDS, "rounds": {"count": 10, "minReplies": 10}})
    all_of_it = recount(training.spec, PrivacyRecord(epsilon=1.0, rounds_left=0, releases=11, delta=1e-5))
    assert all_of_it.least == all_of_it.most
    assert 0.99 <= all_of_it.most <= 1.0


def test_a_round_that_accounts_for_nothing_fails(private, world, check):
    training = world.training(10, spec={"privacy": CENTRAL})
    steward = world.steward(training, world.observed(training))
    status = summarise(world.sight(training, steward=steward))
    assert check(status, ACCOUNTED).state == check(status, WITHIN).state == "failed"
    assert "says nothing of the privacy" in check(status, ACCOUNTED).message


def test_more_than_may_be_spent_fails_and_is_a_warning(private, check, condition):
    status = private(released={"epsilon": 1.5, "rounds_left": 0})
    assert check(status, WITHIN).state == "failed"
    found = condition(status, "Privacy")
    assert (found.status, found.reason) == ("False", "Exceeded")
    before = private()
    assert [each.type for each in transitions(before, status) if each.reason == "Exceeded"] == ["Warning"]


def test_where_no_further_round_fits_it_is_told(private, condition):
    status = private(released={"epsilon": 0.99, "rounds_left": 0}, status={"phase": Phase.COMPLETED})
    found = condition(status, "Privacy")
    assert (found.status, found.reason) == ("True", "BudgetSpent")
    assert condition(status, "Ready").message.startswith(
        "The training has ended: no further round fits into privacy.epsilon. Round 7 of 30 is released."
    )
    done = private(released={"epsilon": 0.99, "rounds_left": 0}, status={"phase": Phase.COMPLETED, "round": 30})
    assert condition(done, "Privacy").reason == "WithinBudget"
    assert condition(done, "Ready").message.startswith("The training is complete; 30 rounds released.")


@pytest.mark.parametrize(
    ("signal", "acknowledge", "verdict"),
    [
        (0.3, None, ("True", "SignalAboveNoise")),
        (0.29, None, ("False", "SignalBelowNoise")),
        (0.29, ["LowSignalToNoise"], ("True", "Acknowledged")),
        (None, None, ("Unknown", "NotObserved")),
        (float("nan"), None, ("Unknown", "NotObserved")),
    ],
)
def test_noise_that_outweighs_what_a_client_says_has_to_be_acknowledged(
    private, condition, signal, acknowledge, verdict
):
    privacy = CENTRAL | ({"acknowledge": acknowledge} if acknowledge else {})
    status = private(privacy, {"signal_to_noise": signal})
    found = condition(status, "PrivacySignal")
    assert (found.status, found.reason) == verdict
    warned = [each for each in transitions(None, status) if each.reason == "SignalBelowNoise"]
    assert [each.type for each in warned] == (["Warning"] if verdict[0] == "False" else [])


def test_without_noise_personal_data_are_flagged(world, condition):
    document = {
        "apiVersion": "shieldwall.dev/v1alpha1",
        "kind": "FederatedTraining",
        "metadata": {"name": "digits", "namespace": "fed", "uid": "1"},
        "spec": {
            "app": {"image": "digits:1", "clientApp": "digits.app:client", "model": "digits.app:m"},
            "rounds": {"count": 30},
            "clients": [{"name": f"site-{number}", "region": "eu"} for number in range(3)],
            "residency": {"regions": ["eu"]},
            "privacy": {"mode": "None"},
        },
    }
    status = summarise(world.sight(parse_accepted(document)))
    assert (status.privacy.mode, status.privacy.epsilon_target, status.summary.epsilon) == ("None", None, None)
    found = condition(status, "Privacy")
    assert (found.status, found.reason) == ("False", "Unprotected")
    assert "GDPR" in found.message
    assert "GDPR" not in condition(summarise(world.sight()), "Privacy").message
    unknown = condition(status, "PrivacySignal")
    assert (unknown.status, unknown.reason) == ("Unknown", "NoNoise")


def test_the_same_facts_are_the_same_status(private, world):
    training = world.training(10, spec={"privacy": CENTRAL})
    one, other = private(training=training), private(training=training, now=world.now)
    assert one == other
    assert dataclasses.replace(world.sight(training)).recount is None
