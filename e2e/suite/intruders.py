"""What strangers try, from their own pods and from within those of a training, and what they are told."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shieldwall.contract import ports
from shieldwall.contract.identity import Federation

from . import certificates
from .documents import STRANGER_PORT

if TYPE_CHECKING:
    from .kubectl import Kubectl

Json = dict[str, Any]
PROBE = (Path(__file__).parent / "probe.py").read_text()
PORTS = tuple(sorted(port for port in vars(ports).values() if isinstance(port, int)))
"""Every port that a pod of a training has, on loopback or beyond."""
DOORS = (ports.FLEET, ports.STEWARD, ports.RUNTIME)
OURS = "shieldwall.dev/training=digits,app!=stranger"
"""Selects the pods of the training digits, and not who only wears its labels."""
COMPONENT = "app.kubernetes.io/component"

REQUESTS = {
    ports.FLEET: "POST /v1/fleet/pull-messages HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    ports.STEWARD: "GET /v1/operator/status HTTP/1.1\r\nHost: x\r\n\r\n",
    ports.RUNTIME: "POST /v1/rounds/open HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
}
CODES = {ports.FLEET: 401, ports.STEWARD: 200, ports.RUNTIME: 400}
"""What the right certificate gets: the gate asks for a node key, and no round is opened by nothing."""
ROLES = {
    ports.FLEET: lambda who: who.client("berlin"),
    ports.STEWARD: Federation.operator,
    ports.RUNTIME: Federation.aggregator,
}

LISTENING = r"""
import ipaddress, json
def address(text):
    words = bytes.fromhex(text)
    whole = ipaddress.ip_address(b"".join(words[i:i + 4][::-1] for i in range(0, len(words), 4)))
    return getattr(whole, "ipv4_mapped", None) or whole
found = []
for name, state in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
    for line in open(f"/proc/net/{name}").read().splitlines()[1:]:
        local, _, now = line.split()[1:4]
        if now == state:
            host, port = local.split(":")
            found.append([name[:3], int(port, 16), address(host).is_loopback])
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Place:
    """A container in which the probe runs."""

    kubectl: Kubectl
    pod: str = "stranger"
    container: str = "python"

    def listener(self) -> Json:
        """Where a stranger listens, as an attempt."""
        return {"host": self.kubectl.get("pod", self.pod)["status"]["podIP"], "port": STRANGER_PORT}

    def attempts(self, wanted: list[Json]) -> list[str]:
        """What it is told here, an answer for each attempt."""
        given = json.dumps(wanted)
        command = ("python3", "-c", PROBE)
        told: list[str] = json.loads(self.kubectl.run(self.pod, self.container, *command, stdin=given, seconds=240))
        assert len(told) == len(wanted)
        return told

    def attempt(self, host: str, port: int, **more: str) -> str:
        """The same for one."""
        return self.attempts([{"host": host, "port": port, **more}])[0]

    def reached(self, wanted: list[Json], known: Json) -> list[tuple[str, int]]:
        """Which of these are open. ``known`` is, and is asked before and after: what is slow must not seem closed."""
        told = self.attempts([known, *wanted, known])
        assert (told[0], told[-1]) == ("open", "open"), (known, told)
        answers = list(zip(wanted, told[1:-1], strict=True))
        assert {answer for _, answer in answers} <= {"open", "closed"}, answers
        return [(each["host"], each["port"]) for each, answer in answers if answer == "open"]


def pods(kubectl: Kubectl) -> list[Json]:
    """The training's own pods, one server, one aggregator and three clients."""
    found = kubectl.all("pods", OURS)
    assert sorted(pod["metadata"]["labels"][COMPONENT] for pod in found) == ["aggregator", *["client"] * 3, "server"]
    return found


def address(pod: Json) -> str:
    ip: str = pod["status"]["podIP"]
    return ip


def listening(kubectl: Kubectl, pod: Json) -> list[set[tuple[str, int]]]:
    """Ports, by protocol, on which a pod listens; those beyond loopback and those on it."""
    found = json.loads(kubectl.run(pod["metadata"]["name"], "proxy", "python3", "-c", LISTENING))
    return [{(kind, port) for kind, port, inner in found if inner is wanted} for wanted in (False, True)]


def server(kubectl: Kubectl) -> str:
    """Address of the server pod."""
    return address(kubectl.get("pod", "digits-server-0"))


def code(told: str) -> int:
    """Of an answer, which must be one of HTTP."""
    assert told.startswith("HTTP/1.1 "), told
    return int(told.split()[1])


def federation(kubectl: Kubectl, training: str = "digits") -> Federation:
    return Federation("cluster.local", kubectl.namespace, training)


def right(kubectl: Kubectl, port: int) -> str:
    """The certificate that a port is for."""
    return certificates.leaf(certificates.issuer(kubectl, "digits"), ROLES[port](federation(kubectl)))


def no_certificate(_kubectl: Kubectl, _port: int) -> str:
    return ""


def foreign_authority(kubectl: Kubectl, port: int) -> str:
    who = federation(kubectl)
    return certificates.leaf(certificates.foreign_issuer(who), ROLES[port](who))


def handmade(kubectl: Kubectl, port: int, begins: timedelta, ends: timedelta) -> str:
    authority = certificates.issuer(kubectl, "digits")
    return certificates.handmade_leaf(authority, ROLES[port](federation(kubectl)), begins, ends)


def expired(kubectl: Kubectl, port: int) -> str:
    return handmade(kubectl, port, timedelta(days=-2), timedelta(days=-1))


def unexpired(kubectl: Kubectl, port: int) -> str:
    """The same but for its end: what ``expired`` is refused for is that, and not how it is made."""
    return handmade(kubectl, port, timedelta(days=-2), timedelta(days=1))


def another_training(kubectl: Kubectl, port: int) -> str:
    return certificates.leaf(certificates.issuer(kubectl, "other"), ROLES[port](federation(kubectl, "other")))


def another_role(kubectl: Kubectl, port: int) -> str:
    who = federation(kubectl)
    role = who.aggregator() if port != ports.RUNTIME else who.client("berlin")
    return certificates.leaf(certificates.issuer(kubectl, "digits"), role)


WRONG = (no_certificate, foreign_authority, expired, another_training, another_role)
