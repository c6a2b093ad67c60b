"""The trainings of the benchmark, and the very objects that the operator makes of one, as requests."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from unittest.mock import patch

from scale.cluster import JSON, Put
from shieldwall.control import wiring
from shieldwall.control.cluster.api import Api
from shieldwall.control.cluster.errors import ApiError
from shieldwall.control.cluster.kinds import BY_NAME, TRAINING, Kind
from shieldwall.control.cluster.live import MANAGER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shieldwall.control.config import OperatorConfig

PER_NAMESPACE = 10
ROUNDS = 5
_UID = "00000000-0000-4000-8000-00000000feed"


def namespace_of(number: int) -> str:
    """The namespace of a training."""
    return f"scale-{number // PER_NAMESPACE:03}"


def name_of(number: int) -> str:
    """The name of a training."""
    return f"run-{number:04}"


def training(number: int, clients: int) -> dict[str, Any]:
    """A training as a person writes it."""
    return {
        "apiVersion": TRAINING.api_version,
        "kind": TRAINING.kind,
        "metadata": {"name": name_of(number), "namespace": namespace_of(number)},
        "spec": {
            "app": {"image": "example/digits:1", "clientApp": "digits.client_app:app", "model": "digits.task:model"},
            "rounds": {"count": ROUNDS},
            "clients": [{"name": f"client-{index:02}"} for index in range(clients)],
            "aggregation": {"rule": "FedMedian", "byzantine": 1},
        },
    }


def namespaces(numbers: range) -> list[Put]:
    """Requests that make the namespaces of trainings."""
    names = sorted({namespace_of(number) for number in numbers})
    bodies = {name: {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in names}
    return [Put("PATCH", f"/api/v1/namespaces/{name}", json.dumps(body).encode()) for name, body in bodies.items()]


def creations(numbers: range, clients: int) -> list[Put]:
    """Requests that make trainings."""
    return [
        Put("POST", TRAINING.path(namespace_of(n)), json.dumps(training(n, clients)).encode(), JSON, "kubectl")
        for n in numbers
    ]


class _Recording(Api):
    """Stands in for an API server: keeps what is written, in the order of first writing, and gives it back."""

    def __init__(self, *_: object, **__: object) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.sent: dict[str, dict[str, Any]] = {}
        self._version = 1

    async def __aenter__(self) -> Self:
        """Nothing to open."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing to close."""

    async def _send(  # noqa: PLR0913  # as in Api
        self,
        verb: str,
        kind: Kind,
        method: str,
        path: str,
        *,
        body: dict[str, Any] | None = None,
        query: Mapping[str, str] | None = None,  # noqa: ARG002
        content_type: str = JSON,  # noqa: ARG002
    ) -> dict[str, Any]:
        if verb == "list":
            return {"items": [], "metadata": {"resourceVersion": str(self._version)}}
        if body is None:
            if path not in self.objects:
                raise ApiError(404, "NotFound", path)
            return self.objects[path]
        if method == "POST":
            path += f"/{body['metadata']['name']}"
        self._version += 1
        self.sent[path] = body
        applied = [{"manager": MANAGER, "operation": "Apply", "fieldsV1": {}}]
        metadata = {"uid": f"uid-{self._version}", **body["metadata"], "managedFields": applied}
        metadata["resourceVersion"] = str(self._version)
        self.objects[path] = {**body, "metadata": metadata}
        if kind.kind in BY_NAME:
            return self.objects[path]
        return {**training(0, 0), **self.objects[path]}


@dataclass(frozen=True, slots=True)
class Objects:
    """What the operator makes of one training."""

    by_path: Mapping[str, str]
    """JSON by path, of training 0 with a made-up uid, in the operator's order."""

    def of(self, number: int, uid: str) -> list[Put]:
        """Requests that apply the same for another training."""

        def told(text: str) -> str:
            text = text.replace(namespace_of(0), namespace_of(number))
            return text.replace(name_of(0), name_of(number)).replace(_UID, uid)

        return [Put("PATCH", told(path), told(text).encode()) for path, text in self.by_path.items()]

    def counts(self) -> Counter[str]:
        """By collection of all namespaces: how many."""
        kinds = (BY_NAME[json.loads(text)["kind"]] for text in self.by_path.values())
        return Counter(kind.path() for kind in kinds)

    @property
    def pods(self) -> int:
        """How many pods run for them."""
        counts = self.counts()
        return sum(counts[BY_NAME[kind].path()] for kind in ("StatefulSet", "Deployment"))


async def objects(clients: int, config: OperatorConfig) -> Objects:
    """Let the operator's own reconciler make them, without a cluster."""
    body = training(0, clients)
    body["metadata"] |= {"uid": _UID, "generation": 1, "resourceVersion": "1"}
    with patch.object(wiring, "Api", _Recording):
        async with wiring.wire(config, None, "benchmark") as parts:  # type: ignore[arg-type]
            key = parts.store.put_training(body)
            await parts.reconciler.reconcile(key)
            sent = parts.api.sent  # type: ignore[attr-defined]
    owned = {path: json.dumps(each) for path, each in sent.items() if f'"{_UID}"' in json.dumps(each["metadata"])}
    return Objects({path: text for path, text in owned.items() if json.loads(text)["kind"] in BY_NAME})
