"""A turned proxy: the client's way out without TLS, without a certificate, or with one of a CA of its own."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric import ec

from shieldwall.local.attackers.kinds import AttackKind
from shieldwall.pki.authority import new_issuer, new_root
from shieldwall.pki.leaf import LeafRequest, issue
from shieldwall.pki.pem import certificates_from_pem, certificates_to_pem, private_key_to_pem
from shieldwall.pki.serials import new_serial
from shieldwall.pki.verify import identity_of
from shieldwall.runtime.proxy.main import (
    envoy_binary,
    envoy_command,
    settings_of_this_container,
    write_configuration,
)
from shieldwall.runtime.proxy.routing import SERVER
from shieldwall.runtime.proxy.settings import Side

if TYPE_CHECKING:
    from pathlib import Path

    from shieldwall.contract.identity import Identity
    from shieldwall.runtime.proxy.settings import Settings

_LIFETIME: Final = timedelta(hours=24)


def run_proxy(kind: AttackKind) -> int:
    """Write the honest configuration, turn it, and become Envoy."""
    settings = settings_of_this_container(Side.CLIENT)
    write_configuration(Side.CLIENT, settings)
    if kind is AttackKind.FOREIGN_CA:
        _show_foreign_certificate(settings)
    else:
        configuration = json.loads(settings.bootstrap_file.read_text())
        _turn(configuration, kind)
        settings.bootstrap_file.write_text(json.dumps(configuration))
    command = envoy_command(envoy_binary(), settings)
    sys.stdout.flush()
    os.execvp(command[0], command)  # noqa: S606  # a fixed command line; no shell is involved


def _turn(configuration: dict[str, Any], kind: AttackKind) -> None:
    """Take TLS, or the certificate, out of the way to the server."""
    clusters = configuration["static_resources"]["clusters"]
    server = next(cluster for cluster in clusters if cluster["name"] == SERVER)
    if kind is AttackKind.PLAIN_TEXT:
        del server["transport_socket"]
    else:
        del server["transport_socket"]["typed_config"]["common_tls_context"]["tls_certificate_sds_secret_configs"]


def _show_foreign_certificate(settings: Settings) -> None:
    """Put a leaf with the client's own name, from a CA that nobody here knows, in the place of the real one."""
    own = certificates_from_pem((settings.paths.tls / "tls.crt").read_bytes())[0]
    directory = settings.directory / "foreign"
    directory.mkdir(exist_ok=True)
    _write_leaf(directory, identity_of(own), datetime.now(UTC))
    document = settings.leaf_file.read_text().replace(str(settings.paths.tls), str(directory))
    settings.leaf_file.write_text(document)


def _write_leaf(directory: Path, identity: Identity, now: datetime) -> None:
    def serial() -> int:
        return new_serial(os.urandom)

    root = new_root("Somebody else", ec.generate_private_key(ec.SECP256R1()), serial(), now)
    issuer = new_issuer(root, identity.federation, ec.generate_private_key(ec.SECP256R1()), serial(), now)
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = issue(issuer, LeafRequest(identity, (), _LIFETIME), key.public_key(), serial(), now)
    (directory / "tls.crt").write_text(certificates_to_pem([leaf, issuer.certificate]))
    (directory / "tls.key").write_text(private_key_to_pem(key))
