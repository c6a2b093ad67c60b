"""The operator of this release on a cluster that still has the CRD of an earlier one."""

from __future__ import annotations

import base64
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from harness.apiserver import ApiServer
from harness.crds import install_crds
from ruamel.yaml import YAML

from .conftest import (
    BUDGET_CRD,
    CRD,
    CRDS,
    TRAININGS,
    Clock,
    Space,
    eventually,
    operator,
    passes,
    quiet,
    replica,
    training,
)

pytestmark = pytest.mark.slow


@contextmanager
def cluster(directory, crd):
    with ApiServer(directory / "server") as server:
        server.request("POST", CRDS, crd)
        eventually(lambda: server.request("GET", f"{TRAININGS}/federatedtrainings"))
        server.request("POST", "/api/v1/namespaces", {"metadata": {"name": "older"}})
        yield Space(server, "older")


@pytest.fixture
def older(tmp_path):
    """Its status lacks a section, and one field of each condition."""
    crd = YAML(typ="safe").load(CRD)
    status = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
    del status["pki"]
    condition = status["conditions"]["items"]
    del condition["properties"]["observedGeneration"]
    condition["required"] = [name for name in condition["required"] if name != "observedGeneration"]
    with cluster(tmp_path, crd) as space:
        yield space


@pytest.fixture
def lenient(tmp_path):
    """It has none of the rules that cross fields."""
    crd = YAML(typ="safe").load(CRD)
    with cluster(tmp_path, without_rules(crd)) as space:
        yield space


def without_rules(value):
    if isinstance(value, list):
        return [without_rules(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: without_rules(item) for key, item in value.items() if key != "x-kubernetes-validations"}


async def test_status_is_told_without_the_fields_that_are_not_there(older, caplog):
    older.apply(training(older))
    async with replica(older) as parts:
        await passes(parts, older)
        assert await passes(parts, older) == 0
    status = older.status()
    assert status["observedGeneration"] == 1
    assert status["phase"]
    assert "pki" not in status
    assert all(each["reason"] and "observedGeneration" not in each for each in status["conditions"])
    told = [record.getMessage() for record in caplog.records if "CRD is older" in record.message]
    assert len(told) == len(set(told)) <= 2, "each field once, however many passes there were"


def invalid(space):
    """More replies than clients, and another client: neither is to be acted on."""
    return training(space, clients=4, rounds={"count": 9, "minReplies": 99})


def leaf(space):
    return x509.load_pem_x509_certificate(base64.b64decode(space.get("secrets", "digits-tls-c0")["data"]["tls.crt"]))


def trust(space):
    """CA and CRL as they are published."""
    data = space.get("configmaps", "digits-trust")["data"]
    ca, crl = data["ca.crt"].encode(), data["ca.crl"].encode()
    return x509.load_pem_x509_certificate(ca), x509.load_pem_x509_crl(crl)


def ends(parts):
    return parts.metrics.registry.get_sample_value(
        "shieldwall_certificate_not_after_timestamp_seconds",
        {"namespace": "older", "training": "digits", "subject": "client.c0"},
    )


async def test_a_running_training_is_kept_though_its_spec_has_become_invalid(lenient):
    lenient.apply(training(lenient))
    clock = Clock()
    async with replica(lenient, clock) as parts:
        await quiet(parts, lenient)
        policy = lenient.get("configmaps", "digits-policy")
        lenient.apply(invalid(lenient))
        await keeps(lenient, clock, parts)
    async with replica(lenient, clock) as parts:
        await passes(parts, lenient)
        assert ends(parts) == leaf(lenient).not_valid_after_utc.timestamp(), "known right after a start"
        await keeps(lenient, clock, parts)
        assert lenient.get("configmaps", "digits-policy") == policy
        assert lenient.find("secrets", "digits-tls-c3") is None
        before = datetime.now(UTC)
        for _ in range(100):
            lenient.apply(invalid(lenient))
            await parts.reconciler.reconcile(("older", "digits"))
        written = [each for each in lenient.writes(before) if not each.startswith("patch federatedtrainings/ ")]
        assert written == []
        lenient.apply(training(lenient))
        await passes(parts, lenient)
        assert lenient.condition("Stalled")["status"] == "False"
        assert lenient.status()["phase"] != "Invalid"


async def keeps(space, clock, parts):
    """Half a week later the leaf is another one, the CRL too, and what was deleted is back."""
    first, (_, list_) = leaf(space), trust(space)
    space.delete("networkpolicies", "digits-client")
    clock.ahead += timedelta(days=3.6)
    await passes(parts, space)
    ca, crl = trust(space)
    assert leaf(space).serial_number != first.serial_number
    assert leaf(space).not_valid_after_utc > clock()
    assert crl.next_update_utc > list_.next_update_utc
    assert crl.is_signature_valid(ca.public_key())
    assert space.find("networkpolicies", "digits-client") is not None
    stalled = space.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "InvalidSpec")
    assert "spec.rounds.minReplies" in stalled["message"]
    status = space.status()
    assert status["observedGeneration"] == space.get("federatedtrainings", "digits")["metadata"]["generation"]
    assert {each["serial"] for each in status["pki"]["certificates"]} > {f"{leaf(space).serial_number:x}"}


def test_an_operator_that_starts_on_an_invalid_spec_mends_within_5_s(lenient, tmp_path):
    lenient.apply(training(lenient))
    with operator(lenient, tmp_path / "one"):
        eventually(lambda: lenient.find("deployments", "digits-client-c2"))
        lenient.apply(invalid(lenient))
        eventually(lambda: lenient.condition("Stalled")["status"] == "True")
        mends(lenient)
    with operator(lenient, tmp_path / "two"):
        lenient.delete("networkpolicies", "digits-server")
        eventually(lambda: lenient.find("networkpolicies", "digits-server"))  # it has started
        mends(lenient)


def mends(space):
    for plural, name in (
        ("networkpolicies", "digits"), ("serviceaccounts", "digits-client"), ("services", "digits-server"),
        ("deployments", "digits-client-c1"), ("configmaps", "digits-policy-spec"), ("secrets", "digits-node-c1"),
    ):  # fmt: skip
        uid = space.get(plural, name)["metadata"]["uid"]
        space.delete(plural, name)

        def back(plural=plural, name=name, uid=uid):
            return (space.find(plural, name) or {"metadata": {"uid": uid}})["metadata"]["uid"] != uid

        eventually(back, 5)


@pytest.mark.timeout(120)
def test_an_operator_without_the_kind_of_budgets_goes_on_and_begins_anew_once_it_is_there(lenient, tmp_path):
    """Its trainings are watched meanwhile; Kubernetes starts the process again."""
    with operator(lenient, tmp_path / "op") as process:
        lenient.apply(training(lenient))
        eventually(lambda: lenient.find("deployments", "digits-client-c2"), 40)
        mends(lenient)
        assert process.poll() is None
        install_crds(lenient.server, BUDGET_CRD)
        assert process.wait(30) == 1
    assert "this replica ends, to watch them too" in (tmp_path / "op" / "operator.log").read_text()


async def test_what_was_never_valid_makes_nothing(lenient):
    lenient.apply(invalid(lenient))
    async with replica(lenient) as parts:
        await passes(parts, lenient)
    assert lenient.owned() == {}
    assert lenient.condition("Stalled")["reason"] == "InvalidSpec"
