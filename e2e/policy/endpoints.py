"""Which pods have which address."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kubernetes.aio.client import V1Container, V1Pod

_ENDED: Final = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True)
class NamedPort:
    """A container's port that has a name."""

    name: str
    protocol: str
    number: int


@dataclass(frozen=True)
class Endpoint:
    """A pod on the pods' network."""

    address: IPv4Address
    namespace: str
    labels: Mapping[str, str]
    ports: tuple[NamedPort, ...]


def endpoints_of(pods: Iterable[V1Pod]) -> tuple[Endpoint, ...]:
    """The pods that can send and receive, by address.

    Left out are pods without an IPv4 address, those that have ended, and those of the host's network, whose traffic is
    the node's. An address that two pods claim belongs to neither, until one of them is gone: nobody can know whose
    packets they are.
    """
    found = [endpoint for pod in pods for endpoint in _endpoints(pod)]
    claims = Counter(endpoint.address for endpoint in found)
    return tuple(sorted((each for each in found if claims[each.address] == 1), key=lambda each: each.address))


def _endpoints(pod: V1Pod) -> Iterator[Endpoint]:
    metadata, spec, status = pod.metadata, pod.spec, pod.status
    if metadata is None or spec is None or status is None or spec.host_network or status.phase in _ENDED:
        return
    ports = tuple(port for container in _serving(pod) for port in _named_ports(container))
    texts = {each.ip for each in status.pod_ips or ()} | {status.pod_ip}
    for address in {ip_address(text) for text in texts if text}:
        if isinstance(address, IPv4Address):
            yield Endpoint(address, metadata.namespace or "", metadata.labels or {}, ports)


def _serving(pod: V1Pod) -> Iterator[V1Container]:
    """Containers and native sidecars, the two kinds that live as long as the pod."""
    if pod.spec is not None:
        yield from pod.spec.containers
        yield from (each for each in pod.spec.init_containers or () if each.restart_policy == "Always")


def _named_ports(container: V1Container) -> Iterator[NamedPort]:
    for port in container.ports or ():
        if port.name:
            yield NamedPort(port.name, port.protocol or "TCP", port.container_port)
