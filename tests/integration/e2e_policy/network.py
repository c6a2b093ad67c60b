"""A node and three pods as network namespaces, wired as CNI ptp does it; packets are the kernel's own."""

from __future__ import annotations

import ctypes
import os
import secrets
import selectors
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Self

GATEWAY, NODE, SERVICE = "10.244.0.1", "172.18.0.1", "10.96.0.10"
PODS = ("10.244.0.2", "10.244.0.3", "10.244.0.4")
PATIENCE = 0.4
_CLONE_NEWNET = 0x40000000


def run(*command: str) -> str:
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, f"{' '.join(command)}: {answer.stderr}"
    return answer.stdout


class Network:
    """Context manager; whatever it made is gone afterwards, also when making it fails half-way."""

    def __init__(self) -> None:
        self.prefix = f"swp{os.getpid()}{secrets.token_hex(2)}"
        self.node = f"{self.prefix}-node"
        self._of = {address: f"{self.prefix}-pod{number}" for number, address in enumerate(PODS)}
        self._of |= {NODE: self.node, GATEWAY: self.node}
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            for name in dict.fromkeys(self._of.values()):
                run("ip", "netns", "add", name)
                exits.callback(run, "ip", "netns", "del", name)
                run("ip", "-n", name, "link", "set", "lo", "up")
            run("ip", "-n", self.node, "address", "add", f"{NODE}/32", "dev", "lo")
            self.on_node("sysctl", "-qw", "net.ipv4.ip_forward=1")
            for number, address in enumerate(PODS):
                self._wire(address, f"veth{number}")
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def _wire(self, address: str, device: str) -> None:
        pod = self._of[address]
        run("ip", "-n", self.node, "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", pod)
        run("ip", "-n", self.node, "address", "add", f"{GATEWAY}/32", "dev", device)
        run("ip", "-n", self.node, "link", "set", device, "up")
        run("ip", "-n", self.node, "route", "add", f"{address}/32", "dev", device)
        run("ip", "-n", pod, "address", "add", f"{address}/32", "dev", "eth0")
        run("ip", "-n", pod, "link", "set", "eth0", "up")
        run("ip", "-n", pod, "route", "add", GATEWAY, "dev", "eth0", "scope", "link")
        run("ip", "-n", pod, "route", "add", "default", "via", GATEWAY)

    def on_node(self, *command: str) -> str:
        return run("nsenter", f"--net=/var/run/netns/{self.node}", *command)

    def tables(self) -> str:
        return self.on_node("nft", "list", "tables")

    def socket(self, address: str, kind: int, protocol: int = 0) -> socket.socket:
        """A socket of the namespace that has ``address``; in it stays, whoever uses it."""
        self._exits.enter_context(made := _within(self._of[address], socket.AF_INET, kind, protocol))
        return made

    def listen(self, address: str, port: int) -> socket.socket:
        server = self.socket(address, socket.SOCK_STREAM)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, port))
        server.listen(4096)  # nobody accepts: a full queue would look like a dropped packet
        server.settimeout(5)
        return server

    def receive(self, address: str, port: int) -> socket.socket:
        receiver = self.socket(address, socket.SOCK_DGRAM)
        receiver.bind((address, port))
        receiver.settimeout(PATIENCE)
        return receiver

    def connect(self, source: str, destination: str, port: int) -> socket.socket:
        """Raises TimeoutError where packets are dropped, ConnectionRefusedError where nobody listens."""
        client = self.socket(source, socket.SOCK_STREAM)
        client.settimeout(PATIENCE)
        client.bind((source, 0))
        client.connect((destination, port))
        return client

    def tcp(self, source: str, destination: str, port: int) -> str:
        try:
            self.connect(source, destination, port).close()
        except TimeoutError:
            return "dropped"
        except ConnectionRefusedError:
            return "refused"
        return "open"

    def send(self, source: str, destination: str, port: int, payload: bytes) -> None:
        with _within(self._of[source], socket.AF_INET, socket.SOCK_DGRAM, 0) as sender:
            sender.bind((source, 0))
            sender.sendto(payload, (destination, port))


def received(receivers: list[socket.socket], enough: int, seconds: float = PATIENCE) -> set[bytes]:
    """All that came within ``seconds``, or until there is ``enough``; what comes the moment after is heard too."""
    found: set[bytes] = set()
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as waiting:
        for each in receivers:
            waiting.register(each, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            for key, _ in waiting.select(left):
                found.add(key.fileobj.recv(1024))
            if len(found) >= enough:
                deadline = min(deadline, time.monotonic() + 0.05)
    return found


def _within(namespace: str, *arguments: int) -> socket.socket:
    """Made in a thread that moves to the namespace and then ends; the test's own thread stays where it is."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_make, Path("/var/run/netns") / namespace, *arguments).result()


def _make(namespace: Path, *arguments: int) -> socket.socket:
    with namespace.open() as file:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(file.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(namespace))
    return socket.socket(*arguments)
