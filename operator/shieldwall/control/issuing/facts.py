"""What a Secret holds, read back. Whatever is malformed, foreign or does not fit together is as good as not there."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from shieldwall.pki.authority import Authority
from shieldwall.pki.extensions import find, subject_key
from shieldwall.pki.keys import require_p256
from shieldwall.pki.node_key import node_key_from_openssh, public_pem
from shieldwall.pki.pem import certificates_from_pem, certificates_to_pem, private_key_from_pem, require_match
from shieldwall.pki.verify import identity_of, is_issued_by, require_profile

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNREADABLE: Final = (
    KeyError,
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""All that reading somebody else's bytes may raise; most of cryptography's own errors are no ValueErrors."""
LARGEST_ENTRY: Final = 16 * 1024
"""Bytes. The largest of ours, a chain of two certificates, has a tenth; parsing more is somebody else's wish."""
_SERIALS: Final = 1 << 160
"""Serial numbers have at most 20 octets (RFC 5280, 4.1.2.2)."""
_SHARED: Final = re.compile(rb"[0-9a-f]{64}")


def authority_of(data: Mapping[str, bytes]) -> Authority | None:
    """The CA of ``tls.crt`` and ``tls.key``, a root or an issuing one.

    None unless it may sign, the key is its, and it was issued by whom ``ca.crt`` names, if that is there.
    """
    with suppress(*_UNREADABLE):
        authority = Authority.from_pem(_entry(data, "tls.crt"), _entry(data, "tls.key"))
        certificate = authority.certificate
        if _may_sign(certificate) and ("ca.crt" not in data or root_of(data) is not None):
            return authority
    return None


def root_of(data: Mapping[str, bytes]) -> x509.Certificate | None:
    """The CA of ``ca.crt`` that issued the one of ``tls.crt``; None when none did."""
    with suppress(*_UNREADABLE):
        issued = certificates_from_pem(_entry(data, "tls.crt"))[0]
        return next(
            (each for each in certificates_from_pem(_entry(data, "ca.crt")) if is_issued_by(issued, each)), None
        )
    return None


def published_ca(bundle: str) -> x509.Certificate | None:
    """The CA that a published bundle names first; None when none can be read, or its serial is none (RFC 5280)."""
    with suppress(*_UNREADABLE):
        certificate = certificates_from_pem(_entry({"ca.crt": bundle.encode()}, "ca.crt"))[0]
        return certificate if 0 < certificate.serial_number < _SERIALS else None
    return None


def leaf_of(data: Mapping[str, bytes]) -> x509.Certificate | None:
    """The leaf of ``tls.crt``.

    None unless it is of the profile of the role it names, ``tls.key`` is its key, and the issuer that signed it follows
    it and is in ``ca.crt``. Nothing else may stand in either: pods read all of it.
    """
    with suppress(*_UNREADABLE):
        leaf, issuer = certificates_from_pem(_entry(data, "tls.crt"))
        alone = _pem(leaf, issuer) == data["tls.crt"] and _pem(issuer) == _entry(data, "ca.crt")
        require_match(leaf, private_key_from_pem(_entry(data, "tls.key")))
        require_profile(leaf, identity_of(leaf).role)
        if alone and is_issued_by(leaf, issuer):
            return leaf
    return None


def node_key_of(data: Mapping[str, bytes]) -> str | None:
    """The public half of a Flower node key, SubjectPublicKeyInfo PEM; None unless ``node.key`` fits ``node.pub``."""
    with suppress(*_UNREADABLE):
        key = node_key_from_openssh(_entry(data, "node.key"))
        require_p256(key.public_key())
        public = public_pem(key)
        return public if data["node.pub"] == public.encode() else None
    return None


def shared_secret_in(data: Mapping[str, bytes], key: str) -> bool:
    """Whether ``key`` holds 32 bytes in hexadecimal."""
    return _SHARED.fullmatch(data.get(key, b"")) is not None


def _pem(*certificates: x509.Certificate) -> bytes:
    return certificates_to_pem(certificates).encode()


def _entry(data: Mapping[str, bytes], name: str) -> bytes:
    content = data[name]
    if len(content) > LARGEST_ENTRY:
        raise ValueError(name)
    return content


def _may_sign(certificate: x509.Certificate) -> bool:
    """Certificates and lists of revoked ones, and can be told by a key identifier."""
    usage = find(certificate, x509.KeyUsage)
    return usage is not None and usage.key_cert_sign and usage.crl_sign and subject_key(certificate) is not None
