"""Rounds open for the current run only, and records outlive the steward."""

from __future__ import annotations

import pytest

from shieldwall.contract.privacy import PrivacyRecord
from shieldwall.contract.records import Fate, OpenRound, Outcome, ReplyRecord, RoundRecord
from shieldwall.runtime.steward.rounds import Rounds, UnknownRunError


def opened(run_id="1", number=1, attempt=1, clients=("berlin", "paris")):
    return OpenRound(
        run_id=run_id, round=number, attempt=attempt, nonce="00" * 32, base_sha256="ab", clients=clients, opened=1.0
    )


def record(run_id="1", number=1, attempt=1, outcome=Outcome.RELEASED, fates=()):
    replies = tuple(ReplyRecord(client=client, node_id="1", fate=fate) for client, fate in fates)
    return RoundRecord(
        run_id=run_id,
        round=number,
        attempt=attempt,
        outcome=outcome,
        opened=1.0,
        seconds=2.0,
        rule="FedAvg",
        admitted=0,
        byzantine=0,
        replies=replies,
    )


@pytest.fixture
def rounds(tmp_path):
    return Rounds(tmp_path)


def test_only_those_asked_see_the_open_round(rounds):
    rounds.open(opened(), "1")
    assert rounds.open_for("berlin", "1") == opened()
    assert rounds.open_for("rome", "1") is None


def test_what_was_spent_when_a_round_opened_is_told_until_it_has_a_record(rounds, tmp_path):
    told = PrivacyRecord(epsilon=5.5, delta=1e-5, rounds_left=0, releases=5)
    rounds.open(opened().model_copy(update={"privacy": told}), "1")
    assert Rounds(tmp_path).privacy == rounds.privacy == told
    rounds.close(record(), ("1",))
    assert Rounds(tmp_path).privacy is rounds.privacy is None


def test_a_round_of_another_run_is_not_opened(rounds):
    with pytest.raises(UnknownRunError) as caught:
        rounds.open(opened("2"), "1")
    assert caught.value.run_id == "2"
    with pytest.raises(UnknownRunError):
        rounds.open(opened("1"), None)


def test_a_round_does_not_outlive_its_run(rounds):
    rounds.open(opened(), "1")
    assert rounds.open_for("berlin", "2") is None
    assert rounds.open_for("berlin", None) is None


def test_a_closed_round_is_signed_no_more(rounds):
    rounds.open(opened(), "1")
    rounds.close(record(), ("1",))
    assert rounds.open_for("berlin", "1") is None


def test_closing_an_earlier_attempt_leaves_the_open_one_alone(rounds):
    rounds.open(opened(attempt=2), "1")
    rounds.close(record(attempt=1, outcome=Outcome.REPEATED), ("1",))
    assert rounds.open_for("berlin", "1") is not None


def test_a_record_told_twice_is_kept_once(rounds):
    rounds.close(record(), ("1",))
    rounds.close(record(), ("1",))
    assert len(rounds.records) == 1


def test_a_record_of_an_earlier_run_of_ours_is_taken(rounds):
    rounds.close(record("1"), ("1", "2"))
    with pytest.raises(UnknownRunError):
        rounds.close(record("3"), ("1", "2"))


def test_the_last_released_round_counts(rounds):
    assert rounds.released is None
    rounds.close(record(number=1), ("1",))
    rounds.close(record(number=2, outcome=Outcome.REPEATED), ("1",))
    assert rounds.released.round == 1


def test_everything_is_there_after_a_restart(rounds, tmp_path):
    rounds.close(record(number=1), ("1",))
    rounds.open(opened(number=2), "1")
    with (tmp_path / "rounds.jsonl").open("a") as file:
        file.write('{"run_id": "1", "rou')
    again = Rounds(tmp_path)
    assert again.records == rounds.records
    assert again.open_for("paris", "1") == opened(number=2)


def test_fates_are_counted_by_client(rounds):
    rounds.close(record(number=1, fates=[("berlin", Fate.ADMITTED), ("paris", Fate.STALE)]), ("1",))
    rounds.close(record(number=2, fates=[("berlin", Fate.ADMITTED)]), ("1",))
    assert rounds.fates() == {"berlin": {Fate.ADMITTED: 2}, "paris": {Fate.STALE: 1}}
