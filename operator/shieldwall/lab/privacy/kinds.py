"""What can be tried on what, by name; imports nothing, so that the command's menu starts at once."""

from __future__ import annotations

from enum import StrEnum


class PrivacyAttack(StrEnum):
    """What is tried."""

    MEMBERSHIP = "membership"
    """Was this record, or this client, in the training?"""
    INVERSION = "inversion"
    """Are a client's images in its update?"""
    AUDIT = "audit"
    """How much of ε can be proved?"""


class AttackedTask(StrEnum):
    """Whose images; the names of shieldwall.lab.tasks.TASKS."""

    DIGITS = "digits"
    MNIST = "mnist"
