"""The chart as a real API server takes it, and what its policy says of trainings there."""

import base64
import json
import os
import re
import subprocess
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from harness.apiserver import ApiServer
from harness.controller_manager import ControllerManager
from harness.crds import install_crds
from harness.process import until
from harness.tools import binary
from ruamel.yaml import YAML

from shieldwall.control.issuing.contents import root_files
from shieldwall.control.issuing.randomness import Randomness

pytestmark = pytest.mark.slow

RUNBOOKS = Path(__file__).parents[3] / "docs" / "runbooks"
OPERATOR = "shieldwall-system"

TRAININGS = "/apis/shieldwall.dev/v1alpha1/namespaces/{}/federatedtrainings"
DIGEST = "@sha256:" + "a" * 64
RULES = [
    "InsecureAggregation", "NoPrivacy", "NoPrivacyBudget", "ImageWithoutDigest", "ImageRegistry", "LongCertificates",
]  # fmt: skip
POLICY = {"registries": ["registry.example", "mirror.example:5000/ml"], "namespaceSelector": {"tenant": "true"}}
PRIVATE = {"epsilon": 1.0, "delta": 1e-5, "clip": 1.0, "records": 140, "batchSize": 32, "steps": 5}
GOOD = {
    "app": {"image": "registry.example/digits:1" + DIGEST, "clientApp": "digits.app:c", "model": "digits.app:m"},
    "rounds": {"count": 3},
    "clients": [{"name": "a"}, {"name": "b"}, {"name": "c"}],
    "privacy": PRIVATE | {"budgetRef": "patients"},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory, chart):
    with ApiServer(tmp_path_factory.mktemp("chart")) as server, ControllerManager(server):
        install_crds(server, *(chart / "files" / "crds").glob("*.yaml"))
        for name, labels in {"walls": {}, "fed-a": {"tenant": "true"}, "fed-b": {}}.items():
            restricted = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
            server.request("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels | restricted}})
        until(lambda: server.request("GET", "/api/v1/namespaces/walls/serviceaccounts")["items"], 20)
        yield server


def apply(server, objects, *flags):
    command = [binary("kubectl"), "--kubeconfig", server.kubeconfig(), "apply", "--server-side", "--force-conflicts"]
    command += ["--validate=strict", *flags, "-f", "-"]
    served = [each for each in objects if not each["apiVersion"].startswith("monitoring.coreos.com")]
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": served})
    return subprocess.run(command, input=document, capture_output=True, text=True, check=False, timeout=60)


def send(server, spec, namespace="fed-a", name="digits", **metadata):
    body = {
        "apiVersion": "shieldwall.dev/v1alpha1",
        "kind": "FederatedTraining",
        "metadata": {"name": name, **metadata},
        "spec": spec,
    }
    path = TRAININGS.format(namespace)
    try:
        server.request("POST", path, body)
    except httpx.HTTPStatusError as error:
        return error.response.json()["message"]
    server.request("DELETE", f"{path}/{name}")
    return ""


def changed(**sections):
    spec = deepcopy(GOOD)
    for name, section in sections.items():
        spec[name] = spec.get(name, {}) | section
    return spec


@pytest.mark.parametrize("values", ["defaults", "everything", "namespaced", "single", "bare"])
def test_every_object_is_taken_without_a_warning(server, render, chart, values):
    asked = YAML(typ="safe").load(chart / "ci" / f"{values}-values.yaml")
    answer = apply(server, render(asked | {"crds": {"enabled": True}}), "--dry-run=server")
    assert answer.returncode == 0, answer.stderr
    assert not answer.stderr


@pytest.fixture(scope="module")
def guarded(server, render):
    """With the platform's policy, once it is in force."""
    objects = render({"policy": POLICY | {"enforce": RULES}})
    policies = [each for each in objects if each["kind"].startswith("ValidatingAdmissionPolicy")]
    answer = apply(server, policies)
    assert answer.returncode == 0, answer.stderr
    until(lambda: "platform's rule" in send(server, changed(app={"image": "other.example/digits:1"})), 30)
    return server


@pytest.mark.parametrize(
    ("spec", "rule"),
    [
        (changed(), None),
        (changed(app={"image": "mirror.example:5000/ml/digits" + DIGEST}), None),
        (changed(identity={"certificateTTL": "23h59m"}), None),
        (changed(app={"image": "registry.example/digits:1"}), "ImageWithoutDigest"),
        (changed(app={"image": "registry.example/digits:1@sha256:abc"}), "ImageWithoutDigest"),
        (changed(app={"image": "registry.example.evil.example/digits" + DIGEST}), "ImageRegistry"),
        (changed(app={"image": "mirror.example:5000/other/digits" + DIGEST}), "ImageRegistry"),
        (changed(identity={"certificateTTL": "25h"}), "LongCertificates"),
        (GOOD | {"privacy": PRIVATE}, "NoPrivacyBudget"),
        (changed(privacy={"mode": "RecordLevel"}), None),
        (GOOD | {"privacy": {"mode": "None"}}, "NoPrivacy"),
        ({name: section for name, section in GOOD.items() if name != "privacy"}, "NoPrivacy"),
        (changed(aggregation={"rule": "FedAvg", "insecure": True}), "InsecureAggregation"),
        (changed(aggregation={"rule": "FedTrimmedAvg", "byzantine": 0}), "InsecureAggregation"),
        (changed(aggregation={"rule": "ClippedMean", "maxNorm": 1.0}), "InsecureAggregation"),
    ],
)
def test_a_rule_forbids_what_it_is_for(guarded, spec, rule):
    said = send(guarded, spec)
    assert said == "" if rule is None else f"the platform's rule {rule}" in said


def test_a_rule_holds_where_the_selector_says(guarded):
    assert send(guarded, changed(app={"image": "other.example/digits:1"}), namespace="fed-b") == ""


def test_what_runs_already_may_be_annotated_suspended_and_deleted(guarded):
    path = TRAININGS.format("fed-b")
    weak = {
        "apiVersion": "shieldwall.dev/v1alpha1",
        "kind": "FederatedTraining",
        "metadata": {"name": "old"},
        "spec": changed(app={"image": "other.example/digits:1"}),
    }
    guarded.request("POST", path, weak)
    namespace = "/api/v1/namespaces/fed-b"
    guarded.request("PATCH", namespace, {"metadata": {"labels": {"tenant": "true"}}}, patch="merge")
    try:
        until(lambda: "platform's rule" in send(guarded, weak["spec"], namespace="fed-b"), 30)
        for change in ({"metadata": {"annotations": {"a": "b"}}}, {"spec": {"suspend": True}}):
            guarded.request("PATCH", f"{path}/old", change, patch="merge")
        with pytest.raises(httpx.HTTPStatusError, match="platform's rule"):
            guarded.request("PATCH", f"{path}/old", {"spec": {"app": {"image": "worse.example/x:1"}}}, patch="merge")
        guarded.request("DELETE", f"{path}/old")
    finally:
        guarded.request("PATCH", namespace, {"metadata": {"labels": {"tenant": None}}}, patch="merge")


def test_the_policys_expressions_fit_the_api(guarded):
    """The controller manager types them against the schema, and says what it cannot read."""
    path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"

    def typed():
        (policy,) = guarded.request("GET", path)["items"]
        return policy if "typeChecking" in policy.get("status", {}) else None

    until(typed, 30)
    assert typed()["spec"]["validations"]
    assert not typed()["status"]["typeChecking"].get("expressionWarnings")


@pytest.fixture(scope="module")
def installed(server, render):
    """With the release of the runbooks, a Lease, a root CA, and a training with a status and an event."""
    server.request("POST", "/api/v1/namespaces", {"metadata": {"name": OPERATOR}})
    objects = render({"fullnameOverride": "shieldwall", "replicas": 1, "test": {"enabled": False}}, OPERATOR)
    assert apply(server, objects).returncode == 0
    lease = {"metadata": {"name": "shieldwall"}, "spec": {"holderIdentity": "shieldwall-0"}}
    server.request("POST", f"/apis/coordination.k8s.io/v1/namespaces/{OPERATOR}/leases", lease)
    files = root_files(f"Shieldwall root of {OPERATOR}", datetime.now(UTC), Randomness())
    data = {name: base64.b64encode(content).decode() for name, content in files.items()}
    root = {"metadata": {"name": "shieldwall-root-ca"}, "type": "kubernetes.io/tls", "data": data}
    server.request("POST", f"/api/v1/namespaces/{OPERATOR}/secrets", root)
    body = {
        "apiVersion": "shieldwall.dev/v1alpha1",
        "kind": "FederatedTraining",
        "metadata": {"name": "seen", "annotations": {"shieldwall.dev/paused": "true"}},
        "spec": GOOD,
    }
    path = TRAININGS.format("fed-b")
    server.request("POST", path, body)
    condition = {"status": "True", "reason": "InvalidSpec", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status = {
        "phase": "Training",
        "message": "told",
        "summary": {"round": "7/30", "clients": "2/3", "epsilon": "0.9/1"},
        "privacy": {"delta": 1e-05, "roundsLeft": 3, "noiseMultiplier": 20.44},
        "conditions": [{"type": name, "message": f"{name} told", **condition} for name in ("Stalled", "Certificates")],
        "clients": {
            "worst": [
                {"name": "liar", "state": "refused", "refused": 4, "message": "told"},
                {"name": "idler", "state": "banned", "strikes": 5, "innovation": 0.01, "message": "told"},
            ]
        },
        "security": {"score": 25, "checks": [{"name": "Rule", "state": "failed", "points": 0, "message": "told"}]},
    }
    server.request("PATCH", f"{path}/seen/status", {"status": status}, patch="merge")
    budget = {
        "apiVersion": body["apiVersion"],
        "kind": "PrivacyBudget",
        "metadata": {"name": "patients"},
        "spec": {"epsilon": 3, "delta": 0.1, "unit": "Record", "data": ["a"], "period": {"name": "spring"}},
    }
    budgets = path.replace("federatedtrainings", "privacybudgets")
    server.request("POST", budgets, budget)
    nothing = {"epsilon": 0.5, "delta": 0}
    share = {"name": "told", "uid": "u", "state": "Settling", "reserved": nothing, "spent": nothing}
    sums = dict.fromkeys(("spent", "reserved", "remaining"), nothing)
    change = {"status": sums | {"trainings": [share]}}
    server.request("PATCH", f"{budgets}/patients/status", change, patch="merge")
    event = {
        "metadata": {"name": "seen.1"},
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "shieldwall.dev/operator",
        "reportingInstance": "shieldwall-0",
        "action": "Repair",
        "reason": "DriftRepaired",
        "type": "Warning",
        "note": "told",
        "regarding": {"apiVersion": body["apiVersion"], "kind": body["kind"], "namespace": "fed-b", "name": "seen"},
    }
    server.request("POST", "/apis/events.k8s.io/v1/namespaces/fed-b/events", event)
    return server


COMMANDS = {
    page.stem: re.search(r"^```sh\n(.+?)\n```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[1]
    for page in sorted(RUNBOOKS.glob("Shieldwall*.md"))
}


@pytest.mark.parametrize("alert", [alert for alert, command in COMMANDS.items() if " logs " not in command])
def test_the_first_command_of_a_runbook_shows_what_it_is_for(installed, alert):
    environment = {
        "KUBECONFIG": str(installed.kubeconfig()),
        "PATH": f"{binary('kubectl').parent}:{os.environ['PATH']}",
    }
    answer = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", COMMANDS[alert]],
        env=os.environ | environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    if "get federatedtrainings" in COMMANDS[alert]:
        assert "seen" in answer.stdout
        assert "told" in answer.stdout or "message" not in COMMANDS[alert]
        asked = re.findall(r"([A-Z]+):", COMMANDS[alert])
        row = answer.stdout.splitlines()[1]
        empty = {"AGE"} & set(asked)
        assert row.count("<none>") <= len(empty), "a column finds nothing"
    elif "get privacybudgets" in COMMANDS[alert]:
        assert answer.stdout.splitlines()[1].split() == ["fed-b", "patients", "3", "0.5", "0.5", "0.5", "told"]
    elif "get events" in COMMANDS[alert]:
        (row,) = [line for line in answer.stdout.splitlines() if "DriftRepaired" in line]
        assert "federatedtraining/seen" in row
        assert "told" in row
    elif "openssl" in COMMANDS[alert]:
        assert f"Shieldwall root of {OPERATOR}" in answer.stdout
        assert "notAfter=" in answer.stdout
    elif "pods" not in COMMANDS[alert]:
        assert "shieldwall" in answer.stdout
