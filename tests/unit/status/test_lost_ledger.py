"""A volume that was lost, another δ, what has no record: status and the budget's books, one after the other."""

import pytest

from shieldwall.contract.privacy import PrivacyRecord
from shieldwall.control.api.budget_parse import parse_budget
from shieldwall.control.api.budget_status import PrivacyBudgetStatus
from shieldwall.control.budgets.books import begun, claimed, reserved_of, share_of, spent_of
from shieldwall.control.budgets.claims import claim_of
from shieldwall.control.budgets.periods import opened
from shieldwall.control.budgets.settle import settled
from shieldwall.control.budgets.sights import sight_of
from shieldwall.control.status.previous import previous_status
from shieldwall.control.status.recount import recount
from shieldwall.control.status.summarise import summarise

PRIVACY = {"mode": "ClientLevelCentral", "epsilon": 1.0, "delta": 1e-5, "clip": 1.0, "budgetRef": "patients"}
BUDGET = {
    "apiVersion": "shieldwall.dev/v1alpha1",
    "kind": "PrivacyBudget",
    "metadata": {"name": "patients", "namespace": "fed", "uid": "b", "generation": 1},
    "spec": {
        "epsilon": 3.0,
        "delta": 1e-4,
        "unit": "Client",
        "data": [f"site-{number}" for number in range(10)],
        "period": {"name": "spring"},
    },
}


class Life:
    """One training, as its ledger is told to the operator, and as it stands in a budget."""

    def __init__(self, world, dumped):
        self.world = world
        self.dumped = dumped
        self.status = None
        self.budget = parse_budget(BUDGET)
        self.spec()
        books = opened(PrivacyBudgetStatus(), self.budget, dict, world.now)
        books = claimed(books, self.budget, claim_of(self.training), dict)
        self.books = begun(books, "1")

    def spec(self, **privacy):
        self.privacy = PRIVACY | privacy
        self.training = self.world.training(10, spec={"privacy": self.privacy})
        return self

    def tells(self, epsilon, releases, delta=1e-5, *, opening=None):
        told = PrivacyRecord(epsilon=epsilon, delta=delta, rounds_left=9, releases=releases)
        record = self.world.record(self.training, privacy=told)
        said = None if opening is None else {"privacy": told.model_copy(update=opening)}
        observed = self.world.observed(self.training)
        steward = self.world.steward(self.training, observed, last_round=record, newest=record, status=said)
        for _ in range(2):  # the same sight again changes nothing
            previous = previous_status(self.status)
            self.seen = summarise(self.world.sight(self.training, steward=steward, previous=previous))
            self.status = self.dumped(self.seen)
            self._counted()
        return self

    def _counted(self):
        metadata = {"namespace": "fed", "name": "digits", "uid": "1", "generation": 1}
        spec = {"privacy": self.privacy, "rounds": {"count": 30}}
        sight = sight_of({"metadata": metadata, "spec": spec, "status": self.status})
        self.books = settled(self.books, {"1": sight}, ())

    @property
    def spent(self):
        """By status."""
        return self.seen.privacy.epsilon_spent

    @property
    def sums(self):
        """By the budget: ε reserved and spent."""
        return float(reserved_of(self.books).epsilon), float(spent_of(self.books).epsilon)


@pytest.fixture
def life(world, dumped):
    return Life(world, dumped)


def test_what_a_lost_ledger_had_told_of_counts_besides_what_the_next_one_tells(life, condition, check):
    life.tells(0.8, 20)
    assert (life.spent, life.sums) == (0.8, pytest.approx((0.2, 0.8)))
    for epsilon, releases in ((0.16, 1), (0.55, 10), (0.8, 20)):
        life.tells(epsilon, releases)
        assert life.spent == pytest.approx(0.8 + epsilon)
        assert life.sums == pytest.approx((1 - epsilon, 0.8 + epsilon)), "what may be spent again is reserved again"
        assert (life.seen.privacy.epsilon_lost, life.seen.privacy.delta_lost) == (0.8, 1e-5)
        found = condition(life.seen, "Privacy")
        assert (found.status, found.reason) == ("False", "LedgerSetBack")
        assert "ε = 0.8 of it by a ledger that later told of less" in found.message
        assert check(life.seen, "PrivacyWithinBudget").state == "failed"
    assert float(spent_of(life.books).delta) == pytest.approx(2e-5), "each ledger's ε holds with a δ of its own"
    life.tells(0.1, 1)
    assert life.spent == pytest.approx(1.7)
    assert life.sums == pytest.approx((0.9, 1.7))


def test_a_target_that_is_raised_later_is_not_met_by_what_was_lost(life):
    life.tells(0.8, 20).tells(0.5, 9).spec(epsilon=1.5)
    life.books = claimed(life.books, life.budget, claim_of(life.training), dict)
    assert life.sums == pytest.approx((1.0, 1.3))


@pytest.mark.parametrize("epsilon", [0.99, 0.999999, 1.0])
def test_a_few_releases_less_are_a_ledger_that_was_set_back(life, epsilon):
    """Otherwise 300 releases are set back to 297 again and again, and three are always free."""
    life.tells(1.0, 300).tells(epsilon, 297)
    assert life.seen.privacy.epsilon_lost == 1.0
    assert life.spent == pytest.approx(1 + epsilon)


def test_less_epsilon_of_as_many_releases_is_one_too_and_a_last_digit_is_none(life):
    life.tells(0.5, 20).tells(0.49999999, 20)
    assert (life.spent, life.seen.privacy.epsilon_lost) == (0.5, None)
    life.tells(0.4999, 20)
    assert (life.spent, life.seen.privacy.epsilon_lost) == (0.9999, 0.5)


def test_another_delta_is_not_told_of_what_was_not_counted_by_it(life, condition, check):
    """Of a training that is complete nothing is counted again."""
    life.tells(0.9997, 30).spec(delta=1e-12).tells(0.9997, 30)
    assert (life.spent, life.seen.privacy.delta) == (0.9997, 1e-5)
    found = condition(life.seen, "Privacy")
    assert (found.status, found.reason) == ("Unknown", "OtherDelta")
    assert "counted by δ = 1e-05. By privacy.delta = 1e-12 it is more" in found.message
    assert check(life.seen, "PrivacyWithinBudget").state == "unknown"
    life.tells(1.79, 30, delta=1e-12)
    assert (life.spent, life.seen.privacy.delta) == (1.79, 1e-12)
    assert condition(life.seen, "Privacy").reason == "Exceeded"


def test_a_larger_delta_is_no_ledger_that_was_set_back(life, condition):
    life.tells(0.8, 20).spec(delta=1e-3)
    life.tells(0.8, 20)  # the aggregator has not heard of it
    life.tells(0.6, 21, delta=1e-3)
    assert (life.spent, life.seen.privacy.delta, life.seen.privacy.epsilon_lost) == (0.6, 1e-3, None)
    assert condition(life.seen, "Privacy").reason == "WithinBudget"
    assert life.sums == pytest.approx((0.2, 0.8)), "the books take nothing back"
    life.tells(0.1, 2, delta=1e-3)
    assert life.seen.privacy.epsilon_lost == 0.6, "but fewer releases are"


def test_epsilon_is_counted_again_by_the_delta_that_it_was_told_with(world):
    training = world.training(10, spec={"privacy": PRIVACY | {"delta": 1e-12}})
    at = [
        recount(training.spec, PrivacyRecord(epsilon=1, delta=delta, rounds_left=0, releases=30)).most
        for delta in (1e-5, 1e-12)
    ]
    assert at[0] < at[1]


def test_what_has_no_record_is_told_when_the_next_round_opens(life):
    """Aggregators died after they had asked: no record tells of it, and the ledger does."""
    life.tells(0.2, 4, opening={"epsilon": 0.55, "releases": 9})
    assert (life.spent, life.sums) == (0.55, pytest.approx((0.45, 0.55)))
    life.tells(0.6, 10)
    assert life.spent == 0.6
    assert share_of(life.books, "1").ledger == 0.6
