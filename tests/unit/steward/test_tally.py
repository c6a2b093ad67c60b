"""How rounds are counted: released, lost, or still open."""

import pytest

from shieldwall.contract.records import Outcome, RoundRecord
from shieldwall.runtime.tally import UNTRIED, Tally


def record(round_, outcome, attempt=1, run_id="7"):
    return RoundRecord(
        run_id=run_id,
        round=round_,
        attempt=attempt,
        outcome=outcome,
        reason="" if outcome is Outcome.RELEASED else "1 reply was admitted where 2 are needed",
        opened=0.0,
        seconds=1.0,
        rule="FedMedian",
        admitted=1,
        byzantine=1,
        replies=(),
    )


def tally(*outcomes):
    return Tally.of(record(round_, outcome) for round_, outcome in outcomes)


RELEASED, REPEATED, SKIPPED = Outcome.RELEASED, Outcome.REPEATED, Outcome.SKIPPED


@pytest.mark.parametrize(
    ("outcomes", "counted"),
    [
        ([], (0, 0, 0)),
        ([(1, RELEASED), (2, RELEASED)], (2, 0, 2)),
        ([(1, REPEATED), (1, REPEATED), (1, RELEASED)], (1, 0, 1)),
        ([(1, RELEASED), (2, REPEATED)], (1, 0, 1)),
        ([(1, RELEASED), (2, SKIPPED)], (1, 1, 2)),
        ([(1, SKIPPED), (2, RELEASED), (3, SKIPPED), (4, SKIPPED)], (1, 3, 4)),
        ([(1, RELEASED), (2, SKIPPED), (2, RELEASED)], (2, 0, 2)),
        ([(1, REPEATED), (2, RELEASED)], (1, 1, 2)),
    ],
    ids=str,
)
def test_a_round_counts_once_and_is_lost_when_it_is_over_without_a_release(outcomes, counted):
    found = tally(*outcomes)
    assert (found.released, found.lost, found.last) == counted


def test_the_last_loss_stands_for_all():
    found = tally((1, SKIPPED), (2, SKIPPED))
    assert found.losses == "2 rounds were lost: in round 2, 1 reply was admitted where 2 are needed"
    assert "in round 2, 1 reply was admitted" in found.empty


def test_of_a_round_that_was_given_up_at_the_end_the_reason_is_told():
    assert "in round 1, 1 reply" in tally((1, REPEATED)).empty


def test_without_a_round_it_is_the_serverapp_that_asked_nobody():
    assert UNTRIED.losses == ""
    assert UNTRIED.empty == "The app ended and released no round: its ServerApp asked no client to train."
