"""The client's leaf as it lies in the mounted Secret, which the kubelet replaces at any moment."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from shieldwall.pki.pem import certificates_from_pem, private_key_from_pem, require_match
from shieldwall.pki.verify import identity_of

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    from shieldwall.contract.identity import Identity

CERTIFICATE: Final = "tls.crt"
KEY: Final = "tls.key"
_CURRENT: Final = "..data"
_LOG: Final = logging.getLogger(__name__)


class NoLeafError(Exception):
    """There is no usable leaf, and there was none before."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate, its key and the chain to send along."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    chain: bytes
    """PEM, leaf first."""


class LeafFiles:
    """Reads the leaf anew at each call and keeps the last good one when what lies there is not usable."""

    def __init__(self, directory: Path, identity: Identity) -> None:
        self._directory = directory
        self._identity = identity
        self._last: Leaf | None = None
        self.failures = 0
        """How often an unusable pair was found."""

    def load(self) -> Leaf:
        """The newest usable leaf of the client; raises NoLeafError."""
        try:
            self._last = read_leaf(self._directory, self._identity)
        except (OSError, ValueError) as error:
            self.failures += 1
            if self._last is None:
                raise NoLeafError(f"no usable leaf: {_cause(error)}") from error
            _LOG.warning("The leaf that lies there is not usable; the one before is kept: %s", _cause(error))
        return self._last


def read_leaf(directory: Path, identity: Identity) -> Leaf:
    """Read certificate and key from one and the same version of the Secret.

    ``..data`` is resolved once: read through it twice, and a renewal in between gives the certificate of one version
    and the key of the other. Raises OSError, or ValueError when they do not match or are not ``identity``'s.
    """
    current = directory / _CURRENT
    version = current.resolve(strict=True) if current.is_symlink() else directory
    chain = (version / CERTIFICATE).read_bytes()
    key = private_key_from_pem((version / KEY).read_bytes())
    certificate = certificates_from_pem(chain)[0]
    require_match(certificate, key)
    found = identity_of(certificate)
    if found != identity:
        raise ValueError(f"the leaf is {found.uri}'s and not {identity.uri}'s")
    return Leaf(certificate, key, chain)


def _cause(error: Exception) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)
