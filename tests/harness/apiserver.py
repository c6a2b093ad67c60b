"""A real API server on loopback: etcd and kube-apiserver with RBAC, admission, audit and signed service accounts."""

from __future__ import annotations

import json
import random
import socket
import ssl
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Literal, Self

import httpx

from .audit import POLICY, Audit
from .certificates import Authority, new_key, write_secret
from .kubeconfig import Endpoint, write_kubeconfig
from .process import Component
from .tools import binary

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ETCD_PORT, ETCD_PEER_PORT, PORT = 2379, 2380, 6443
SERVICES = "10.96.0.0/16"
SERVICE_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
ISSUER = "https://kubernetes.default.svc.cluster.local"
Patch = Literal["apply", "merge", "strategic-merge", "json"]
PATCHES: dict[Patch, str] = {
    "apply": "application/apply-patch+yaml",
    "merge": "application/merge-patch+json",
    "strategic-merge": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
}
GROUPS = {"admin": ("system:masters",)}


class ApiServer:
    """Context manager; everything it writes is in ``directory``, which must be new or empty.

    It has an address of 127.0.0.0/8 of its own, so that its port stays free for it while it is paused.
    """

    def __init__(self, directory: Path, *, arguments: Sequence[str] = ()) -> None:
        """``arguments``: further flags of kube-apiserver, which win over those given here."""
        self.directory = directory
        self.address = _free_address()
        self.authority = Authority()
        self.trust = ssl.create_default_context(cadata=self.authority.certificate.decode())
        self.endpoint = Endpoint(f"https://{self.address}:{PORT}", self.authority.certificate)
        self.audit = Audit(directory / "audit.log")
        self.pki = directory / "pki"
        self._arguments = arguments
        self._exits = ExitStack()
        self._apiserver: Component | None = None
        self._etcd: Component | None = None

    def __enter__(self) -> Self:
        """Start both; returns once /readyz answers and the default namespace is there. Raises ComponentError."""
        with ExitStack() as exits:
            self.pki.mkdir(parents=True)
            self._write_files()
            self._client = exits.enter_context(self._new_client())
            self._etcd = self._start_etcd()
            exits.callback(self._etcd.kill)
            exits.callback(self._kill_apiserver)
            self.resume()
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End both at once: what they hold is not wanted any more."""
        self._exits.close()

    @property
    def components(self) -> list[Component]:
        """The processes that run now."""
        return [component for component in (self._etcd, self._apiserver) if component]

    def pause(self) -> None:
        """Stop kube-apiserver by SIGTERM; etcd keeps the data. Again does nothing."""
        if self._apiserver:
            self._apiserver.stop()
            self._apiserver = None

    def resume(self) -> None:
        """Start kube-apiserver on the same address; returns once it is ready. Does nothing when it runs."""
        if self._apiserver is None:
            self._apiserver = Component("kube-apiserver", self._command(), self.directory)
            self._apiserver.wait_until(self._ready, 60)

    def restart(self) -> None:
        """Pause and resume."""
        self.pause()
        self.resume()

    def kubeconfig(self, user: str = "admin", groups: Sequence[str] = ()) -> Path:
        """The kubeconfig of a client certificate for ``user``; "admin" is in system:masters."""
        pair = self.authority.client(user, groups or GROUPS.get(user, ()))
        return write_kubeconfig(self._kubeconfig_path(user), self.endpoint, pair)

    def token(self, namespace: str, service_account: str, seconds: int = 3600) -> str:
        """A bearer token of the service account, made by TokenRequest; at least 600 ``seconds`` long."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
        answer = self.request("POST", path, {"spec": {"expirationSeconds": seconds}})
        return str(answer["status"]["token"])

    def kubeconfig_for_token(self, token: str, name: str = "token", namespace: str = "default") -> Path:
        """The kubeconfig of a bearer token, as file ``name``."""
        return write_kubeconfig(self._kubeconfig_path(name), self.endpoint, token, namespace)

    def request(self, method: str, path: str, body: object = None, *, patch: Patch = "apply") -> dict[str, Any]:
        """Send one request as admin; returns the answer's object. Raises httpx.HTTPStatusError with the Status in it.

        ``patch``: how a PATCH is meant; "apply" is server-side, as field manager ``test``, and forces conflicts.
        """
        patching = method == "PATCH"
        apply = {"fieldManager": "test", "force": "true"} if patching and patch == "apply" else None
        kind = PATCHES[patch] if patching else "application/json"
        content = None if body is None else json.dumps(body)
        answer = self._client.request(method, path, content=content, params=apply, headers={"Content-Type": kind})
        if answer.is_error:
            raise httpx.HTTPStatusError(f"{method} {path}: {answer.text}", request=answer.request, response=answer)
        return dict(answer.json())

    def _kubeconfig_path(self, name: str) -> Path:
        return self.directory / f"{name.replace(':', '-')}.kubeconfig"

    def _new_client(self) -> httpx.Client:
        context = ssl.create_default_context(cadata=self.authority.certificate.decode())
        context.load_cert_chain(*self.authority.client("admin", GROUPS["admin"]).write(self.pki, "admin"))
        # No kept connection: one of before a pause must not spoil a request after it.
        limits = httpx.Limits(max_keepalive_connections=0)
        return httpx.Client(base_url=self.endpoint.url, verify=context, limits=limits, timeout=30, trust_env=False)

    def _ready(self) -> bool:
        try:
            ready = self._client.get("/readyz", timeout=2).is_success
            return ready and self._client.get("/api/v1/namespaces/default", timeout=2).is_success
        except httpx.TransportError:
            return False

    def _kill_apiserver(self) -> None:
        if self._apiserver:
            self._apiserver.kill()
            self._apiserver = None

    def _write_files(self) -> None:
        (self.pki / "ca.crt").write_bytes(self.authority.certificate)
        self.authority.serving(self.address, SERVICE_NAMES).write(self.pki, "serving")
        write_secret(self.pki / "service-accounts.key", new_key())
        (self.directory / "audit-policy.json").write_text(json.dumps(POLICY))

    def _start_etcd(self) -> Component:
        clients, peers = f"http://{self.address}:{ETCD_PORT}", f"http://{self.address}:{ETCD_PEER_PORT}"
        command: list[str | Path] = [
            binary("etcd"), "--unsafe-no-fsync", f"--data-dir={self.directory / 'etcd'}", "--log-level=warn",
            f"--listen-client-urls={clients}", f"--advertise-client-urls={clients}",
            f"--listen-peer-urls={peers}", f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
        ]  # fmt: skip
        return Component("etcd", command, self.directory)

    def _command(self) -> list[str | Path]:
        serving, accounts = self.pki / "serving", self.pki / "service-accounts.key"
        return [
            binary("kube-apiserver"), f"--bind-address={self.address}", f"--secure-port={PORT}",
            f"--advertise-address={self.address}", "--endpoint-reconciler-type=none",  # refuses loopback otherwise
            f"--etcd-servers=http://{self.address}:{ETCD_PORT}", f"--service-cluster-ip-range={SERVICES}",
            f"--tls-cert-file={serving}.crt", f"--tls-private-key-file={serving}.key",
            f"--client-ca-file={self.pki / 'ca.crt'}", "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction", f"--service-account-issuer={ISSUER}",
            f"--service-account-key-file={accounts}", f"--service-account-signing-key-file={accounts}",
            f"--audit-policy-file={self.directory / 'audit-policy.json'}", f"--audit-log-path={self.audit.path}",
            "--audit-log-maxsize=100000",  # megabytes: never rotated
            "--shutdown-watch-termination-grace-period=1s", *self._arguments,
        ]  # fmt: skip


def _free_address() -> str:
    """A loopback address on which nobody listens at our ports; 127.64.0.0/10 has four million to draw from."""
    while True:
        number = random.SystemRandom().randrange(1, 1 << 22)
        address = f"127.{64 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
        with socket.socket() as probe:
            if probe.connect_ex((address, PORT)):
                return address
