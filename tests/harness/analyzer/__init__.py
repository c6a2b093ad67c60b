"""A stranger's reading of NetworkPolicies: network-config-analyzer, by IBM's researchers, on the manifests alone.

It wants an older PyYAML than the Kubernetes client does, so `.ci/setup` gives it an environment of its own.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from harness.analyzer.program import AnalyzerError, run, spelled_out, write

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["EVERYTHING", "AnalyzerError", "Ports", "connections", "differences"]

Json = dict[str, Any]
Ports = tuple[str, int, int]
"""A protocol, the first and the last port."""
EVERYTHING: Final = frozenset({("", 0, 65535)})
"""Every port of every protocol."""
_LINE: Final = re.compile(r"(\S+) => (\S+) : (.+)")
_CUBE: Final = re.compile(r"\{protocols:(\w+(?:, \w+)*)(?:,dst_ports:(\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*))?\}")


def differences(world: Iterable[Json], given: Iterable[Json], wanted: Iterable[Json]) -> list[str]:
    """What connections two sets of NetworkPolicies disagree about, in the same ``world`` of Namespaces and Pods.

    Empty when they allow exactly the same. Raises AnalyzerError.
    """
    world = list(world)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        place = write(folder / "world", world)
        arguments: list[str | Path] = [
            "--equiv", write(folder / "given", spelled_out(given, world)),
            "--base_np_list", write(folder / "wanted", spelled_out(wanted, world)),
            "--ns_list", place, "--pod_list", place, "--base_ns_list", place, "--base_pod_list", place,
            "--output_format", "json", "--file_out", folder / "answer.json", "--return_0",
        ]  # fmt: skip
        done = run(arguments, folder)
        try:
            (answer,) = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
            differ = answer["numerical_result"] != 0
        except (OSError, ValueError, KeyError) as error:
            raise AnalyzerError(done.stdout + done.stderr) from error
    found = [json.dumps(each) for part in answer.get("explanation", ()) for each in part["connections"]]
    if differ != bool(found):
        raise AnalyzerError(json.dumps(answer))
    return found


def connections(world: Iterable[Json], policies: Iterable[Json]) -> dict[tuple[str, str], frozenset[Ports]]:
    """Who may open a connection to whom, and on which ports; a pair that is not here may not at all.

    ``world`` holds Namespaces, Pods and workloads, whose pods are called NAMESPACE/WORKLOAD-1 and -2 (it looks at two
    alike at most). Addresses outside of the cluster are ranges, ``FIRST-LAST`` or a single one; an ipBlock means these
    only, even where pods have addresses of it. A pod's way to itself is not told. Raises AnalyzerError.
    """
    world = list(world)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        place = write(folder / "world", world)
        arguments: list[str | Path] = [
            "--connectivity", write(folder / "policies", spelled_out(policies, world)),
            # Read before the pods: those of a namespace that comes later would be in one without labels.
            "--ns_list", place, "--pod_list", place,
            "--output_endpoints", "pods", "--output_format", "txt_no_fw_rules", "--file_out", folder / "answer.txt",
        ]  # fmt: skip
        done = run(arguments, folder)
        if done.returncode:
            raise AnalyzerError(done.stdout + done.stderr)
        try:
            answer = (folder / "answer.txt").read_text(encoding="utf-8")
        except OSError as error:
            raise AnalyzerError(done.stdout + done.stderr) from error
    found: dict[tuple[str, str], frozenset[Ports]] = {}
    for line in filter(None, answer.splitlines()):
        understood = _LINE.fullmatch(line)
        if understood is None:
            raise AnalyzerError(line)
        source, target, ways = understood.groups()
        found[source, target] = found.get((source, target), frozenset()) | _ports(ways)
    return found


def _ports(ways: str) -> frozenset[Ports]:
    """What ``{protocols:TCP, UDP,dst_ports:53,80-90},{…}`` means."""
    if ways == "All connections":
        return EVERYTHING
    if _CUBE.sub("", ways).strip(","):
        raise AnalyzerError(ways)
    return frozenset(
        (protocol, int(first), int(last or first))
        for protocols, ports in _CUBE.findall(ways)
        for protocol in protocols.split(", ")
        for first, _, last in (each.partition("-") for each in (ports or "0-65535").split(","))
    )
