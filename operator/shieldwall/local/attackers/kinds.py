"""Which attacks there are, and which container of the client's pod each one turns."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class AttackKind(StrEnum):
    """What an attacking client does, round after round."""

    SIGN_FLIP = "sign-flip"
    """Sends its update reversed and enlarged."""
    GAUSSIAN = "gaussian"
    """Sends noise in place of an update."""
    SCALED = "scaled"
    """Sends its update a hundredfold."""
    LABEL_FLIP = "label-flip"
    """Trains honestly on wrong labels (data sets of scikit-learn only)."""
    NAN = "nan"
    """Sends a number that is none."""
    WRONG_SHAPE = "wrong-shape"
    """Sends arrays of another shape."""
    UNSIGNED = "unsigned"
    """Sends its update without a signature."""
    ALTERED = "altered"
    """Alters its update after it was signed."""
    REPLAYED = "replayed"
    """Sends its first reply, with its valid signature, again in every later round."""
    IMPOSTOR = "impostor"
    """Sends its reply in another node's name."""
    PLAIN_TEXT = "plain-text"
    """Speaks HTTP to the mTLS port."""
    NO_CERTIFICATE = "no-certificate"
    """Speaks TLS and shows no certificate."""
    FOREIGN_CA = "foreign-ca"
    """Shows a certificate with the right name from a CA of its own."""


PROXY_KINDS: Final = frozenset({AttackKind.PLAIN_TEXT, AttackKind.NO_CERTIFICATE, AttackKind.FOREIGN_CA})
"""Attackers that never get in: they take no part in any round."""


def turned_container(kind: AttackKind) -> str:
    """Name of the container of the client's pod that the attack replaces."""
    if kind in PROXY_KINDS:
        return "proxy"
    return "supernode" if kind is AttackKind.IMPOSTOR else "trainer"


def disguise(
    kind: AttackKind, container: str, command: list[str], env: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """The command and environment that an attacking client's container runs with; others stay as they are."""
    if container != turned_container(kind):
        return command, dict(env)
    return [sys.executable, "-m", "shieldwall.local.attackers", container, kind.value], dict(env)
