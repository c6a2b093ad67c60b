"""Custom resource definitions: applied and served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
from ruamel.yaml import YAML

from .process import until

if TYPE_CHECKING:
    from pathlib import Path

    from .apiserver import ApiServer

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NOT_YET = {httpx.codes.NOT_FOUND, httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE}


def install_crds(server: ApiServer, *files: Path) -> None:
    """Apply each file's definition; returns once all their versions can be listed. Raises TimeoutError after 20 s."""
    kinds: list[str] = []
    for file in files:
        document: dict[str, Any] = YAML(typ="safe").load(file)
        server.request("PATCH", f"{DEFINITIONS}/{document['metadata']['name']}", document)
        spec = document["spec"]
        served = [version["name"] for version in spec["versions"] if version["served"]]
        kinds += [f"/apis/{spec['group']}/{version}/{spec['names']['plural']}" for version in served]
    # Established comes first: for a moment after it the API server still knows no such kind, or asks to come again.
    until(lambda: all(_listed(server, kind) for kind in kinds), 20)


def _listed(server: ApiServer, kind: str) -> bool:
    try:
        server.request("GET", kind)
    except httpx.HTTPStatusError as error:
        if error.response.status_code not in NOT_YET:
            raise
        return False
    return True
