"""The chart as helm renders it, and the operator's rights by it."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from .tools import binary

if TYPE_CHECKING:
    from .apiserver import ApiServer

CHART = Path(__file__).parents[2] / "charts" / "shieldwall"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_RIGHTS = frozenset({"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"})


def rendered(release: str, namespace: str, *options: str) -> list[dict[str, Any]]:
    """The documents of ``helm template``. Raises CalledProcessError."""
    command: list[str | Path] = [binary("helm"), "template", release, CHART, "--namespace", namespace, *options]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [document for document in YAML(typ="safe").load_all(text) if document]


def grant(server: ApiServer, document: dict[str, Any]) -> None:
    """Apply a service account, role or binding; other kinds, and those of the chart's own test, are passed over."""
    kind, metadata = document["kind"], document["metadata"]
    if metadata["name"].endswith("-test"):
        return
    scope = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    if kind == "ServiceAccount":
        server.request("PATCH", f"/api/v1{scope}/serviceaccounts/{metadata['name']}", document)
    elif kind in _RIGHTS:
        server.request("PATCH", f"{_RBAC}{scope}/{kind.lower()}s/{metadata['name']}", document)


@cache
def operator_kubeconfig(server: ApiServer, home: str, namespaces: tuple[str, ...]) -> Path:
    """The kubeconfig of the service account of a release in namespace ``home``, with the rights that the chart gives.

    ``namespaces``: those it watches; none means all.
    """
    watched = ("--set", f"watchNamespaces={{{','.join(namespaces)}}}") if namespaces else ()
    for document in rendered("shieldwall", home, *watched):
        grant(server, document)
    return server.kubeconfig_for_token(server.token(home, "shieldwall"), f"operator-of-{home}", home)
