"""Whole plans as YAML. After a wanted change: SHIELDWALL_UPDATE_GOLDEN=1 pytest tests/unit/plan, then read the diff."""

import io
import os
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from shieldwall.control.plan import PlanSettings, build_plan
from shieldwall.control.plan.orders import Observed
from shieldwall.control.plan.render import manifest

GOLDEN = Path(__file__).parent / "golden"

RICH = {
    "app": {
        "image": "registry.example/digits:1.4",
        "imagePullPolicy": "Always",
        "imagePullSecrets": [{"name": "registry"}],
        "clientApp": "digits.app:client",
        "serverApp": "digits.app:server",
        "config": {"lr": 0.1, "epochs": 2, "fast": True, "name": "a b"},
    },
    "rounds": {"count": 5, "fractionTrain": 0.8, "minReplies": 3, "timeoutSeconds": 60, "graceSeconds": 5},
    "clients": [
        {
            "name": "berlin",
            "data": {"persistentVolumeClaim": {"claimName": "berlin-data"}},
            "region": "eu-central-1",
            "nodeConfig": {"partition-id": 7, "site": "Berlin Mitte", "fast": True, "lr": 1e-05},
            "resources": {"limits": {"memory": "8Gi", "nvidia.com/gpu": 1}},
        },
        {"name": "paris", "nodeSelector": {"disk": "ssd"}},
        {"name": "rome"},
    ],
    "clientTemplate": {
        "resources": {"requests": {"cpu": "0.5", "memory": "4096Mi"}},
        "nodeSelector": {"pool": "clients"},
        "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
    },
    "aggregatorTemplate": {"resources": {"limits": {"memory": "16Gi"}}, "nodeSelector": {"pool": "big"}},
    "aggregation": {"rule": "MultiKrum", "byzantine": 0, "select": 2, "maxNorm": 1.5},
    "privacy": {"epsilon": 8.0, "delta": 1e-05, "clip": 1.0, "records": 140, "batchSize": 32, "steps": 4},
    "identity": {"certificateTTL": "1h30m"},
    "storage": {"server": "2048Mi", "model": "50Gi", "storageClassName": "fast", "modelDeletionPolicy": "Delete"},
}
PLAIN = PlanSettings(runtime_image="registry.example/runtime:1")
SETTINGS = PlanSettings(
    trust_domain="example.org", runtime_image="registry.example/runtime:1", image_pull_secrets=("ours", "registry")
)


def as_yaml(plan):
    """The orders, then each object as a document."""

    def text(value):
        if isinstance(value, str) and "\n" in value:
            return LiteralScalarString(value)
        if isinstance(value, dict):
            return {key: text(each) for key, each in value.items()}
        return [text(each) for each in value] if isinstance(value, list) else value

    orders = {
        "authority": plan.authority.secret if plan.authority else None,
        "certificates": [
            {
                "secret": order.secret,
                "identity": order.identity.uri,
                "dnsNames": list(order.dns_names),
                "lifetimeSeconds": int(order.lifetime.total_seconds()),
                "reason": order.reason,
                "request": order.request,
            }
            for order in plan.certificates
        ],
        "nodeKeys": [{"secret": order.secret, "client": order.client} for order in plan.node_keys],
        "sharedSecrets": [{"secret": order.secret, "key": order.key} for order in plan.shared_secrets],
    }
    yaml = YAML()
    yaml.width = 120
    yaml.representer.ignore_aliases = lambda _data: True
    out = io.StringIO()
    serialised = (manifest(each) for each in plan.objects)
    yaml.dump_all([{"orders": orders}, *(text(each) for each in serialised)], out)
    return out.getvalue()


def check(name, text):
    path = GOLDEN / f"{name}.yaml"
    if os.environ.get("SHIELDWALL_UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), "see the first lines of this file"


def test_the_first_pass_orders_everything_and_starts_nothing(new_training, now):
    check("first-pass", as_yaml(build_plan(new_training(), Observed(), PLAIN, now)))


def test_a_small_training(new_training, complete):
    check("small", as_yaml(complete(new_training(uid="0c6f4a1e-5d0b-4c59-8b3e-7f1a2b3c4d5e"), PLAIN)))


@pytest.mark.parametrize("shell", ["example.org"], indirect=True)
def test_a_training_with_everything(new_training, complete):
    check("rich", as_yaml(complete(new_training(RICH), SETTINGS)))
