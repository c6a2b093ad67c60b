"""A Secret's entries, as the API server takes and gives them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shieldwall.control.cluster.api import Json

TLS: Final = "kubernetes.io/tls"
OPAQUE: Final = "Opaque"


def secret(metadata: Json, files: Mapping[str, bytes], secret_type: str) -> Json:
    """A Secret that holds ``files``."""
    data = {name: base64.b64encode(content).decode("ascii") for name, content in files.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": secret_type, "data": data}


def plain(body: Json) -> dict[str, bytes]:
    """What a Secret holds."""
    return {name: base64.b64decode(text) for name, text in (body.get("data") or {}).items()}
