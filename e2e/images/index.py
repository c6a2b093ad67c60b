"""How this machine's pip reaches its package index, handed to builds as secrets: no layer ever holds it."""

from __future__ import annotations

import ssl
import subprocess
import sys
from ast import literal_eval
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_PASSED_ON: Final = ("index-url", "extra-index-url", "trusted-host", "proxy", "default-timeout", "timeout", "retries")
_CA: Final = "/run/secrets/ca.crt"


def pip_conf(listing: str) -> str:
    """A pip.conf for a build, from what ``pip config list`` prints here; a later line wins, as with pip itself."""
    values: dict[str, str] = {}
    for line in listing.splitlines():
        name, _, value = line.partition("=")
        key = name.rpartition(".")[2]
        if key in _PASSED_ON:
            values[key] = literal_eval(value)
    lines = [f"{key} = {' '.join(value.split())}" for key, value in sorted(values.items())]
    return "\n".join(["[global]", f"cert = {_CA}", *lines, ""])


def ca_bundle(listing: str) -> Path:
    """The CA certificates that this machine trusts: pip's own choice, or OpenSSL's."""
    named = [line.partition("=")[2] for line in listing.splitlines() if line.partition("=")[0].endswith(".cert")]
    if named:
        return Path(literal_eval(named[-1]))
    return Path(ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt")


@contextmanager
def index_secrets() -> Iterator[tuple[str, ...]]:
    """Options of buildah for them; the files end with the context."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603  # pip
    with TemporaryDirectory(prefix="shieldwall-images-") as folder:
        configuration = Path(folder) / "pip.conf"
        configuration.write_text(pip_conf(listing), encoding="utf-8")
        yield f"--secret=id=pip.conf,src={configuration}", f"--secret=id=ca.crt,src={ca_bundle(listing)}"
