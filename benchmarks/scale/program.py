"""The operator as a process of its own, and what the kernel and its own metrics say of it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from harness.apiserver import ApiServer

NAMESPACE = "shieldwall-system"
_TICKS = os.sysconf("SC_CLK_TCK")
_GRACE_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Reading:
    """What was used up to one moment."""

    cpu_seconds: float
    memory_bytes: int
    """Resident set."""
    requests: Counter[str] = field(default_factory=Counter)
    """By verb, without those about the Lease."""
    by_kind: Counter[str] = field(default_factory=Counter)
    """The same by verb and kind."""
    leases: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Answers of 400 and more, and none at all, by verb and code."""
    passes: int = 0


class Operator:
    """Context manager around ``shieldwall-operator``; its log is ``operator.log`` in ``directory``."""

    def __init__(self, server: ApiServer, directory: Path, workers: int, profile: Path | None = None) -> None:
        """``profile``: where cProfile's figures go, which make it slower."""
        self._port = _free_port()
        self._log = directory / "operator.log"
        config = directory / "operator.yaml"
        settings = {"operatorNamespace": NAMESPACE, "metricsPort": self._port, "logFormat": "text", "workers": workers}
        config.write_text(json.dumps(settings))
        python: list[str | Path] = [sys.executable]
        if profile is not None:
            python += ["-m", "cProfile", "-o", profile]
        kubeconfig = server.kubeconfig("shieldwall", ["system:masters"])
        module: list[str | Path] = ["-m", "shieldwall.control.main"]
        self._command = [*python, *module, "--config", config, "--kubeconfig", kubeconfig]

    def __enter__(self) -> Self:
        """Start it."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT)
        return self

    def __exit__(self, *_: object) -> None:
        """End it as a kubelet would."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    async def read(self, http: aiohttp.ClientSession) -> Reading:
        """How it is now. Raises RuntimeError when it has ended."""
        if self._process.poll() is not None:
            raise RuntimeError(f"the operator ended with {self._process.returncode}; see {self._log}")
        process = Path(f"/proc/{self._process.pid}")
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        requests, by_kind, refused, leases, passes = Counter[str](), Counter[str](), Counter[str](), 0, 0
        for name, labels, value in await self._samples(http):
            if name == "shieldwall_api_requests_total":
                if labels["kind"] == "Lease":
                    leases += int(value)
                    continue
                requests[labels["verb"]] += int(value)
                by_kind[f"{labels['verb']} {labels['kind']}"] += int(value)
                if not labels["code"].startswith("2"):
                    refused[f"{labels['verb']} {labels['code']}"] += int(value)
            elif name == "shieldwall_reconcile_seconds_count":
                passes += int(value)
        return Reading(
            cpu_seconds=(int(fields[11]) + int(fields[12])) / _TICKS,
            memory_bytes=int(status["VmRSS"].split()[0]) * 1024,
            requests=requests,
            by_kind=by_kind,
            leases=leases,
            refused=refused,
            passes=passes,
        )

    async def leads(self, http: aiohttp.ClientSession) -> bool:
        """Whether it acts."""
        try:
            return any(name == "shieldwall_operator_leader" and value for name, _, value in await self._samples(http))
        except aiohttp.ClientError:
            await asyncio.sleep(0.1)
            return False

    async def _samples(self, http: aiohttp.ClientSession) -> list[tuple[str, dict[str, str], float]]:
        async with http.get(f"http://127.0.0.1:{self._port}/metrics") as answer:
            text = await answer.text()
        wanted = ("shieldwall_api_requests", "shieldwall_reconcile_seconds_count", "shieldwall_operator_leader", "#")
        text = "\n".join(line for line in text.splitlines() if line.startswith(wanted))
        families: Any = text_string_to_metric_families(text + "\n")
        return [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
