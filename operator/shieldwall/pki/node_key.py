"""The Flower node key in the very formats that Flower 1.41 reads.

It is long-lived and apart from the certificate's key: a new node key means a new node id.
"""

from __future__ import annotations

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shieldwall.pki.errors import MalformedPemError, UnsupportedKeyError
from shieldwall.pki.pem import LARGEST_KEY


def node_key_to_openssh(key: ec.EllipticCurvePrivateKey) -> str:
    """What ``flower-supernode --auth-supernode-private-key`` reads: OpenSSH, without a password."""
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    return encoded.decode("ascii")


def node_key_from_openssh(text: str | bytes) -> ec.EllipticCurvePrivateKey:
    """Read it again; raises MalformedPemError or UnsupportedKeyError."""
    content = text.encode() if isinstance(text, str) else text
    if len(content) > LARGEST_KEY:
        raise MalformedPemError("an OpenSSH private key of an elliptic curve")
    try:  # as in private_key_from_pem
        key = serialization.load_ssh_private_key(content, password=None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, NotImplementedError) as error:  # the last for a compressed point
        raise MalformedPemError("an OpenSSH private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise UnsupportedKeyError(type(key).__name__)
    return key


def public_pem(key: ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey) -> str:
    """What RegisterNode wants and what the node-key header carries in base64: SubjectPublicKeyInfo PEM."""
    public = key.public_key() if isinstance(key, ec.EllipticCurvePrivateKey) else key
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
