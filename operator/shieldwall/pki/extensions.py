"""Reading and making the extensions of certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from cryptography import x509

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


def find(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    """The extension of this kind, or None; raises ValueError when the extensions cannot be parsed."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
    except x509.DuplicateExtension as error:
        raise ValueError("an extension stands in it twice") from error


def subject_key(certificate: x509.Certificate) -> bytes | None:
    """The subject key identifier (SKI)."""
    found = find(certificate, x509.SubjectKeyIdentifier)
    return None if found is None else found.digest


def authority_key(certificate: x509.Certificate) -> bytes | None:
    """The authority key identifier (AKI): the SKI of the issuer."""
    found = find(certificate, x509.AuthorityKeyIdentifier)
    return None if found is None else found.key_identifier


def authority_key_of(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """The AKI that goes into what ``issuer`` signs: its very SKI, however that was derived."""
    digest = subject_key(issuer)
    if digest is None:
        raise ValueError("an issuer must have a subject key identifier")
    return x509.AuthorityKeyIdentifier(digest, None, None)


def key_usage(*, digital_signature: bool = False, authority: bool = False) -> x509.KeyUsage:
    """A leaf's key usage, an authority's (certificates and CRLs), or both."""
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def subject_key_of(key: ec.EllipticCurvePublicKey) -> x509.SubjectKeyIdentifier:
    """SHA-1 of the key, as RFC 5280, 4.2.1.2 (1) names it; an identifier, not a defence."""
    return x509.SubjectKeyIdentifier.from_public_key(key)
