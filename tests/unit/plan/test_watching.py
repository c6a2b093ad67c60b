"""How spec.contribution and spec.validation reach the pods."""

import pytest

from shieldwall.contract.policy import ContributionKind, ContributionPolicy, ValidationPolicy
from shieldwall.control.plan import PlanSettings
from shieldwall.control.plan.policy import client_policy_hash, policy_hash, runtime_policy


@pytest.fixture
def policy_of(new_training):
    return lambda **spec: runtime_policy(new_training(spec), PlanSettings(), {"site-0": "key\n"})


def test_both_are_on_unless_something_else_is_said(policy_of):
    policy = policy_of()
    assert policy.contribution == ContributionPolicy()
    assert policy.validation == ValidationPolicy()


def test_what_is_said_is_handed_on(policy_of):
    policy = policy_of(
        contribution={
            "policy": "MinCosine",
            "minCosine": 0.1,
            "ban": {"strikes": 7, "rounds": 3, "dryRun": True, "exempt": ["site-1", "site-0"]},
        },
        validation={
            "policy": "Report",
            "normZ": 4.5,
            "distanceZ": 5.5,
            "ownNormZ": 6.5,
            "ownDistanceZ": 7.5,
            "duplicateCosine": 0.99,
        },
    )
    assert policy.contribution == ContributionPolicy(
        kind=ContributionKind.MIN_COSINE,
        min_cosine=0.1,
        strikes=7,
        ban_rounds=3,
        dry_run=True,
        exempt=("site-0", "site-1"),
    )
    assert policy.validation == ValidationPolicy(
        reject=False, norm_z=4.5, distance_z=5.5, own_norm_z=6.5, own_distance_z=7.5, duplicate_cosine=0.99
    )


def test_each_can_be_switched_off(policy_of):
    policy = policy_of(contribution={"policy": "None"}, validation={"policy": "None"})
    assert (policy.contribution, policy.validation) == (None, None)


def test_clients_are_not_told_how_they_are_watched_and_do_not_start_again_for_it(policy_of):
    one, other = policy_of(), policy_of(contribution={"ban": {"exempt": ["site-1"]}}, validation={"normZ": 3.0})
    assert one.for_clients() == other.for_clients()
    assert "site-1" not in other.for_clients().to_json()
    assert client_policy_hash(one) == client_policy_hash(other)
    assert policy_hash(one) != policy_hash(other)
