"""The objects that the suite applies: trainings, namespaces and a stranger's pod."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]
CITIES = ("berlin", "dresden", "hamburg", "jena", "kiel", "leipzig", "mainz", "trier")
STRANGER_PORT = 7070
"""Where a stranger listens."""
_LISTEN = f"import socket\ns = socket.create_server(('', {STRANGER_PORT}))\nwhile True: s.accept()[0].close()"
_RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}


def namespace(name: str, labels: Mapping[str, str] | None = None) -> Json:
    """A namespace that admits restricted pods only."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {**_RESTRICTED, **(labels or {})}},
    }


def digits(image: str, clients: int, rounds: int, name: str = "digits", **more: Any) -> Json:
    """The example's training on ``clients`` clients, small enough for a laptop."""
    return {
        "apiVersion": "shieldwall.dev/v1alpha1",
        "kind": "FederatedTraining",
        "metadata": {"name": name},
        "spec": {
            "app": {
                "image": image,
                "clientApp": "digits.client_app:app",
                "model": "digits.task:initial_arrays",
                "evaluate": "digits.task:evaluate",
                "config": {"lr": 0.1, "local-epochs": 8, "batch-size": 16, "alpha": 3.0, "seed": 7},
            },
            "rounds": {"count": rounds, "minReplies": clients},
            "clients": [{"name": city} for city in CITIES[:clients]],
            "aggregation": {"rule": "FedTrimmedAvg", "byzantine": 1},
            "storage": {"server": "256Mi", "model": "256Mi"},
        }
        | more,
    }


def stranger(name: str, image: str, labels: Mapping[str, str] | None = None) -> Json:
    """A pod with a Python and nothing else: it lets everybody connect, and does what it is told by ``kubectl exec``."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "stranger", **(labels or {})}},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 4242,
                "runAsGroup": 4242,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "python",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python3", "-c", _LISTEN],
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }
