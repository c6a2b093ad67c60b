"""``shieldwall-runtime init [--superexec]``: what a pod makes for itself before anything else starts.

The pod-local certificate for the hops on loopback, because Flower's node authentication refuses to speak plainly even
to the proxy beside it; and in client pods the secret that the trainer shows to its SuperNode. Neither leaves the pod.
"""

from __future__ import annotations

import argparse
import os
import secrets
import tempfile
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shieldwall.contract.paths import Paths, loopback
from shieldwall.pki.extensions import key_usage, subject_key_of
from shieldwall.pki.pem import certificates_to_pem, private_key_to_pem
from shieldwall.pki.serials import new_serial
from shieldwall.pki.validity import validity

if TYPE_CHECKING:
    from collections.abc import Sequence

LIFETIME: Final = timedelta(days=3650)
"""Longer than any pod: the key never leaves it, and nothing renews it."""
SECRET_BYTES: Final = 32

_LOCALHOST: Final = "127.0.0.1"
# Readers run under other users of the pod's group.
_KEY_MODE: Final = 0o640
_CERTIFICATE_MODE: Final = 0o644
_SECRET_MODE: Final = 0o440


def main(argv: Sequence[str]) -> int:
    """Make the files anew, each at once: a restarted pod gets new ones. Raises OSError."""
    parser = argparse.ArgumentParser(prog="shieldwall-runtime init", description=__doc__.splitlines()[0])
    parser.add_argument("--superexec", action="store_true", help="also make the SuperExec secret of this pod")
    arguments = parser.parse_args(argv)
    paths = Paths.of_this_container()
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = local_certificate(key, new_serial(os.urandom), loopback(), datetime.now(UTC))
    put(paths.local_key, private_key_to_pem(key), _KEY_MODE)
    put(paths.local_certificate, certificates_to_pem([certificate]), _CERTIFICATE_MODE)
    if arguments.superexec:
        put(paths.superexec_secret, secrets.token_hex(SECRET_BYTES), _SECRET_MODE)
    return 0


def local_certificate(key: ec.EllipticCurvePrivateKey, serial: int, address: str, now: datetime) -> x509.Certificate:
    """A server's certificate for localhost, 127.0.0.1 and ``address``: its own issuer, trusted by nobody outside.

    Raises ValueError when ``address`` is not an IP address.
    """
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pod-local")])
    addresses = [x509.IPAddress(ip_address(each)) for each in dict.fromkeys((_LOCALHOST, address))]
    valid, own = validity(now, LIFETIME), subject_key_of(key.public_key())
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), serial)
        .not_valid_before(valid.not_before)
        .not_valid_after(valid.not_after)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(digital_signature=True, authority=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost"), *addresses]), critical=False)
        .add_extension(own, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier(own.digest, None, None), critical=False)
    )
    return builder.sign(key, hashes.SHA256())


def put(path: Path, text: str, mode: int) -> None:
    """Write a file so that it is there whole and with ``mode``, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, new = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600 until it is ready
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            os.fchmod(file.fileno(), mode)
        Path(new).replace(path)
    except OSError:
        Path(new).unlink(missing_ok=True)
        raise
