"""What was spent, as far as status remembers it: what a ledger has once told of is never taken back. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from shieldwall.contract.privacy import PrivacyRecord
    from shieldwall.control.api.status import PrivacyStatus

_SAME: Final = 1e-6
"""Two sums of ε that differ by less, as a share of either, are of one ledger."""
_MOST_RELEASES: Final = 2**31 - 1


def spending(known: PrivacyStatus, told: PrivacyRecord) -> PrivacyStatus:
    """``known`` with what the ledger tells now; of the same mode, or empty.

    A ledger that tells of less than before was lost or set back. All that it had told of is then lost with it, and what
    it tells from now on comes on top, for nobody knows how much of that was in it before (basic composition: Dwork and
    Roth 2014, Theorem 3.16).
    """
    lost, delta_lost = known.epsilon_lost, known.delta_lost
    if is_set_back(known, told):
        lost, delta_lost = known.epsilon_spent, (delta_lost or 0.0) + (known.delta or 0.0)
    spent = _digits((lost or 0.0) + told.epsilon)
    if known.epsilon_spent is not None and told.delta == known.delta:
        spent = max(spent, known.epsilon_spent)
    return known.model_copy(
        update={
            "epsilon_spent": spent,
            "delta": told.delta,
            "releases": _releases(told),
            "epsilon_lost": lost,
            "delta_lost": delta_lost,
        }
    )


def is_set_back(known: PrivacyStatus, told: PrivacyRecord) -> bool:
    """Whether the ledger tells of less than it did before: of fewer releases, or of less ε at the same δ or a smaller.

    With a larger δ the same releases cost less, so that ε says nothing.
    """
    if not known.epsilon_spent:
        return False
    if known.releases is not None and _releases(told) < known.releases:
        return True
    comparable = known.delta is not None and told.delta <= known.delta
    return comparable and _digits((known.epsilon_lost or 0.0) + told.epsilon) < known.epsilon_spent * (1 - _SAME)


def _releases(told: PrivacyRecord) -> int:
    return min(max(told.releases, 0), _MOST_RELEASES)


def _digits(value: float) -> float:
    """As status has it."""
    return float(f"{value:.8g}")
