"""Attacking clients for local runs: the same programs as an honest client's, with one of them turned.

Nothing here is imported by what runs in a cluster; the images do not hold it.
"""

from shieldwall.local.attackers.kinds import AttackKind, disguise

__all__ = ["AttackKind", "disguise"]
