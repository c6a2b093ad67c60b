"""What the NetworkPolicy API says about one packet, read from the objects as JSON; knows nothing of the agent.

https://kubernetes.io/docs/concepts/services-networking/network-policies/ and the API reference of NetworkPolicySpec.
"""

from __future__ import annotations

from ipaddress import IPv4Address, ip_network
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .simulator import Packet

Json = dict[str, Any]


class Cluster:
    def __init__(self, pods: list[Json], namespaces: list[Json], policies: list[Json], pod_cidr: str) -> None:
        self.pods = [pod for pod in pods if _takes_part(pod)]
        self.namespaces = {each["metadata"]["name"]: each["metadata"].get("labels", {}) for each in namespaces}
        self.policies = policies
        self.pod_cidr = ip_network(pod_cidr)

    def allows(self, packet: Packet) -> bool:
        if packet.hook == "output" or packet.state == "established" or packet.interface == "lo":
            return True  # from the node; of a connection that was allowed; the node with itself
        if packet.ipv6:
            return False  # no pod has IPv6
        source, destination = self._at(packet.source), self._at(packet.destination)
        if source is not None and packet.source == packet.destination:
            return True  # "a pod cannot block access to itself"
        if packet.hook == "input":
            return self._leaves(packet, source, destination)
        return self._leaves(packet, source, destination) and self._enters(packet, source, destination)

    def _leaves(self, packet: Packet, source: Json | None, destination: Json | None) -> bool:
        if source is None:
            return IPv4Address(packet.source) not in self.pod_cidr
        return self._one_way(("Egress", "to"), source, (packet.destination, destination), (packet, destination))

    def _enters(self, packet: Packet, source: Json | None, destination: Json | None) -> bool:
        if destination is None:
            return IPv4Address(packet.destination) not in self.pod_cidr
        return self._one_way(("Ingress", "from"), destination, (packet.source, source), (packet, destination))

    def _one_way(self, way: tuple[str, str], own: Json, other: tuple[str, Json | None], arriving: tuple) -> bool:
        kind, key = way
        isolating = [each for each in self.policies if _applies(each, kind) and self._is_subject(each, own)]
        if not isolating:
            return True
        return any(
            self._peer_matches(rule.get(key), policy, other) and _port_matches(rule.get("ports"), *arriving)
            for policy in isolating
            for rule in policy["spec"].get(kind.lower()) or []
        )

    def _at(self, address: str) -> Json | None:
        claiming = [pod for pod in self.pods if address in _addresses(pod)]
        return claiming[0] if len(claiming) == 1 else None

    @staticmethod
    def _is_subject(policy: Json, pod: Json) -> bool:
        same = policy["metadata"]["namespace"] == pod["metadata"]["namespace"]
        return same and _selects(policy["spec"].get("podSelector", {}), pod["metadata"].get("labels", {}))

    def _peer_matches(self, peers: list[Json] | None, policy: Json, other: tuple[str, Json | None]) -> bool:
        return not peers or any(self._is_peer(each, policy["metadata"]["namespace"], *other) for each in peers)

    def _is_peer(self, peer: Json, namespace: str, address: str, pod: Json | None) -> bool:
        if "ipBlock" in peer:
            block = peer["ipBlock"]
            if any(":" in each for each in [block["cidr"], *block.get("except", [])]):
                return False
            inside = IPv4Address(address) in ip_network(block["cidr"], strict=False)
            return inside and not any(
                IPv4Address(address) in ip_network(each, strict=False) for each in block.get("except", [])
            )
        if pod is None:
            return False
        its = pod["metadata"]["namespace"]
        if "podSelector" in peer and not _selects(peer["podSelector"], pod["metadata"].get("labels", {})):
            return False
        if "namespaceSelector" in peer:
            return its in self.namespaces and _selects(peer["namespaceSelector"], self.namespaces[its])
        return its == namespace


def _takes_part(pod: Json) -> bool:
    ended = pod["status"].get("phase") in ("Succeeded", "Failed")
    return bool(_addresses(pod)) and not ended and not pod["spec"].get("hostNetwork", False)


def _addresses(pod: Json) -> list[str]:
    return [each["ip"] for each in pod["status"].get("podIPs", []) if ":" not in each["ip"]]


def _applies(policy: Json, kind: str) -> bool:
    types = policy["spec"].get("policyTypes")
    if types:
        return kind in types
    return kind == "Ingress" or bool(policy["spec"].get("egress"))


def _selects(selector: Json, labels: dict[str, str]) -> bool:
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for each in selector.get("matchExpressions") or []:
        key, operator, values = each["key"], each["operator"], each.get("values", [])
        if operator == "In" and labels.get(key) not in values:
            return False
        if operator == "NotIn" and key in labels and labels[key] in values:
            return False
        if operator == "Exists" and key not in labels:
            return False
        if operator == "DoesNotExist" and key in labels:
            return False
    return True


def _port_matches(ports: list[Json] | None, packet: Packet, reached: Json | None) -> bool:
    return not ports or any(_is_port(each, packet, reached) for each in ports)


def _is_port(port: Json, packet: Packet, reached: Json | None) -> bool:
    if packet.protocol != port.get("protocol", "TCP"):
        return False
    wanted = port.get("port")
    if wanted is None:
        return True
    if isinstance(wanted, int):
        return wanted <= packet.port <= port.get("endPort", wanted)
    return reached is not None and (wanted, packet.protocol, packet.port) in _named(reached)


def _named(pod: Json) -> list[tuple[str, str, int]]:
    sidecars = [each for each in pod["spec"].get("initContainers", []) if each.get("restartPolicy") == "Always"]
    return [
        (port["name"], port.get("protocol", "TCP"), port["containerPort"])
        for container in [*pod["spec"]["containers"], *sidecars]
        for port in container.get("ports", [])
        if "name" in port
    ]
