"""Why a private training does not begin, or does not go on."""

from __future__ import annotations

from shieldwall.contract.privacy import BUDGET_SPENT


class UnsoundPrivacyError(ValueError):
    """What the policy promises would not hold: it must be changed, or the training begun anew."""


class BudgetSpentError(Exception):
    """Another round would spend more than the policy allows: the training ends with its last release."""

    def __init__(self, spent: float, would_be: float, epsilon: float, round_: int) -> None:
        super().__init__(
            f"{BUDGET_SPENT}: epsilon = {spent:.4g} of {epsilon:g}, and round {round_} would make it {would_be:.4g}"
        )
        self.spent = spent
        self.would_be = would_be
        self.epsilon = epsilon
        self.round = round_


class NotPrivateError(RuntimeError):
    """The client's app did not do what the policy's mode of privacy asks: what it answers may not leave."""
