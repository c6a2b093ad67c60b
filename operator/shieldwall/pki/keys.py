"""The one kind of key in use: ECDSA P-256. Making keys needs randomness, so callers bring them."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec

from shieldwall.pki.errors import UnsupportedKeyError


def require_p256(key: object) -> ec.EllipticCurvePublicKey:
    """Return ``key`` as a P-256 public key; raises UnsupportedKeyError."""
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise UnsupportedKeyError(type(key).__name__)
    if not isinstance(key.curve, ec.SECP256R1):
        raise UnsupportedKeyError(key.curve.name)
    return key
