"""How spec.privacy reaches the pods: calibrated, and only to those that it concerns."""

import pytest

from shieldwall.accounting import FixedSize, Poisson, Release, epsilon_of
from shieldwall.contract.policy import Rule
from shieldwall.contract.privacy import AdaptiveClippingPolicy, PrivacyMode, PrivacyPolicy
from shieldwall.control.api.mechanism import mechanism_of
from shieldwall.control.plan import PlanSettings
from shieldwall.control.plan.policy import client_policy_hash, policy_hash, runtime_policy
from shieldwall.runtime.federation.members import sample

CENTRAL = {"mode": "ClientLevelCentral", "epsilon": 1.0, "delta": 1e-5, "clip": 2.0}
LOCAL = CENTRAL | {"mode": "ClientLevelLocal"}
RECORDS = {"epsilon": 1.0, "delta": 1e-5, "clip": 1.0, "records": 140, "batchSize": 32, "steps": 5}


@pytest.fixture
def policy_of(new_training):
    def made(privacy, clients=10, **spec):
        changes = {"rounds": {"count": 50}} | spec | ({"privacy": privacy} if privacy is not None else {})
        return runtime_policy(new_training(changes, clients), PlanSettings(), {})

    return made


def test_central_noise_is_calibrated_for_every_round_and_clips_to_the_norm_it_is_calibrated_for(policy_of):
    policy = policy_of(CENTRAL)
    assert policy.privacy == PrivacyPolicy(
        mode=PrivacyMode.CLIENT_LEVEL_CENTRAL, epsilon=1.0, delta=1e-5, clip=2.0, noise_multiplier=26.38
    )
    assert (policy.aggregation.max_norm, policy.aggregation.pre_aggregation) == (2.0, None)
    assert policy.validation is None


def test_local_noise_is_calibrated_for_a_tenth_more_attempts_than_rounds(policy_of):
    noise = policy_of(LOCAL).privacy.noise_multiplier
    assert 0.999 <= epsilon_of({Release(noise): 55}, 1e-5) <= 1.0
    assert policy_of(LOCAL, rounds={"count": 1}).privacy.noise_multiplier < noise
    assert policy_of(LOCAL, aggregation={"rule": "Krum", "maxNorm": 3.0}).aggregation.max_norm == 3.0


def test_record_level_noise_is_calibrated_for_every_step_of_those(policy_of):
    privacy = policy_of(RECORDS).privacy
    assert (privacy.mode, privacy.records, privacy.batch_size, privacy.steps) == ("RecordLevel", 140, 32, 5)
    spent = epsilon_of({Release(privacy.noise_multiplier, Poisson(32 / 140)): 275}, 1e-5)
    assert 0.99 <= spent <= 1.0


def test_what_is_given_is_kept_and_what_it_costs_is_what_may_be_spent(policy_of):
    privacy = policy_of(
        {name: value for name, value in CENTRAL.items() if name != "epsilon"} | {"noiseMultiplier": 9.5}
    )
    assert privacy.privacy.noise_multiplier == 9.5
    spent = epsilon_of({Release(9.5): 50}, 1e-5)
    assert spent <= privacy.privacy.epsilon <= spent * 1.001
    both = policy_of(CENTRAL | {"epsilon": 8.0, "noiseMultiplier": 9.5}).privacy
    assert (both.epsilon, both.noise_multiplier) == (8.0, 9.5)


def test_who_is_drawn_in_secret_needs_less_noise(policy_of):
    rounds = {"count": 50, "fractionTrain": 0.2, "minReplies": 8}
    secret = policy_of(CENTRAL | {"amplification": True}, clients=40, rounds=rounds).privacy
    assert secret.population == 40
    assert secret.noise_multiplier < 26.38
    assert epsilon_of({Release(secret.noise_multiplier, FixedSize(40, 8)): 50}, 1e-5) <= 1.0
    assert policy_of(CENTRAL, clients=40, rounds=rounds).privacy.population is None


@pytest.mark.parametrize(
    ("clients", "fraction", "changes", "asked"),
    [
        (100, 0.07, {}, 7),  # 7.000000000000001 in binary
        (100, 0.29, {}, 29),  # 28.999999999999996
        (100, 0.075, {}, 7),
        (10, 0.2, {"minReplies": 6}, 6),
        (10, 0.1, {}, 3),  # what FedTrimmedAvg needs with f = 1
        (10, 0.5, {"aggregation": {"rule": "MultiKrum", "select": 9}}, 10),
        (10, 1.0, {}, 10),
    ],
)
def test_a_round_asks_as_many_clients_as_the_noise_is_planned_for(new_training, clients, fraction, changes, asked):
    rounds = {"count": 50, "fractionTrain": fraction}
    rounds |= {name: value for name, value in changes.items() if name == "minReplies"}
    spec = {"rounds": rounds, "privacy": CENTRAL | {"amplification": fraction < 1}}
    training = new_training(spec | {name: value for name, value in changes.items() if name != "minReplies"}, clients)
    keys = {client.name: f"key of {client.name}" for client in training.spec.clients}
    policy = runtime_policy(training, PlanSettings(), keys)
    online = {number: client.name for number, client in enumerate(policy.clients)}
    assert len(sample(online, frozenset(), policy, lambda population, k: list(population)[:k])) == asked
    assert policy.rounds.min_replies <= training.spec.asked == asked
    sampling = mechanism_of(training.spec).sampling
    assert sampling == (FixedSize(clients, asked) if asked < clients else None)


def test_where_everybody_is_asked_after_all_nothing_is_secret(policy_of):
    rounds = {"count": 50, "fractionTrain": 0.5, "minReplies": 10}
    privacy = policy_of(CENTRAL | {"amplification": True}, rounds=rounds).privacy
    assert (privacy.population, privacy.noise_multiplier) == (None, 26.38)


def test_adaptive_clipping_is_handed_on(policy_of):
    adaptive = {"quantile": 0.6, "rate": 0.3, "countNoise": 5.0}
    privacy = policy_of(CENTRAL | {"epsilon": 20.0, "adaptiveClipping": adaptive}, clients=50).privacy
    assert privacy.adaptive == AdaptiveClippingPolicy(quantile=0.6, rate=0.3, count_noise=5.0)
    assert privacy.noise_multiplier < 5.0


@pytest.mark.parametrize("privacy", [None, {"mode": "None"}])
def test_without_a_mode_there_is_no_noise(policy_of, privacy):
    assert policy_of(privacy).privacy is None


@pytest.mark.parametrize(("privacy", "again"), [(LOCAL, True), (RECORDS, True), (CENTRAL, False)])
def test_clients_start_again_for_the_noise_that_they_add_themselves(policy_of, privacy, again):
    one, other = policy_of(privacy), policy_of(privacy | {"epsilon": 2.0})
    assert (client_policy_hash(one) != client_policy_hash(other)) is again
    assert policy_hash(one) != policy_hash(other)
    assert one.for_clients().privacy == one.privacy


def test_clients_of_a_training_without_privacy_do_not_start_again(policy_of):
    assert client_policy_hash(policy_of(None)) == client_policy_hash(policy_of({"mode": "None"}))
    rule = policy_of(None, aggregation={"rule": Rule.FED_MEDIAN.value})
    assert client_policy_hash(policy_of(None)) == client_policy_hash(rule)
