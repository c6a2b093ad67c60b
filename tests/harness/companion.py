"""What the components beside the API server have in common: a user of their own, a health check, an end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Self

import httpx

from .process import Component

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .apiserver import ApiServer


class Companion(ABC):
    """Context manager around a component that acts on a running ApiServer."""

    name: ClassVar[str]

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self._component: Component | None = None

    def __enter__(self) -> Self:
        """Start it; returns once it acts. Raises ComponentError."""
        self._component = Component(self.name, self._command(), self.server.directory)
        try:
            self._component.wait_until(self._ready, 60)
        except BaseException:
            self._component.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End it at once."""
        self.component.kill()

    @property
    def component(self) -> Component:
        """The process. Raises RuntimeError before it is started."""
        if self._component is None:
            raise RuntimeError(f"{self.name} is not started")
        return self._component

    @abstractmethod
    def _command(self) -> Sequence[str | Path]:
        """The program and its arguments."""

    @abstractmethod
    def _ready(self) -> bool:
        """Whether it acts by now."""

    def _serving(self, port: int) -> list[str | Path]:
        """The flags of a Kubernetes component that serves its health on ``port`` and needs no leader."""
        serving = self.server.pki / "serving"
        return [
            f"--bind-address={self.server.address}", f"--secure-port={port}", f"--tls-cert-file={serving}.crt",
            f"--tls-private-key-file={serving}.key", "--leader-elect=false",
        ]  # fmt: skip

    def _healthy(self, url: str) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(url, verify=self.server.trust, timeout=2, trust_env=False).is_success
        return False

    def _object(self, path: str) -> dict[str, Any] | None:
        """The object at ``path``, or nothing when it is not there (yet) or not to be had."""
        with suppress(httpx.HTTPError):
            return self.server.request("GET", path)
        return None
