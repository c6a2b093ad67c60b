"""The node's own network namespace, with a cable to the host."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from .commands import run

if TYPE_CHECKING:
    from .layout import Layout

_NAMESPACES: Final = Path("/run/netns")
_NODE_LINK: Final = "eth0"


def path(layout: Layout) -> Path:
    """What ``nsenter --net`` takes."""
    return _NAMESPACES / layout.name


def create(layout: Layout) -> None:
    """Make the namespace; the host reaches the node, and the node forwards for its pods. Raises CommandError."""
    name, length = layout.name, layout.network.prefixlen
    run("ip", "netns", "add", name)
    run("ip", "link", "add", layout.link, "type", "veth", "peer", "name", _NODE_LINK, "netns", name)
    run("ip", "address", "add", f"{layout.host}/{length}", "dev", layout.link)
    run("ip", "link", "set", layout.link, "up")
    run("ip", "-n", name, "link", "set", "lo", "up")
    run("ip", "-n", name, "address", "add", f"{layout.node}/{length}", "dev", _NODE_LINK)
    run("ip", "-n", name, "link", "set", _NODE_LINK, "up")
    run("ip", "-n", name, "route", "add", "default", "via", str(layout.host))
    run("ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv4.ip_forward=1")


def remove(layout: Layout) -> None:
    """Unmake it; what is not there is well. Raises CommandError."""
    if Path("/sys/class/net", layout.link).exists():
        run("ip", "link", "delete", layout.link)
    if path(layout).exists():
        run("ip", "netns", "delete", layout.name)
