"""What RecordLevel needs of a policy, all of it there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shieldwall.runtime.privacy.errors import UnsoundPrivacyError

if TYPE_CHECKING:
    from shieldwall.contract.privacy import PrivacyPolicy


@dataclass(frozen=True, slots=True)
class RecordLevel:
    """The parameters of DP-SGD in a client."""

    batch_size: int
    steps: int
    records: int

    @classmethod
    def of(cls, policy: PrivacyPolicy) -> RecordLevel:
        """From the policy; raises UnsoundPrivacyError where it does not say them."""
        if policy.batch_size is None or policy.steps is None or policy.records is None:
            raise UnsoundPrivacyError("RecordLevel needs batchSize, steps and records: ε follows from them")
        if policy.batch_size > policy.records:
            raise UnsoundPrivacyError(f"a batch of {policy.batch_size} cannot be drawn from {policy.records} records")
        return cls(policy.batch_size, policy.steps, policy.records)

    @property
    def rate(self) -> float:
        """The probability with which a step draws each record, of a client with the fewest."""
        return self.batch_size / self.records
