"""The Flower App Bundle of a training: names our ServerApp and ClientApp and carries the user's configuration.

It holds no code. Everything that runs is installed in the images already, so a FAB can bring nothing in.
It is packed here and not by ``flwr.cli.build``: the same files with the same content (tested), but stored without
compression, because deflate's output differs between zlib versions and clients pin the digest of what their own
image builds. It also spares each start the import of Flower's command line, most of a second.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from typing import TYPE_CHECKING, Final

import tomli_w

if TYPE_CHECKING:
    from shieldwall.contract.policy import RuntimePolicy

SERVER_APP: Final = "shieldwall.runtime.serverapp:app"
CLIENT_APP: Final = "shieldwall.runtime.clientapp:app"
_EPOCH: Final = (2024, 10, 1, 0, 0, 0)
_UNIX: Final = 3
_MODE: Final = 0o600


def build_fab(policy: RuntimePolicy) -> bytes:
    """The bundle of ``policy``: the same bytes wherever they are built, and from ``policy.for_clients()`` too."""
    project = project_file(policy)
    manifest = f"pyproject.toml,{hashlib.sha256(project).hexdigest()},{len(project) * 8}"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as bundle:
        _add(bundle, "pyproject.toml", project)
        _add(bundle, ".info/CONTENT", manifest.encode())
    return packed.getvalue()


def fab_sha256(policy: RuntimePolicy) -> str:
    """Hex digest of ``build_fab(policy)``: what Flower names the bundle by, and what clients pin."""
    return hashlib.sha256(build_fab(policy)).hexdigest()


def project_file(policy: RuntimePolicy) -> bytes:
    """The bundle's ``pyproject.toml``."""
    app = {
        "publisher": "shieldwall",
        "components": {"serverapp": SERVER_APP, "clientapp": CLIENT_APP},
        "config": dict(sorted(policy.app.config.items())),
    }
    project = {
        "name": "shieldwall",
        "version": "1.0.0",
        "description": "A Shieldwall training",
        "license": "Apache-2.0",
    }
    return tomli_w.dumps({"project": project, "tool": {"flwr": {"app": app}}}).encode()


def _add(bundle: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.create_system = _UNIX  # wherever it is built
    entry.external_attr = _MODE << 16
    bundle.writestr(entry, content)
