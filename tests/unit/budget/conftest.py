"""Budgets, claims and what is seen of trainings, in few words."""

from datetime import UTC, datetime

import pytest

from shieldwall.control.api.budget import Unit
from shieldwall.control.api.budget_parse import parse_budget
from shieldwall.control.api.budget_status import PrivacyBudgetStatus
from shieldwall.control.budgets.books import begun, claimed, reserved_of, share_of, spent_of
from shieldwall.control.budgets.claims import Claim
from shieldwall.control.budgets.loss import Loss
from shieldwall.control.budgets.periods import opened
from shieldwall.control.budgets.settle import settled
from shieldwall.control.budgets.sights import TrainingSight

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = ("fed", "patients-2026")
SPEC = {
    "epsilon": 3.0,
    "delta": 1e-4,
    "unit": "Record",
    "data": ["berlin", "charite"],
    "period": {"name": "spring"},
}


def document(generation=1, uid="uid of patients", **spec):
    return {
        "apiVersion": "shieldwall.dev/v1alpha1",
        "kind": "PrivacyBudget",
        "metadata": {"name": KEY[1], "namespace": KEY[0], "uid": uid, "generation": generation},
        "spec": SPEC | spec,
    }


def budget(**spec):
    return parse_budget(document(**spec))


def claim(name="digits", epsilon=1.0, delta=1e-5, **more):
    words = {"generation": 1, "unit": Unit.RECORD, "clients": ("berlin",), "rounds": 10} | more
    return Claim(budget=KEY, training=name, uid=f"uid of {name}", target=Loss.of(epsilon, delta), **words)


def sight(name="digits", epsilon=None, round_=0, phase="Training", **more):
    words = {"generation": 1, "rounds": 10, "running": False, "lost": Loss()} | more
    words.setdefault("observed_generation", words["generation"])
    return TrainingSight(
        budget=KEY,
        name=name,
        uid=f"uid of {name}",
        target=Loss.of(1.0, 1e-5),
        phase=phase,
        round=round_,
        epsilon=epsilon,
        **words,
    )


def by_uid(*sights):
    return {each.uid: each for each in sights}


class Ledger:
    """Books that are kept: each method is one change."""

    def __init__(self, **spec):
        self.spec = spec
        self.books = opened(PrivacyBudgetStatus(), self.budget, dict, NOW)

    @property
    def budget(self):
        return budget(**self.spec)

    def claim(self, *args, sights=(), **words):
        self.books = claimed(self.books, self.budget, claim(*args, **words), lambda: by_uid(*sights))
        return self

    def begin(self, name="digits"):
        self.books = begun(self.books, f"uid of {name}")
        return self

    def starts(self, *args, **words):
        self.claim(*args, **words)
        return self.begin(*args[:1])

    def see(self, *sights):
        self.books = settled(self.books, by_uid(*sights), ())
        return self

    def gone(self, name="digits"):
        self.books = settled(self.books, {}, {f"uid of {name}"})
        return self

    def period(self, name, *sights, reason="a new year"):
        self.spec |= {"period": {"name": name, "reason": reason}}
        self.books = opened(self.books, self.budget, lambda: by_uid(*sights), NOW)
        return self

    def share(self, name="digits"):
        return share_of(self.books, f"uid of {name}")

    @property
    def sums(self):
        """ε reserved and spent."""
        return float(reserved_of(self.books).epsilon), float(spent_of(self.books).epsilon)

    @property
    def deltas(self):
        return float(reserved_of(self.books).delta), float(spent_of(self.books).delta)


@pytest.fixture
def ledger():
    return Ledger()
