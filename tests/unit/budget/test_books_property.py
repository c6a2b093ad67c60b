"""Whatever trainings do, in whatever order it is seen: no more is granted than the limit, and no release is unseen."""

from fractions import Fraction

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from shieldwall.control.budgets.books import reserved_of, spent_of
from shieldwall.control.budgets.loss import exact
from shieldwall.control.budgets.refusals import BudgetRefusedError

from .conftest import Ledger, sight

NAMES = st.sampled_from("abcdef")
TENTHS = st.integers(1, 20).map(lambda number: number / 10)


class World(RuleBasedStateMachine):
    """Trainings as they are, next to the books, which see of them only what they are shown."""

    def __init__(self):
        super().__init__()
        self.ledger = Ledger(epsilon=3.0, delta=0.9)
        self.targets = {}
        """What each may spend: its aggregator refuses the round that would pass it."""
        self.truth = {}
        """What each has released in this period, or before it when it ran on."""
        self.deleted = set()
        self.failed = set()
        """Who was seen to have failed: its steward starts nothing more until its spec is another, which claims."""

    @initialize()
    def begins(self):
        assert self.ledger.sums == (0.0, 0.0)

    @rule(name=NAMES, wish=TENTHS)
    def starts_or_asks_for_more(self, name, wish):
        if name in self.deleted:
            return
        generation = self.ledger.share(name).generation + 1 if self.ledger.share(name) else 1
        try:
            self.ledger.claim(name, wish, generation=generation, rounds=1000 * generation)
        except BudgetRefusedError:
            return
        self.ledger.begin(name)
        self.failed.discard(name)
        self.targets[name] = max(self.targets.get(name, 0.0), wish)
        self.truth.setdefault(name, 0.0)

    @rule(name=NAMES, part=st.integers(1, 10))
    def releases(self, name, part):
        if name in self.targets and name not in self.failed:
            self.truth[name] += (self.targets[name] - self.truth[name]) * part / 10

    @rule(name=NAMES, phase=st.sampled_from(["Training", "Unreachable", "Failed"]))
    def is_seen(self, name, phase):
        share = self.ledger.share(name)
        if name in self.targets:
            rounds = 1000 * share.generation
            seen = sight(name, self.truth[name], share.round + 1, phase, generation=share.generation, rounds=rounds)
            self.ledger.see(seen)
            (self.failed.add if phase == "Failed" else self.failed.discard)(name)

    @rule(name=NAMES)
    def completes(self, name):
        share = self.ledger.share(name)
        if name in self.targets:
            rounds = 1000 * share.generation
            self.ledger.see(
                sight(name, self.truth[name], rounds, "Completed", generation=share.generation, rounds=rounds)
            )
            # More rounds are another spec, which claims.
            del self.targets[name]

    @rule(name=NAMES)
    def is_deleted(self, name):
        """A new one of the name gets another uid; here, the name is not used again."""
        if name in self.targets:
            self.ledger.gone(name)
            del self.targets[name]
            self.deleted.add(name)

    @invariant()
    def no_more_is_held_than_the_limit(self):
        held = reserved_of(self.ledger.books) + spent_of(self.ledger.books)
        assert held.epsilon <= Fraction(3)
        assert held.delta <= exact(0.9)

    @invariant()
    def nothing_that_was_released_or_may_be_is_uncounted(self):
        for name in self.truth:
            share = self.ledger.share(name)
            counted = exact(share.spent.epsilon) + exact(share.reserved.epsilon)
            assert float(counted) >= self.truth[name] - 1e-12
            if name in self.targets:
                assert float(counted) >= self.targets[name] - 1e-12


World.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestBooks = World.TestCase
