"""Where keys, serials and secrets come from."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec

from shieldwall.pki.serials import new_serial

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Randomness:
    """The operating system's, unless a test brings its own."""

    new_key: Callable[[], ec.EllipticCurvePrivateKey] = lambda: ec.generate_private_key(ec.SECP256R1())
    octets: Callable[[int], bytes] = secrets.token_bytes

    def serial(self) -> int:
        """A certificate's serial number."""
        return new_serial(self.octets)
