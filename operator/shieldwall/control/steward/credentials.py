"""What a program shows to a steward and checks it by, and the TLS made of it without a file on any disk."""

from __future__ import annotations

import os
import ssl
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography import x509

from shieldwall.pki.pem import certificates_from_pem, certificates_to_pem, crl_to_pem

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Credentials:
    """The operator's leaf for one training, and the training's trust; all PEM."""

    chain: bytes
    """The leaf, then its issuing CA."""
    key: bytes = field(repr=False)
    ca: bytes
    """The training's issuing CAs, never the root."""
    crl: bytes
    """Their CRL, and nothing else."""


def tls_context(credentials: Credentials) -> ssl.SSLContext:
    """TLS 1.3 with the leaf; the peer must chain to the training's own CA. Raises ssl.SSLError for unusable parts."""
    context = trusting(credentials)
    with _in_memory(credentials.chain) as chain, _in_memory(credentials.key) as key:
        context.load_cert_chain(chain, key)
    return context


def trusting(credentials: Credentials) -> ssl.SSLContext:
    """The same without a leaf to show.

    The training's CA is an issuing one and not self-signed, so OpenSSL has to be told that trust may end there. It
    would trust any certificate of the file that the CRL is read from, so that only what was read as a CRL is given.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT | ssl.VERIFY_CRL_CHECK_LEAF
    context.load_verify_locations(cadata=_certificates(credentials.ca))
    with _in_memory(_list(credentials.crl)) as path:
        context.load_verify_locations(path)
    return context


def _certificates(pem: bytes) -> str:
    try:
        return certificates_to_pem(certificates_from_pem(pem))
    except ValueError as error:
        raise ssl.SSLError(f"no bundle of CAs: {error}") from error


def _list(pem: bytes) -> bytes:
    try:
        return crl_to_pem(x509.load_pem_x509_crl(pem)).encode()
    except (ValueError, x509.InvalidVersion) as error:
        raise ssl.SSLError(f"no CRL: {error}") from error


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """A path to ``content``: OpenSSL wants files. This one has no name on any file system (memfd_create(2))."""
    descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        yield f"/proc/self/fd/{descriptor}"
