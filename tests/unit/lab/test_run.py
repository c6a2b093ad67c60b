"""The laboratory runs the pods' own round code: each defence is shown in place and taken out."""

import math
from collections import Counter

import numpy as np
import pytest

from shieldwall.contract.policy import AggregationPolicy, Rule
from shieldwall.contract.records import Fate, Outcome
from shieldwall.lab.attacks import NEEDS_SIGNATURES, LabAttack
from shieldwall.lab.grid import LabGrid
from shieldwall.lab.matrix import CLIENTS, LIARS, NAMES, policy_of
from shieldwall.lab.partition import dirichlet
from shieldwall.lab.roster import poisoned
from shieldwall.lab.simulation import last
from shieldwall.lab.tasks import BatchCohort, app_of, digits
from shieldwall.runtime import admission
from shieldwall.runtime.attestation import sign as signing

TRIMMED = AggregationPolicy(rule=Rule.FED_TRIMMED_AVG, byzantine=LIARS)
BARE = AggregationPolicy(rule=Rule.FED_AVG, reject_norm=1e30)
REFUSED = {
    LabAttack.NAN: Fate.NOT_FINITE,
    LabAttack.INFINITY: Fate.NOT_FINITE,
    LabAttack.WRONG_SHAPE: Fate.WRONG_SCHEMA,
    LabAttack.WRONG_NAMES: Fate.WRONG_SCHEMA,
    LabAttack.UNSIGNED: Fate.UNSIGNED,
    LabAttack.ALTERED: Fate.TAMPERED,
    LabAttack.IMPOSTOR: Fate.WRONG_SIGNER,
}


def trial(laboratory, attack=None, aggregation=TRIMMED, rounds=2, **options):
    task, seed, signed = digits(), options.get("seed", 0), options.get("signed", False)
    attackers = {} if attack is None else dict.fromkeys(NAMES[-LIARS:], attack)
    parts = dirichlet(task.classes, CLIENTS, math.inf, np.random.default_rng(seed))
    cohort = BatchCohort(task, parts, NAMES, poisoned(attackers), seed)
    policy = policy_of(aggregation, rounds, signed=signed)
    return laboratory.managed(policy, app_of(task, seed), cohort, attackers, seed)


def fates(found, *, liars=True):
    names = NAMES[-LIARS:] if liars else NAMES[:-LIARS]
    return Counter(reply.fate for record in found.records for reply in record.replies if reply.client in names)


def test_an_honest_training_learns_and_can_be_repeated_exactly(laboratory):
    one, other = (trial(laboratory, rounds=8) for _ in range(2))
    assert last(one, "accuracy") > 0.85
    assert one.message == ""
    assert one.model.sha256 == other.model.sha256
    assert trial(laboratory, rounds=8, seed=1).model.sha256 != one.model.sha256


def test_a_liar_can_be_repeated_exactly_too(laboratory):
    one, other = (trial(laboratory, LabAttack.GAUSSIAN, BARE) for _ in range(2))
    assert one.model.sha256 == other.model.sha256


def test_a_sign_flip_ends_plain_averaging_and_not_the_trimmed_mean(laboratory):
    assert last(trial(laboratory, LabAttack.SIGN_FLIP, BARE, 8), "accuracy") < 0.5
    assert last(trial(laboratory, LabAttack.SIGN_FLIP, TRIMMED, 8), "accuracy") > 0.8


def test_a_backdoor_is_obeyed_under_plain_averaging_and_not_under_the_trimmed_mean(laboratory):
    assert last(trial(laboratory, LabAttack.MODEL_REPLACEMENT, BARE, 8), "attack success") > 0.8
    assert last(trial(laboratory, LabAttack.MODEL_REPLACEMENT, TRIMMED, 8), "attack success") < 0.2


@pytest.mark.parametrize("attack", LabAttack)
def test_no_attack_stops_a_round_and_no_honest_client_is_refused(laboratory, attack):
    found = trial(laboratory, attack, signed=True)
    assert [record.outcome for record in found.records] == [Outcome.RELEASED] * 2
    assert fates(found, liars=False) == {Fate.ADMITTED: 2 * (CLIENTS - LIARS)}


@pytest.mark.parametrize("attack", REFUSED)
def test_attacks_on_the_protocol_are_refused(laboratory, attack):
    assert fates(trial(laboratory, attack, signed=True)) == {REFUSED[attack]: 2 * LIARS}


def test_a_replay_is_admitted_once(laboratory):
    assert fates(trial(laboratory, LabAttack.REPLAYED, signed=True, rounds=3)) == {
        Fate.ADMITTED: LIARS,
        Fate.STALE: 2 * LIARS,
    }


@pytest.mark.parametrize("attack", sorted(NEEDS_SIGNATURES))
def test_without_signatures_nothing_stands_against_these(laboratory, attack):
    assert fates(trial(laboratory, attack, signed=False, rounds=1)) == {Fate.ADMITTED: LIARS}


def test_it_is_the_pods_own_admission_that_refuses(laboratory, monkeypatch):
    monkeypatch.setattr(admission.np, "isfinite", lambda array: np.ones(array.shape, bool))
    found = trial(laboratory, LabAttack.NAN, signed=True, rounds=1)
    assert Fate.NOT_FINITE not in fates(found)


def test_it_is_the_pods_own_signature_check_that_refuses(laboratory, monkeypatch):
    monkeypatch.setattr(signing, "content_sha256", lambda _: b"\0" * 32)
    assert fates(trial(laboratory, LabAttack.ALTERED, signed=True, rounds=1)) == {Fate.ADMITTED: LIARS}


def test_inflated_claims_weigh_in_plain_averaging_only(laboratory):
    found = [trial(laboratory, LabAttack.INFLATED_EXAMPLES, rule, 4) for rule in (BARE, TRIMMED)]
    assert all(record.replies[-1].num_examples == 10**12 for each in found for record in each.records)
    assert last(found[0], "accuracy") < 0.3 < last(found[1], "accuracy")


def test_adaptive_attacks_try_the_policys_own_rule(laboratory, monkeypatch):
    tried = []
    own = LabGrid._rule
    monkeypatch.setattr(LabGrid, "_rule", lambda grid, rows: tried.append(grid.aggregation) or own(grid, rows))
    trial(laboratory, LabAttack.IPM_ADAPTIVE, rounds=1)
    assert set(tried) == {TRIMMED}
    assert len(tried) > 3


def test_free_riders_replay_the_step_that_the_model_made(laboratory):
    found = trial(laboratory, LabAttack.FREE_REPLAY, rounds=3)
    norms = [[reply.norm for reply in record.replies if reply.client in NAMES[-LIARS:]] for record in found.records]
    assert len(set(norms[0])) == LIARS, "there is nothing to replay yet, so each trains"
    assert all(norm > 0 and np.ptp(later) < 1e-3 * norm for later in norms[1:] for norm in later)


def test_too_few_honest_replies_end_the_training_with_the_reason(laboratory):
    strict = TRIMMED.model_copy(update={"reject_norm": 1e-6})
    found = trial(laboratory, aggregation=strict)
    assert found.model is None
    assert "norm" in found.message


def test_colluding_attackers_remember_from_round_to_round(laboratory):
    found = trial(laboratory, LabAttack.FREE_STALE, rounds=3)
    norms = [[reply.norm for reply in record.replies if reply.client in NAMES[-LIARS:]] for record in found.records]
    np.testing.assert_allclose(norms[1], norms[0], rtol=1e-3)
    np.testing.assert_allclose(norms[2], norms[0], rtol=1e-3)
