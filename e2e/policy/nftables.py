"""The words of nftables' JSON that are used here (libnftables-json(5))."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from ipaddress import IPv4Address, IPv4Network

    from .ports import Range

Json = dict[str, Any]
Field = Literal["saddr", "daddr"]

TABLE: Final = "shieldwall_policy"
ACCEPT: Final[Json] = {"accept": None}
DROP: Final[Json] = {"drop": None}
KNOWN_CONNECTION: Final[Json] = {
    "match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}
}
IPV6: Final[Json] = {"match": {"op": "==", "left": {"meta": {"key": "nfproto"}}, "right": "ipv6"}}
LOOPBACK: Final[Json] = {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "lo"}}
_TABLE: Final[Json] = {"family": "inet", "name": TABLE}
_IN_TABLE: Final[Json] = {"family": "inet", "table": TABLE}


def replacement(commands: Iterable[Json]) -> Json:
    """A document that puts ``commands`` in the place of all that the table holds, in one transaction."""
    return {
        "nftables": [{"add": {"table": _TABLE}}, {"delete": {"table": _TABLE}}, {"add": {"table": _TABLE}}, *commands]
    }


def removal() -> Json:
    """A document that removes the table, also where there is none."""
    return {"nftables": [{"add": {"table": _TABLE}}, {"delete": {"table": _TABLE}}]}


def chain(name: str) -> Json:
    """A chain that others go to."""
    return {"add": {"chain": {**_IN_TABLE, "name": name}}}


def hook(name: str, at: Literal["forward", "input"], priority: int) -> Json:
    """A chain that packets come to. What one such chain accepts, the next may still drop."""
    base = {"type": "filter", "hook": at, "prio": priority, "policy": "accept"}
    return {"add": {"chain": {**_IN_TABLE, "name": name, **base}}}


def rule(chain_name: str, *expressions: Json) -> Json:
    """A rule at the end of a chain."""
    return {"add": {"rule": {**_IN_TABLE, "chain": chain_name, "expr": list(expressions)}}}


def named_set(name: str, kind: str | list[str], elements: Sequence[object]) -> Json:
    """A set; nftables wants no ``elem`` in an empty one."""
    filled = {"elem": list(elements)} if elements else {}
    return {"add": {"set": {**_IN_TABLE, "name": name, "type": kind, **filled}}}


def verdict_map(name: str, targets: Sequence[tuple[IPv4Address, str]]) -> Json:
    """A map from addresses to the chains that decide about them."""
    elements = [[str(address), {"goto": {"target": target}}] for address, target in targets]
    filled = {"elem": elements} if elements else {}
    return {"add": {"map": {**_IN_TABLE, "name": name, "type": "ipv4_addr", "map": "verdict", **filled}}}


def decide(field: Field, map_name: str) -> Json:
    """Go where the map says, or on where it says nothing."""
    return {"vmap": {"key": _ip(field), "data": f"@{map_name}"}}


def jump(target: str) -> Json:
    """Look into another chain and come back."""
    return {"jump": {"target": target}}


def inside(field: Field, network: IPv4Network) -> Json:
    """The address is of ``network``."""
    return _equals(_ip(field), _block(network))


def outside(field: Field, set_name: str) -> Json:
    """The address is not in the named set."""
    return {"match": {"op": "!=", "left": _ip(field), "right": f"@{set_name}"}}


def among(field: Field, networks: Iterable[IPv4Network]) -> Json:
    """The address is of one of ``networks``, of which there is at least one."""
    return _equals(_ip(field), {"set": [_block(each) for each in networks]})


def pair_in(set_name: str) -> Json:
    """Source and destination together are in the named set."""
    return _equals({"concat": [_ip("saddr"), _ip("daddr")]}, f"@{set_name}")


def protocol_is(protocol: str) -> Json:
    """The packet is of this protocol."""
    return _equals({"meta": {"key": "l4proto"}}, protocol.lower())


def port_in(protocol: str, ranges: Iterable[Range]) -> Json:
    """The destination's port is in one of ``ranges``, of which there is at least one."""
    elements = [first if first == last else {"range": [first, last]} for first, last in ranges]
    return _equals(_port(protocol), {"set": elements})


def service_in(protocol: str, services: Iterable[tuple[IPv4Address, int]]) -> Json:
    """Destination's address and port together are one of ``services``, of which there is at least one."""
    elements = [{"concat": [str(address), number]} for address, number in services]
    return _equals({"concat": [_ip("daddr"), _port(protocol)]}, {"set": elements})


def _equals(left: Json, right: object) -> Json:
    return {"match": {"op": "==", "left": left, "right": right}}


def _ip(field: Field) -> Json:
    return {"payload": {"protocol": "ip", "field": field}}


def _port(protocol: str) -> Json:
    return {"payload": {"protocol": protocol.lower(), "field": "dport"}}


def _block(network: IPv4Network) -> object:
    address = str(network.network_address)
    return (
        address
        if network.prefixlen == network.max_prefixlen
        else {"prefix": {"addr": address, "len": network.prefixlen}}
    )
