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
    FREE_ZERO = "free-zero"
    """A free-rider that sends the model back as it came."""
    FREE_SCALED = "free-scaled"
    """A free-rider that sends the global model's last step, made longer or shorter."""
    FREE_NOISE = "free-noise"
    """A free-rider that sends noise as large as the global model's last step."""
    FREE_REPLAY = "free-replay"
    """A free-rider that sends the global model's last step."""
    FREE_REPLAY_NOISE = "free-replay-noise"
    """The same with noise."""
    FREE_DELAYED = "free-delayed"
    """A free-rider that sends what the global model did five rounds ago."""
    FREE_COLLUDING = "free-colluding"
    """Free-riders that send the same noise, each with a little of its own."""
    FREE_STALE = "free-stale"
    """A free-rider that trains once and sends that update for ever."""
    FREE_STALE_NOISE = "free-stale-noise"
    """The same with fresh noise in every round."""
    SLOW_DRIFT = "slow-drift"
    """Trains honestly and pushes a little in one direction, round after round."""
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
