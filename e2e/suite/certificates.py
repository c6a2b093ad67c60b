"""What an intruder might hold: leaves of the right authority, made outside of the operator, and of others."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from shieldwall.control.issuing.contents import authority_files, certificate_files
from shieldwall.control.issuing.randomness import Randomness
from shieldwall.pki.authority import Authority, new_root
from shieldwall.pki.leaf import LeafRequest
from shieldwall.pki.pem import certificates_to_pem, private_key_to_pem

if TYPE_CHECKING:
    from shieldwall.contract.identity import Federation, Identity

    from .kubectl import Kubectl

DAY = timedelta(days=1)


def pair(files: dict[str, bytes]) -> str:
    """Chain and key in one PEM, as Python's ssl takes it."""
    return (files["tls.crt"] + files["tls.key"]).decode()


def secret(kubectl: Kubectl, name: str) -> dict[str, bytes]:
    """A Secret's files."""
    return {key: base64.b64decode(text) for key, text in kubectl.get("secret", name)["data"].items()}


def issuer(kubectl: Kubectl, training: str) -> Authority:
    """The training's own CA, as only the operator may read it."""
    files = secret(kubectl, f"{training}-ca")
    return Authority.from_pem(files["tls.crt"], files["tls.key"])


def leaf(authority: Authority, identity: Identity, names: tuple[str, ...] = ()) -> str:
    """A leaf of a day for ``identity`` and these DNS names."""
    return pair(certificate_files(authority, LeafRequest(identity, names, DAY), datetime.now(UTC), Randomness()))


def foreign_issuer(federation: Federation) -> Authority:
    """A CA of nobody's that claims to be the training's."""
    random, now = Randomness(), datetime.now(UTC)
    root = new_root("somebody", random.new_key(), random.serial(), now)
    files = authority_files(root, federation, DAY, now, random)
    return Authority.from_pem(files["tls.crt"], files["tls.key"])


def handmade_leaf(authority: Authority, identity: Identity, begins: timedelta, ends: timedelta) -> str:
    """A leaf of any life, told from now: ours refuses to sign into the past, so all but its life is copied."""
    random = Randomness()
    key, now = random.new_key(), datetime.now(UTC)
    good = x509.load_pem_x509_certificate(
        certificate_files(authority, LeafRequest(identity, (), DAY), now, random)["tls.crt"]
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(good.subject)
        .issuer_name(good.issuer)
        .public_key(key.public_key())
        .serial_number(random.serial())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
    )
    for extension in good.extensions:
        if not isinstance(extension.value, x509.SubjectKeyIdentifier):
            builder = builder.add_extension(extension.value, critical=extension.critical)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    leaf = builder.sign(authority.key, hashes.SHA256())
    chain = certificates_to_pem([leaf]) + certificates_to_pem([authority.certificate])
    return chain + private_key_to_pem(key)
