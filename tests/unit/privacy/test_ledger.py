from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shieldwall.accounting import FixedSize, Poisson, Release, epsilon_of, noise_multiplier_for
from shieldwall.contract.privacy import PrivacyMode, Spend
from shieldwall.runtime.privacy.ledger import charged, costs_of, epsilon_spent, releases_of, rounds_left

DELTA = 1e-5
ALL = ("a", "b", "c")


def spend(round_=1, clients=ALL, noise=10.0, **fields):
    values = {"run_id": "1", "round": round_, "attempt": 1, "clip": 1.0, "releases": 1, **fields}
    return Spend(mode=PrivacyMode.CLIENT_LEVEL_CENTRAL, noise_multiplier=noise, clients=clients, **values)


def test_nothing_spent_is_zero():
    assert epsilon_spent((), DELTA) == 0.0


def test_rounds_with_everybody_cost_what_the_accountant_says():
    spends = [spend(round_) for round_ in range(1, 11)]

    assert epsilon_spent(spends, DELTA) == epsilon_of({Release(10.0): 10}, DELTA)


def test_epsilon_is_that_of_the_client_that_spent_most():
    spends = [spend(1, ("a",)), spend(2, ("a", "b")), spend(3, ("b",), noise=100.0)]

    assert epsilon_spent(spends, DELTA) == epsilon_of({Release(10.0): 2}, DELTA)
    assert costs_of(spends)["b"] == {Release(10.0): 1, Release(100.0): 1}


def test_what_nobody_spent_who_has_gone_counts_as_it_stands():
    spends = (spend(1, ("a",)), spend(2, ("b",)))
    assert charged(spends, ("a", "b", "new")) == spends


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sets(st.sampled_from(["me", "x", "y"]), min_size=1)), min_size=1))
def test_whatever_somebody_was_called_before_nothing_is_forgotten(lines):
    """One that has another name at each line, or an old one again, among two that keep theirs; some are asked."""
    spends = [
        spend(place, tuple(sorted(name if each == "me" else each for each in asked)))
        for place, (name, asked) in enumerate(lines)
    ]
    now = lines[-1][0]
    counted = costs_of(charged(spends, (now, "x", "y"))).get(now, {}).get(Release(10.0), 0)
    assert counted >= sum("me" in asked for _, asked in lines)


@pytest.mark.parametrize(
    ("fields", "sampling"),
    [
        ({"rate": 0.3, "releases": 7}, Poisson(0.3)),
        ({"population": 10, "sample": 3}, FixedSize(10, 3)),
        ({"population": 3, "sample": 3}, None),
        ({}, None),
    ],
)
def test_a_line_says_how_its_units_were_sampled(fields, sampling):
    assert releases_of(spend(**fields)) == {Release(10.0, sampling): fields.get("releases", 1)}


@settings(max_examples=40)
@given(
    before=st.lists(st.sets(st.sampled_from(ALL), min_size=1), max_size=6),
    epsilon=st.floats(0.1, 4),
    guess=st.integers(-3, 80),
)
def test_so_many_rounds_are_left_and_not_one_more(before, epsilon, guess):
    spends = [spend(round_, tuple(sorted(clients))) for round_, clients in enumerate(before)]
    left = rounds_left(spends, spend(), epsilon, DELTA, guess)

    if epsilon_spent(spends, DELTA) <= epsilon:
        assert epsilon_spent([*spends, *[spend()] * left], DELTA) <= epsilon
    assert epsilon_spent([*spends, *[spend()] * (left + 1)], DELTA) > epsilon


def test_noise_that_was_calibrated_for_so_many_rounds_lasts_for_them():
    noise = noise_multiplier_for(1.0, DELTA, 12 * 20, Poisson(0.4))
    one = spend(noise=noise, rate=0.4, releases=20)

    assert rounds_left((), one, 1.0, DELTA, 12) == 12
    assert rounds_left([one] * 5, one, 1.0, DELTA, 3) == 7
    assert rounds_left([one] * 12, one, 1.0, DELTA, 0) == 0
