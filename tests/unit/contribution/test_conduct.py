"""Strikes, bans, probation and pardons, round by round; each guard with its defence in place and taken out."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shieldwall.contract.policy import ContributionKind, ContributionPolicy
from shieldwall.contract.records import Fate, Flag, Held, Outcome, ReplyRecord, RoundRecord
from shieldwall.runtime.contribution.conduct import (
    FIRST_ROUND,
    PROBATION_STRIKES,
    Court,
    Pardon,
    after_pardon,
    after_record,
    banned_keys,
)

CLIENTS = [f"c{number}" for number in range(10)]


def court(byzantine=3, needed=7, exempt=(), members=None, **policy):
    return Court(ContributionPolicy(**policy), byzantine, needed, frozenset(exempt), members)


def record(number, bad=(), clients=CLIENTS, flag=Flag.REPLAY, floor=0.01, **facts):
    """A round in which ``bad`` clients show ``flag``; a client's key is ``k-`` and its name."""
    replies = [
        ReplyRecord(
            client=name,
            node_id="1",
            node_key=f"k-{name}",
            fate=Fate.ADMITTED,
            innovation=0.5,
            flags=(flag,) if name in bad else (),
            **facts.get(name, {}),
        )
        for name in clients
    ]
    return RoundRecord(
        run_id="1",
        round=number,
        attempt=1,
        outcome=Outcome.RELEASED,
        opened=0,
        seconds=0,
        rule="FedMedian",
        admitted=len(replies),
        byzantine=1,
        replies=tuple(replies),
        innovation_floor=floor,
    )


def fold(records, judged_by, conducts=None):
    conducts = conducts or {}
    for each in records:
        conducts = after_record(conducts, each, judged_by)
    return conducts


def test_five_rounds_of_strikes_are_a_ban_of_the_key():
    conducts = fold([record(number, ["c0"]) for number in range(1, 5)], court())
    assert (conducts["k-c0"].strikes, banned_keys(conducts)) == (4, frozenset())
    conducts = fold([record(5, ["c0"])], court(), conducts)
    assert banned_keys(conducts) == {"k-c0"}
    assert (conducts["k-c0"].banned_since, conducts["k-c0"].bans, conducts["k-c0"].flags) == (5, 1, (Flag.REPLAY,))


def test_a_good_round_takes_a_strike_back():
    rounds = [record(number, ["c0"] if number % 2 else []) for number in range(1, 40)]
    conducts = fold(rounds, court())
    assert conducts["k-c0"].strikes == 1
    assert not banned_keys(conducts)


def test_nobody_is_banned_before_round_five():
    strict = court(strikes=1)
    for number in range(1, FIRST_ROUND):
        conducts = fold([record(number, ["c0"])], strict)
        assert (banned_keys(conducts), conducts["k-c0"].held) == (frozenset(), Held.EARLY)
    assert banned_keys(fold([record(FIRST_ROUND, ["c0"])], strict)) == {"k-c0"}


@pytest.mark.parametrize("live", [5, 6])
def test_fewer_than_six_clients_only_report(live):
    conducts = fold([record(n, ["c0"], CLIENTS[:live]) for n in range(1, 9)], court(needed=1))
    assert (conducts["k-c0"].banned_since is not None) == (live >= 6)
    assert conducts["k-c0"].strikes == 5
    assert conducts["k-c0"].held == (None if live >= 6 else Held.FEW_CLIENTS)


def test_no_more_than_f_are_banned_at_once_the_worst_first():
    bad = ["c0", "c1", "c2", "c3"]
    facts = {name: {"innovation": value} for name, value in zip(bad, (0.4, 0.1, 0.3, 0.2), strict=True)}
    records = [
        each.model_copy(
            update={"replies": tuple(reply.model_copy(update=facts.get(reply.client, {})) for reply in each.replies)}
        )
        for each in (record(number, bad) for number in range(1, 8))
    ]
    conducts = fold(records, court(byzantine=2, needed=1))
    assert banned_keys(conducts) == {"k-c1", "k-c3"}
    assert {conducts["k-c0"].held, conducts["k-c2"].held} == {Held.MOST_BANNED}
    assert not banned_keys(fold(records, court(byzantine=0, needed=1)))


def test_a_ban_never_makes_the_next_round_impossible():
    rounds = [record(number, ["c0", "c1"]) for number in range(1, 8)]
    conducts = fold(rounds, court(needed=9))
    assert len(banned_keys(conducts)) == 1
    assert Held.REPLIES_NEEDED in {conducts["k-c0"].held, conducts["k-c1"].held}
    assert len(banned_keys(fold(rounds, court(needed=8)))) == 2


def test_a_dry_run_counts_and_tells_and_bans_nobody():
    conducts = fold([record(number, ["c0"]) for number in range(1, 20)], court(dry_run=True))
    assert not banned_keys(conducts)
    assert (conducts["k-c0"].strikes, conducts["k-c0"].held) == (5, Held.DRY_RUN)


def test_an_exempt_client_is_scored_and_never_banned():
    rounds = [record(number, ["c0"]) for number in range(1, 20)]
    conducts = fold(rounds, court(exempt=["k-c0"]))
    assert (conducts["k-c0"].strikes, conducts["k-c0"].held) == (5, Held.EXEMPT)
    assert not banned_keys(conducts)
    assert banned_keys(fold(rounds, court()))


def test_a_ban_ends_in_a_probation_that_is_short_of_the_next_one():
    conducts = fold([record(number, ["c0"]) for number in range(1, 6)], court(ban_rounds=3))
    without = [name for name in CLIENTS if name != "c0"]
    conducts = fold([record(number, [], without) for number in (6, 7)], court(ban_rounds=3), conducts)
    assert banned_keys(conducts) == {"k-c0"}
    conducts = fold([record(8, [], without)], court(ban_rounds=3), conducts)
    assert not banned_keys(conducts)
    assert (conducts["k-c0"].strikes, conducts["k-c0"].probation_until) == (5 - PROBATION_STRIKES, 18)
    relapsed = fold([record(9, ["c0"]), record(10, ["c0"])], court(ban_rounds=3), conducts)
    assert (banned_keys(relapsed), relapsed["k-c0"].bans) == ({"k-c0"}, 2)
    reformed = fold([record(number) for number in range(9, 20)], court(ban_rounds=3), conducts)
    assert (reformed["k-c0"].strikes, reformed["k-c0"].probation_until) == (0, None)


def test_who_is_reinstated_is_left_alone_for_as_long_as_a_ban_lasts():
    judged_by = court(ban_rounds=10)
    conducts = fold([record(number, ["c0"]) for number in range(1, 6)], judged_by)
    conducts = after_pardon(conducts, Pardon("k-c0", 5), judged_by.policy)
    assert not banned_keys(conducts)
    conducts = fold([record(number, ["c0"]) for number in range(6, 16)], judged_by, conducts)
    assert (banned_keys(conducts), conducts["k-c0"].held) == (frozenset(), Held.PARDONED)
    assert banned_keys(fold([record(16, ["c0"])], judged_by, conducts)) == {"k-c0"}


def test_a_ban_is_the_keys_and_not_the_names():
    conducts = fold([record(number, ["c0"]) for number in range(1, 6)], court())
    moved = record(6)
    replies = tuple(
        reply.model_copy(update={"node_key": "k-new"}) if reply.client == "c0" else reply for reply in moved.replies
    )
    conducts = fold([moved.model_copy(update={"replies": replies})], court(), conducts)
    assert banned_keys(conducts) == {"k-c0"}
    assert conducts["k-new"].strikes == 0


def test_bans_of_keys_that_are_nobodys_any_more_take_no_place():
    conducts = fold([record(number, ["c0"]) for number in range(1, 6)], court(byzantine=1))
    members = frozenset(f"k-{name}" for name in CLIENTS[1:])
    rest = [record(number, ["c1"], CLIENTS[1:]) for number in range(6, 12)]
    assert banned_keys(fold(rest, court(byzantine=1, needed=1), conducts)) == {"k-c0"}
    assert banned_keys(fold(rest, court(byzantine=1, needed=1, members=members), conducts)) == {"k-c0", "k-c1"}


def test_innovation_below_a_fifth_of_the_others_for_most_of_five_rounds_is_a_flag():
    def rounds(values):
        return [record(n, c0={"innovation": value}) for n, value in enumerate(values, 1)]

    def record(n, **facts):
        plain = globals()["record"](n)
        replies = tuple(reply.model_copy(update=facts.get(reply.client, {})) for reply in plain.replies)
        return plain.model_copy(update={"replies": replies})

    assert fold(rounds([0.5, 0.05, 0.05]), court())["k-c0"].flags == (Flag.NO_INNOVATION,)
    assert fold(rounds([0.5, 0.5, 0.05]), court())["k-c0"].flags == ()
    assert fold(rounds([0.2, 0.2, 0.2]), court())["k-c0"].flags == ()


def test_where_half_are_no_better_than_chance_innovation_decides_nothing():
    def poor(number, floor):
        plain = record(number, floor=floor)
        replies = tuple(reply.model_copy(update={"innovation": 0.004}) for reply in plain.replies[1:])
        last = plain.replies[0].model_copy(update={"innovation": 0.0})
        return plain.model_copy(update={"replies": (last, *replies)})

    assert fold([poor(1, 0.01)], court())["k-c0"].flags == ()
    assert fold([poor(1, None)], court())["k-c0"].flags == ()
    assert fold([poor(1, 0.001)], court())["k-c0"].flags == (Flag.NO_INNOVATION,)


def with_cosine(number, value, **options):
    plain = record(number, **options)
    replies = tuple(
        reply.model_copy(update={"cosine": value if reply.client == "c0" else 0.9}) for reply in plain.replies
    )
    return plain.model_copy(update={"replies": replies})


def test_a_low_cosine_is_told_and_strikes_only_where_the_policy_says_so():
    rounds = [with_cosine(number, -0.1) for number in range(1, 6)]
    told = fold(rounds, court(min_cosine=0.0))
    assert (told["k-c0"].flags, told["k-c0"].strikes) == ((Flag.LOW_COSINE,), 0)
    struck = fold(rounds, court(kind=ContributionKind.MIN_COSINE, min_cosine=0.0))
    assert banned_keys(struck) == {"k-c0"}
    others = [with_cosine(number, 0.5, bad=["c0"]) for number in range(1, 6)]
    assert not banned_keys(fold(others, court(kind=ContributionKind.MIN_COSINE, min_cosine=0.0)))


def test_opposition_is_told_and_never_a_strike():
    conducts = fold([record(number, ["c0"], flag=Flag.OPPOSED) for number in range(1, 20)], court())
    assert (conducts["k-c0"].flags, conducts["k-c0"].strikes) == ((Flag.OPPOSED,), 0)


def test_a_copier_gets_neither_itself_nor_its_victim_banned_by_that_alone():
    rounds = [record(number, ["c0", "c1"], flag=Flag.COPY) for number in range(1, 20)]
    conducts = fold(rounds, court())
    assert (conducts["k-c0"].flags, conducts["k-c1"].flags) == ((Flag.COPY,), (Flag.COPY,))
    assert (conducts["k-c0"].strikes, banned_keys(conducts)) == (0, frozenset())


def test_a_copy_with_other_evidence_is_a_strike_for_the_one_it_is_against():
    def both(number):
        copied = record(number, ["c0", "c1"], flag=Flag.COPY)
        replies = tuple(
            reply.model_copy(update={"flags": (Flag.COPY, Flag.REPEAT)}) if reply.client == "c0" else reply
            for reply in copied.replies
        )
        return copied.model_copy(update={"replies": replies})

    assert banned_keys(fold([both(number) for number in range(1, 6)], court())) == {"k-c0"}


def test_rounds_that_released_nothing_or_did_not_look_change_nothing():
    repeated = record(5, ["c0"]).model_copy(update={"outcome": Outcome.REPEATED})
    before = fold([record(number, ["c0"]) for number in range(1, 5)], court())
    assert fold([repeated], court(), before) == before
    blind = tuple(reply.model_copy(update={"flags": None, "innovation": None}) for reply in repeated.replies)
    unseen = record(5).model_copy(update={"replies": blind})
    assert fold([unseen], court(), before) == before


NAMES = st.sampled_from(CLIENTS)
ROUNDS = st.lists(st.tuples(st.sets(NAMES, max_size=6), st.sets(NAMES, min_size=3)), max_size=30)


@given(rounds=ROUNDS, byzantine=st.integers(0, 4), needed=st.integers(1, 10), seed=st.integers(0, 99))
@settings(max_examples=80, deadline=None)
def test_whatever_clients_do_the_bounds_hold(rounds, byzantine, needed, seed):
    judged_by, conducts = court(byzantine, needed, strikes=2, ban_rounds=4), {}
    for number, (bad, online) in enumerate(rounds, 1):
        before = banned_keys(conducts)
        live = [name for name in CLIENTS if name in online and f"k-{name}" not in before]
        shuffled = sorted(live, key=lambda name: hash((name, seed)))
        one = record(number, bad, live)
        again = after_record(conducts, record(number, bad, shuffled), judged_by)
        conducts = after_record(conducts, one, judged_by)
        assert again == conducts
        new = banned_keys(conducts) - before
        assert len(banned_keys(conducts)) <= byzantine
        assert not new or (number >= FIRST_ROUND and len(live) - len(new) >= needed and len(live) >= 6)
        assert all(0 <= each.strikes <= 2 for each in conducts.values())
