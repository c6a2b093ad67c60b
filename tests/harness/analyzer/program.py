"""How the program is run, and what it must be spared."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Json = dict[str, Any]
PROGRAM: Final = Path(sys.prefix) / "analyzer" / "bin" / "nca"
_SECONDS: Final = 60
_LISTED: Final = {"Exists": "In", "DoesNotExist": "NotIn"}
_NOBODYS: Final = "no-pod-has-this"
"""A list of values must not be empty; no pod of a test has this one."""


class AnalyzerError(Exception):
    """The program did not answer the question; carries what it said."""


def run(arguments: Sequence[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run it in ``folder``, where it may write."""
    command = [PROGRAM, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS, cwd=folder)


def write(folder: Path, documents: Iterable[Json]) -> Path:
    """A new ``folder`` with a file for each document."""
    folder.mkdir()
    for position, document in enumerate(documents):
        (folder / f"{position:03}.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def spelled_out(policies: Iterable[Json], world: Iterable[Json]) -> list[Json]:
    """The same policies with a list of values wherever a pod selector asks whether a label is there at all.

    network-config-analyzer 2.1 looks for such pods in the policy's own namespace only, whatever namespace selector
    stands beside it, which is not what the API says (NetworkPolicyPeer.podSelector). Given the values, it looks
    wherever that selector says. The two mean the same as long as ``world`` holds every pod.
    """
    values: dict[str, set[str]] = {}
    for labels in map(_labels, world):
        for key, value in labels.items():
            values.setdefault(key, set()).add(value)

    def requirement(asked: Json) -> Json:
        if asked["operator"] not in _LISTED:
            return asked
        known = sorted(values.get(asked["key"], {_NOBODYS}))
        return {"key": asked["key"], "operator": _LISTED[asked["operator"]], "values": known}

    def inside(found: Any, name: str = "") -> Any:
        if isinstance(found, list):
            return [inside(each) for each in found]
        if not isinstance(found, dict):
            return found
        if name == "podSelector" and found.get("matchExpressions"):
            return found | {"matchExpressions": [requirement(each) for each in found["matchExpressions"]]}
        return {key: inside(each, key) for key, each in found.items()}

    return [inside(policy) for policy in policies]


def _labels(document: Json) -> dict[str, str]:
    """Of a pod, or of the pods of a workload."""
    owner = document if document["kind"] == "Pod" else document.get("spec", {}).get("template", {})
    labels: dict[str, str] = owner.get("metadata", {}).get("labels", {})
    return labels
