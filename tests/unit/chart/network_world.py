"""A cluster with the chart and two trainings in one namespace, as they are installed, and with pods of others."""

from __future__ import annotations

from copy import deepcopy
from itertools import product
from typing import Any

from ruamel.yaml import YAML
from unit.plan.conftest import NOW, Shell, make_training

from shieldwall.contract.identity import Federation
from shieldwall.control.config import OperatorConfig
from shieldwall.control.plan import build_plan
from shieldwall.control.plan.render import manifest

Json = dict[str, Any]
HOME = "shieldwall-system"
TRAINING, COMPONENT = "shieldwall.dev/training", "app.kubernetes.io/component"
NAMESPACES: dict[str, dict[str, str]] = {
    "fed": {},
    HOME: {},
    "kube-system": {},
    "elsewhere": {},
    "monitoring": {"shieldwall.dev/monitoring": "true"},
}
OPERATOR = {
    "app.kubernetes.io/name": "shieldwall",
    "app.kubernetes.io/instance": "sw",
    "app.kubernetes.io/component": "operator",
}
STRANGERS = {
    "fed/stranger": {"app": "x"},
    "fed/posing-as-operator": OPERATOR,
    "elsewhere/stranger": {"app": "x"},
    "elsewhere/posing-as-client": {TRAINING: "digits", COMPONENT: "client", "shieldwall.dev/client": "site-0"},
    "elsewhere/unguarded-server": {TRAINING: "theirs", COMPONENT: "server"},
    f"{HOME}/neighbour": {"app": "x"},
    "kube-system/dns": {"k8s-app": "kube-dns"},
    "kube-system/stranger": {"app": "x"},
    "monitoring/prometheus": {"app": "prometheus"},
}
"""Pods that no policy selects: of them, only what others allow them is of interest."""
LATER = {"fed/later": {TRAINING: "digits", COMPONENT: "of-a-later-release"}}
"""A pod of a training for which there is no policy of its own yet."""


class World:
    """What is there by the values of the chart, whose objects ``chart`` are."""

    def __init__(self, chart: list[Json]) -> None:
        config = next(each for each in chart if each["kind"] == "ConfigMap")["data"]["operator.yaml"]
        settings = OperatorConfig.parse(YAML(typ="safe").load(config)).plan_settings()
        objects = [*chart]
        for name in ("digits", "other"):
            training = make_training(name=name)
            filled = Shell(Federation(settings.trust_domain, "fed", name)).settle(training, settings)
            objects += map(manifest, build_plan(training, filled, settings, NOW).objects)
        self._policies = [each for each in objects if each["kind"] == "NetworkPolicy"]
        self.workloads = [each for each in objects if each["kind"] in {"Deployment", "StatefulSet", "Pod"}]
        self.namespaces = [_namespace(name, labels) for name, labels in NAMESPACES.items()]
        self.workloads += [_pod(name, labels) for name, labels in (STRANGERS | LATER).items()]

    def policies(self) -> list[Json]:
        """To be changed at will."""
        return deepcopy(self._policies)

    @property
    def documents(self) -> list[Json]:
        return [*self.namespaces, *self.workloads]

    @property
    def pods(self) -> list[Json]:
        """The pods that the workloads make, each with an address."""
        found = [pod for workload in self.workloads for pod in _pods(workload)]
        for number, pod in enumerate(found, start=2):
            pod["status"] = {"phase": "Running", "podIPs": [{"ip": f"10.244.0.{number}"}]}
        return found


def _namespace(name: str, labels: dict[str, str]) -> Json:
    own = {"kubernetes.io/metadata.name": name}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": own | labels}}


def _pod(full: str, labels: dict[str, str]) -> Json:
    namespace, _, name = full.partition("/")
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [{"name": "c"}]}}


def _pods(workload: Json) -> list[Json]:
    if workload["kind"] == "Pod":
        return [deepcopy(workload)]
    name, namespace = workload["metadata"]["name"], workload["metadata"]["namespace"]
    template = workload["spec"]["template"]
    return [
        {
            "metadata": {"name": f"{name}-{number}", "namespace": namespace, "labels": template["metadata"]["labels"]},
            "spec": template["spec"],
        }
        for number in range(1, workload["spec"].get("replicas", 1) + 1)
    ]


# What the design opens, in the analyzer's words.

OUTSIDE = "0.0.0.0-255.255.255.255"
OPERATORS = [f"{HOME}/sw-shieldwall-{number}" for number in (1, 2)]
HELM_TEST = f"{HOME}/sw-shieldwall-test"
UNSELECTED = [*STRANGERS, HELM_TEST]
DNS = {("UDP", 53, 53), ("TCP", 53, 53)}


def tcp(*ports: int) -> set[tuple[str, int, int]]:
    return {("TCP", port, port) for port in ports}


def of_a_training(name: str, resolvers: list[str]) -> dict[tuple[str, str], set[tuple[str, int, int]]]:
    server, aggregator = f"fed/{name}-server-1", f"fed/{name}-aggregator-1"
    clients = [f"fed/{name}-client-site-{number}-1" for number in range(3)]
    return {
        **{(client, server): tcp(9443) for client in clients},
        **{(operator, server): tcp(9444) for operator in OPERATORS},
        (aggregator, server): tcp(9445),
        **{("monitoring/prometheus", pod): tcp(9901) for pod in (server, aggregator, *clients)},
        **dict.fromkeys(product([aggregator, *clients], resolvers), DNS),
    }
