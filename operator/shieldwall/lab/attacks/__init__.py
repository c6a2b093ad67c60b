"""The attacks of the literature as pure functions of what the attackers know, and the protocol's own."""

from shieldwall.lab.attacks.kinds import NEEDS_SIGNATURES, PLANS, Goal, LabAttack, Plan, Poison
from shieldwall.lab.attacks.view import Lies, View

__all__ = ["NEEDS_SIGNATURES", "PLANS", "Goal", "LabAttack", "Lies", "Plan", "Poison", "View"]
