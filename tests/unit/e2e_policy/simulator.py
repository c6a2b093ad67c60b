"""Packets through an nftables document: only what libnftables-json(5) says, nothing of who wrote the document."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any


@dataclass(frozen=True)
class Packet:
    source: str
    destination: str
    protocol: str = "TCP"
    port: int | None = 80
    hook: str = "forward"  # or input (to the node) or output (from the node)
    state: str = "new"
    interface: str = "veth0"
    ipv6: bool = False

    def to_node(self) -> Packet:
        return replace(self, hook="input")

    def answer(self) -> Packet:
        return replace(self, source=self.destination, destination=self.source, port=40000, state="established")


class Ruleset:
    """What the kernel holds after the document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._forget()
        for command in document["nftables"]:
            ((verb, what),) = command.items()
            ((kind, body),) = what.items()
            getattr(self, f"_{verb}_{kind}")(body)

    def _forget(self) -> None:
        self.chains: dict[str, list[list[dict[str, Any]]]] = {}
        self.hooks: list[tuple[str, int, str]] = []
        self.sets: dict[str, list[Any]] = {}
        self.maps: dict[str, dict[str, Any]] = {}

    def _add_table(self, body: dict[str, Any]) -> None:
        assert body["family"] == "inet"

    def _delete_table(self, _: dict[str, Any]) -> None:
        self._forget()

    def _add_chain(self, body: dict[str, Any]) -> None:
        assert body["name"] not in self.chains
        self.chains[body["name"]] = []
        if "hook" in body:
            assert (body["type"], body["policy"]) == ("filter", "accept")
            self.hooks.append((body["hook"], body["prio"], body["name"]))

    def _add_rule(self, body: dict[str, Any]) -> None:
        for expression in body["expr"]:
            assert expression.get("match", {}).get("right") != {"set": []}, "nft refuses an empty set"
            for word in ("jump", "goto"):
                assert word not in expression or expression[word]["target"] in self.chains, "made later, nft refuses"
        self.chains[body["chain"]].append(body["expr"])

    def _add_set(self, body: dict[str, Any]) -> None:
        self.sets[body["name"]] = body.get("elem", [])

    def _add_map(self, body: dict[str, Any]) -> None:
        self.maps[body["name"]] = dict(body.get("elem", []))
        assert all(each["goto"]["target"] in self.chains for each in self.maps[body["name"]].values())

    def passes(self, packet: Packet) -> bool:
        """Every chain of the hook is asked; one that drops is enough."""
        chains = [name for hook, _, name in sorted(self.hooks, key=lambda each: each[1]) if hook == packet.hook]
        return all(self._walk(name, packet) != "drop" for name in chains)

    def _walk(self, chain: str, packet: Packet) -> str | None:
        for rule in self.chains[chain]:
            for expression in rule:
                ((word, body),) = expression.items()
                if word == "match":
                    if not self._matches(body, packet):
                        break
                elif word in {"accept", "drop"}:
                    return word
                elif word == "jump":
                    if verdict := self._walk(body["target"], packet):
                        return verdict
                elif word == "vmap":
                    key, name = _value(body["key"], packet), body["data"].removeprefix("@")
                    if key in self.maps[name]:
                        return self._walk(self.maps[name][key]["goto"]["target"], packet)
                else:
                    raise AssertionError(word)
        return None

    def _matches(self, body: dict[str, Any], packet: Packet) -> bool:
        value = _value(body["left"], packet)
        if value is None:
            return False
        right = body["right"]
        if isinstance(right, str) and right.startswith("@"):
            right = {"set": self.sets[right.removeprefix("@")]}
        elements = right if isinstance(right, list) else right.get("set", [right]) if _is_dict(right) else [right]
        found = any(_equal(value, each) for each in elements)
        return not found if body["op"] == "!=" else found


def _value(expression: dict[str, Any], packet: Packet) -> Any:
    """None where the packet has no such field, as with the port of a ping."""
    ((word, body),) = expression.items()
    if word == "concat":
        parts = [_value(each, packet) for each in body]
        return None if None in parts else parts
    if word == "meta":
        return {
            "nfproto": "ipv6" if packet.ipv6 else "ipv4",
            "iifname": packet.interface,
            "l4proto": packet.protocol.lower(),
        }[body["key"]]
    if word == "ct":
        assert body["key"] == "state"
        return packet.state
    assert word == "payload", word
    if body["protocol"] == "ip":
        return None if packet.ipv6 else {"saddr": packet.source, "daddr": packet.destination}[body["field"]]
    assert body["field"] == "dport"
    return packet.port if packet.protocol.lower() == body["protocol"] else None


def _equal(value: Any, element: Any) -> bool:
    if _is_dict(element) and "range" in element:
        first, last = element["range"]
        return first <= value <= last
    if _is_dict(element) and "prefix" in element:
        return IPv4Address(value) in IPv4Network((element["prefix"]["addr"], element["prefix"]["len"]))
    if _is_dict(element):
        return value == element["concat"]
    return value == element


def _is_dict(element: Any) -> bool:
    return isinstance(element, dict)
