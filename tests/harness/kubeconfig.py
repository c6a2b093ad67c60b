"""Kubeconfig files, complete in themselves: certificates and tokens inline."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .certificates import Pair, write_secret

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Endpoint:
    """An API server: its URL and the PEM certificate of its authority."""

    url: str
    authority: bytes


def write_kubeconfig(path: Path, endpoint: Endpoint, credential: Pair | str, namespace: str = "default") -> Path:
    """Write the kubeconfig of a client certificate or a bearer token to ``path``, as JSON, which is YAML too."""
    if isinstance(credential, str):
        user = {"token": credential}
    else:
        user = {
            "client-certificate-data": _inline(credential.certificate),
            "client-key-data": _inline(credential.key),
        }
    cluster = {"server": endpoint.url, "certificate-authority-data": _inline(endpoint.authority)}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
        "current-context": "test",
    }
    write_secret(path, json.dumps(document, indent=1).encode())
    return path


def _inline(content: bytes) -> str:
    return b64encode(content).decode()
