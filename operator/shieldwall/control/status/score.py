"""The score: 0 to 100, the points of what was observed. Unknown is 0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.control.api.status import CheckState, SecurityStatus
from shieldwall.control.status import contribution, mutual_tls, privacy, robustness

if TYPE_CHECKING:
    from shieldwall.control.api.status import Check
    from shieldwall.control.status.view import View


CLAIMS: Final = (
    *mutual_tls.CLAIMS,
    *robustness.CLAIMS,
    *privacy.CLAIMS,
    *contribution.CLAIMS,
)
"""25 points each for mutual TLS, robust aggregation, privacy and contribution."""


def security_of(view: View) -> SecurityStatus:
    """Every check, and their sum."""
    return scored(tuple(claim.check(view) for claim in CLAIMS))


def scored(checks: tuple[Check, ...]) -> SecurityStatus:
    """The sum of what was observed."""
    return SecurityStatus(score=sum(one.points for one in checks if one.state is CheckState.OBSERVED), checks=checks)
