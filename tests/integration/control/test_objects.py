"""Apply, drift, foreign objects and deletion against a real API server."""

from __future__ import annotations

import asyncio
import base64
import time
from datetime import UTC, datetime

import httpx
import pytest
from cryptography import x509

from shieldwall.control.cluster.brake import MOST
from shieldwall.control.cluster.errors import ApiError

from .conftest import eventually, mended, operator, passes, quiet, replica, training

pytestmark = pytest.mark.slow

OBJECTS = {
    ("serviceaccounts", "digits-server"), ("serviceaccounts", "digits-aggregator"),
    ("serviceaccounts", "digits-client"),
    ("networkpolicies", "digits"), ("networkpolicies", "digits-server"), ("networkpolicies", "digits-aggregator"),
    ("networkpolicies", "digits-client"),
    ("configmaps", "digits-policy"), ("configmaps", "digits-client-policy"), ("configmaps", "digits-trust"),
    ("configmaps", "digits-policy-spec"),
    ("services", "digits-server"), ("services", "digits-server-headless"), ("services", "digits-aggregator"),
    ("poddisruptionbudgets", "digits-client"),
    ("statefulsets", "digits-server"), ("statefulsets", "digits-aggregator"),
    ("secrets", "digits-ca"), ("secrets", "digits-superexec"), ("secrets", "digits-server-tls"),
    ("secrets", "digits-aggregator-tls"),
    *(("secrets", f"digits-{kind}-c{index}") for kind in ("tls", "node") for index in range(3)),
    *(("deployments", f"digits-client-c{index}") for index in range(3)),
}  # fmt: skip


async def test_apply_makes_all_objects_and_idle_passes_write_nothing(space):
    space.apply(training(space))
    async with replica(space) as parts:
        await passes(parts, space)
        assert set(space.owned()) == OBJECTS
        before = datetime.now(UTC)
        for _ in range(100):
            await parts.reconciler.reconcile((space.name, "digits"))
        assert space.writes(before) == []
    status = space.status()
    assert status["observedGeneration"] == 1
    assert status["pki"]["total"] == 5


async def test_the_same_training_synced_a_hundred_times_changes_nothing(space):
    space.apply(training(space))
    async with replica(space) as parts:
        await quiet(parts, space)
        standing = space.get("federatedtrainings", "digits")["metadata"]
        before = datetime.now(UTC)
        for _ in range(100):
            space.apply(training(space))
        await passes(parts, space)
    assert space.get("federatedtrainings", "digits")["metadata"]["resourceVersion"] == standing["resourceVersion"]
    assert [each for each in space.writes(before) if not each.startswith("patch federatedtrainings/ ")] == []


async def test_a_restarted_operator_writes_nothing(space):
    space.apply(training(space))
    async with replica(space) as parts:
        await quiet(parts, space)
    before = datetime.now(UTC)
    async with replica(space) as parts:
        assert await passes(parts, space) == 0
    assert space.writes(before) == []


def test_drift_of_every_object_is_repaired_within_5_s(space, tmp_path):
    space.apply(training(space))
    with operator(space, tmp_path / "op"):
        eventually(lambda: OBJECTS <= set(space.owned()))
        for plural, name in sorted(OBJECTS):
            before = space.get(plural, name)
            space.delete(plural, name)
            began = time.monotonic()

            def back(plural=plural, name=name, uid=before["metadata"]["uid"]):
                found = space.find(plural, name)
                return found is not None and found["metadata"]["uid"] != uid

            eventually(back, 5)
            assert time.monotonic() - began < 5, (plural, name)


CHANGES = {
    ("networkpolicies", "digits"): {"spec": {"ingress": [{}]}},
    ("networkpolicies", "digits-server"): {"spec": {"egress": [{}]}},
    ("configmaps", "digits-policy"): {"data": {"policy.json": "{}"}},
    ("services", "digits-server"): {"spec": {"selector": {"shieldwall.dev/training": "other"}}},
    ("serviceaccounts", "digits-client"): {"automountServiceAccountToken": True},
    ("poddisruptionbudgets", "digits-client"): {"spec": {"maxUnavailable": 3}},
    ("statefulsets", "digits-server"): {"spec": {"replicas": 2}},
    ("deployments", "digits-client-c0"): {"spec": {"template": {"spec": {"hostNetwork": True}}}},
    ("deployments", "digits-client-c1"): {
        "spec": {"template": {"spec": {"volumes": [{"name": "more", "emptyDir": {}}]}}}
    },
    ("secrets", "digits-ca"): {"stringData": {"more": "x"}},
    ("secrets", "digits-tls-c0"): {"metadata": {"labels": {"app.kubernetes.io/instance": "other"}}},
    ("secrets", "digits-node-c0"): {"metadata": {"labels": {"app.kubernetes.io/name": None}}},
    ("secrets", "digits-node-c1"): {"stringData": {"more": "x"}},
}
_JUNK = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"
SMUGGLED = {
    "junk behind the list": lambda good: {"ca.crl": good["ca.crl"] + _JUNK},
    "a CA behind the list": lambda good: {"ca.crl": good["ca.crl"] + good["ca.crt"]},
    "a CA behind the bundle": lambda good: {"ca.crt": 2 * good["ca.crt"]},
    "nothing of ours": lambda _: {"ca.crt": "theirs", "ca.crl": "theirs"},
}
FROZEN = {
    ("configmaps", "digits-trust"): {"data": {"ca.crt": "theirs"}, "immutable": True},
    ("configmaps", "digits-policy"): {"data": {"policy.json": "{}"}, "immutable": True},
    ("configmaps", "digits-client-policy"): {"immutable": True, "metadata": {"finalizers": ["example.com/mine"]}},
    ("secrets", "digits-ca"): {"immutable": True, "metadata": {"finalizers": ["example.com/mine"]}},
    ("secrets", "digits-node-c0"): {"stringData": {"more": "x"}, "immutable": True},
    ("secrets", "digits-superexec"): {"immutable": True},
}


def test_changed_fields_and_fields_that_others_add_are_taken_back(space, tmp_path):
    space.apply(training(space))
    with operator(space, tmp_path / "op"):
        eventually(lambda: OBJECTS <= set(space.owned()))
        for (plural, name), change in CHANGES.items():
            content = _content(space.get(plural, name))
            space.patch(plural, name, change)
            eventually(lambda plural=plural, name=name, was=content: _content(space.get(plural, name)) == was, 5)


UNDER_OUR_NAME = {
    ("deployments", "digits-client-c0"): {"spec": {"template": {"spec": {"hostNetwork": True}}}},
    ("networkpolicies", "digits"): {
        "spec": {"podSelector": {"matchExpressions": [{"key": "no-pod-has", "operator": "Exists"}]}}
    },
    ("serviceaccounts", "digits-client"): {"automountServiceAccountToken": None},
}


@pytest.mark.parametrize("managed", [None, [{}]], ids=["as the operator", "as nobody"])
def test_what_is_added_or_removed_under_our_own_name_is_taken_back(space, tmp_path, managed):
    """By whoever gives the operator's field manager as theirs, or wipes out who wrote what."""
    space.apply(training(space))
    with operator(space, tmp_path / "op"):
        eventually(lambda: OBJECTS <= set(space.owned()))
        for (plural, name), change in UNDER_OUR_NAME.items():
            content = _content(space.get(plural, name))
            path = f"{space.path(plural, name)}?fieldManager=shieldwall"
            metadata = {} if managed is None else {"metadata": {"managedFields": managed}}
            space.server.request("PATCH", path, change | metadata, patch="merge")
            eventually(lambda plural=plural, name=name, was=content: _content(space.get(plural, name)) == was, 5)


def _content(item):
    labels, frozen = item["metadata"].get("labels"), item.get("immutable")
    return item.get("spec", {}), item.get("data"), item.get("automountServiceAccountToken"), labels, frozen


def test_what_is_put_beside_the_trust_is_taken_out(space, tmp_path):
    space.apply(training(space))
    with operator(space, tmp_path / "op"):
        eventually(lambda: OBJECTS <= set(space.owned()))
        eventually(lambda: space.condition("Stalled")["status"] == "False")
        good = space.get("configmaps", "digits-trust")["data"]
        for what, change in SMUGGLED.items():
            space.patch("configmaps", "digits-trust", {"data": change(good)})
            eventually(lambda: space.get("configmaps", "digits-trust")["data"] == good, 5)
            assert space.condition("Stalled")["status"] == "False", what
    space.patch("configmaps", "digits-trust", {"data": SMUGGLED["a CA behind the list"](good)})
    with operator(space, tmp_path / "another"):  # one that does not know what was there before
        eventually(lambda: "CERTIFICATE" not in space.get("configmaps", "digits-trust")["data"]["ca.crl"], 30)
    assert space.get("configmaps", "digits-trust")["data"]["ca.crt"] == good["ca.crt"]


def test_what_was_made_immutable_is_made_anew_and_told(space, tmp_path):
    space.apply(training(space))
    with operator(space, tmp_path / "op"):
        eventually(lambda: OBJECTS <= set(space.owned()))
        for (plural, name), change in FROZEN.items():
            before = space.get(plural, name)
            space.patch(plural, name, change)

            def mended(plural=plural, name=name, was=before):
                now = space.find(plural, name)
                return (
                    now is not None
                    and now["metadata"]["uid"] != was["metadata"]["uid"]
                    and _content(now) == _content(was)
                )

            eventually(mended, 5)

        def untold():
            items = space.server.request("GET", f"/apis/events.k8s.io/v1/namespaces/{space.name}/events")["items"]
            notes = [each["note"] for each in items if each["reason"] == "DriftRepaired"]
            return [name for _, name in FROZEN if not any(f" {name} was changed (immutable" in note for note in notes)]

        eventually(lambda: not untold())
    assert space.condition("Stalled")["status"] == "False"


async def test_a_trust_that_cannot_be_set_right_costs_ready(space):
    """An admission policy of somebody's refuses the mend; the training says so until it is gone."""
    space.apply(training(space))
    group, name = "/apis/admissionregistration.k8s.io/v1", f"no-mends-{space.name}"
    mends = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["configmaps"]}
    policy = {
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [mends]},
            "validations": [{"expression": "object.metadata.name != 'digits-trust'", "message": "not today"}],
        },
    }
    here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space.name}}}
    binding = {
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"], "matchResources": here},
    }
    async with replica(space) as parts:
        await quiet(parts, space)
        good = space.get("configmaps", "digits-trust")["data"]
        space.patch("configmaps", "digits-trust", {"data": {"ca.crt": "theirs"}})
        space.server.request("POST", f"{group}/validatingadmissionpolicies", policy)
        space.server.request("POST", f"{group}/validatingadmissionpolicybindings", binding)

        def refused():
            try:
                space.patch("configmaps", "digits-trust", {"metadata": {"annotations": {"a": str(time.monotonic())}}})
            except httpx.HTTPStatusError:
                return True
            return False

        try:
            eventually(refused, 30)
            await parts.worker._lister.everything()
            with pytest.raises(ApiError, match="not today"):
                await parts.reconciler.reconcile((space.name, "digits"))
            for kind, status in (("Ready", "False"), ("Stalled", "True")):
                said = space.condition(kind)
                assert (said["status"], said["reason"]) == (status, "ObjectNotRepaired")
                assert "ConfigMap digits-trust" in said["message"]
        finally:
            space.server.request("DELETE", f"{group}/validatingadmissionpolicybindings/{name}")
            space.server.request("DELETE", f"{group}/validatingadmissionpolicies/{name}")

        def allowed():
            return not refused()

        eventually(allowed, 30)
        await mended(parts, space)
        assert space.get("configmaps", "digits-trust")["data"] == good
        assert space.condition("Stalled")["status"] == "False"


def test_a_shared_secret_that_somebody_chose_is_made_anew(space, tmp_path):
    space.apply(training(space))
    with operator(space, tmp_path / "op"):
        eventually(lambda: OBJECTS <= set(space.owned()))
        space.patch("secrets", "digits-superexec", {"stringData": {"superexec": "x"}})

        def good():
            data = space.get("secrets", "digits-superexec")["data"]
            return set(data) == {"superexec"} and len(base64.b64decode(data["superexec"])) == 64

        eventually(good, 5)


async def test_two_operators_of_one_namespace_do_not_fight(space):
    """The first to make the CA has the training; the other says so once, and writes nothing."""
    space.server.request("POST", "/api/v1/namespaces", {"metadata": {"name": f"{space.name}-second"}})
    space.apply(training(space))
    async with replica(space) as one, replica(space, operatorNamespace=f"{space.name}-second") as two:
        await quiet(one, space)
        before = datetime.now(UTC)
        await passes(two, space)
        assert space.writes(before) == ["patch federatedtrainings/status digits"]
        assert space.condition("Stalled")["reason"] == "OtherOperator"
        await passes(one, space)
        before = datetime.now(UTC)
        for _ in range(10):
            await passes(two, space, most=1)
            await passes(one, space, most=1)
        assert space.writes(before) == []
    assert space.condition("Stalled")["status"] == "False"


async def test_two_operators_that_begin_at_once_end_with_one(space):
    space.server.request("POST", "/api/v1/namespaces", {"metadata": {"name": f"{space.name}-second"}})
    space.apply(training(space))
    async with replica(space) as one, replica(space, operatorNamespace=f"{space.name}-second") as two:
        for parts in (one, two):
            await parts.worker._lister.everything()
        key = (space.name, "digits")
        await asyncio.gather(one.reconciler.reconcile(key), two.reconciler.reconcile(key), return_exceptions=True)
        owner = space.get("secrets", "digits-ca")["metadata"]["annotations"]["shieldwall.dev/installation"]
        first, second = (one, two) if owner.startswith(f"{space.name}/") else (two, one)
        await passes(second, space)
        await quiet(first, space)
        before = datetime.now(UTC)
        assert await passes(second, space, most=1) == 0
        assert space.writes(before) == []
    assert set(space.owned()) == OBJECTS


async def test_a_training_of_an_operator_that_knew_no_claims_is_taken_over(space):
    space.apply(training(space))
    async with replica(space) as parts:
        await quiet(parts, space)
    before = space.get("secrets", "digits-ca")
    space.patch("secrets", "digits-ca", {"metadata": {"annotations": {"shieldwall.dev/installation": None}}})
    async with replica(space) as parts:
        await quiet(parts, space)
    after = space.get("secrets", "digits-ca")
    assert after["data"] == before["data"]
    assert after["metadata"]["annotations"] == before["metadata"]["annotations"]


def test_a_fight_about_an_object_is_not_fought_to_the_end_and_is_told(space, tmp_path):
    space.apply(training(space))
    with operator(space, tmp_path / "op"):
        eventually(lambda: OBJECTS <= set(space.owned()))
        before, fought, began = datetime.now(UTC), 0, time.monotonic()
        while time.monotonic() - began < 15:
            space.patch("configmaps", "digits-policy", {"data": {"policy.json": "{}"}})
            fought += 1
            time.sleep(0.2)
        assert fought > 2 * MOST

        def told():
            return space.condition("Stalled")["reason"] == "ContestedObject"

        eventually(told, 5)
        patches = [each for each in space.writes(before) if each == "patch configmaps/ digits-policy"]
        assert len(patches) - fought == MOST
        assert "digits-policy" in space.condition("Stalled")["message"]


@pytest.mark.parametrize(("plural", "name"), [
    ("configmaps", "digits-policy"), ("secrets", "digits-ca"), ("secrets", "digits-node-c0"),
    ("deployments", "digits-client-c1"),
])  # fmt: skip
async def test_a_foreign_object_with_our_name_stalls_and_is_left_alone(space, plural, name):
    made = space.server.request("POST", space.path(plural), foreign(plural, name))
    space.apply(training(space))
    async with replica(space) as parts:
        await passes(parts, space)
    stalled = space.condition("Stalled")
    assert stalled["status"] == "True"
    assert stalled["reason"] == "ForeignObject"
    assert name in stalled["message"]
    now = space.get(plural, name)
    assert now["metadata"].get("labels") == made["metadata"].get("labels")
    assert _content(now) == _content(made)
    assert "ownerReferences" not in now["metadata"]


TAKEN = [
    ("serviceaccounts", "digits-aggregator"),
    ("networkpolicies", "digits-server"),
    ("configmaps", "digits-policy"),
    ("services", "digits-server"),
    ("secrets", "digits-tls-c0"),
    ("secrets", "digits-node-c1"),
    ("poddisruptionbudgets", "digits-client"),
    ("deployments", "digits-client-c0"),
]


@pytest.mark.parametrize(("plural", "name"), TAKEN, ids=[name for _, name in TAKEN])
async def test_an_object_that_was_taken_away_leaves_the_rest_of_the_wall_up(space, plural, name):
    space.apply(training(space))
    leaves = {f"digits-{part}" for part in ("server-tls", "aggregator-tls", "tls-c0", "tls-c1", "tls-c2")}
    async with replica(space) as parts:
        await passes(parts, space)
        space.patch(plural, name, {"metadata": {"ownerReferences": None}})
        before = {leaf: space.get("secrets", leaf)["data"]["tls.crt"] for leaf in leaves}
        taken = space.get(plural, name)
        for kind, broken in (("networkpolicies", "digits-client"), ("configmaps", "digits-trust")):
            space.delete(kind, broken)
            eventually(lambda kind=kind, broken=broken: space.find(kind, broken) is None)
        space.patch("deployments", "digits-client-c2", {"spec": {"template": {"spec": {"hostNetwork": True}}}})
        space.patch("federatedtrainings", "digits", {"metadata": {"annotations": {"renew.shieldwall.dev/all": "1"}}})
        await mended(parts, space)
    assert space.find("networkpolicies", "digits-client") is not None
    assert space.find("configmaps", "digits-trust") is not None
    assert not space.get("deployments", "digits-client-c2")["spec"]["template"]["spec"].get("hostNetwork")
    renewed = {leaf for leaf in leaves if space.get("secrets", leaf)["data"]["tls.crt"] != before[leaf]}
    assert renewed == leaves - {name}
    stalled = space.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "ForeignObject")
    assert name in stalled["message"]
    now = space.get(plural, name)
    assert _content(now) == _content(taken)
    assert "ownerReferences" not in now["metadata"]


async def test_a_training_whose_ca_was_taken_away_is_kept_closed(space):
    space.apply(training(space))
    async with replica(space) as parts:
        await passes(parts, space)
        space.patch("secrets", "digits-ca", {"metadata": {"ownerReferences": None}})
        taken = space.get("secrets", "digits-ca")
        trust = space.get("configmaps", "digits-trust")["data"]
        space.delete("networkpolicies", "digits-client")
        space.patch("deployments", "digits-client-c2", {"spec": {"template": {"spec": {"hostNetwork": True}}}})
        await mended(parts, space)
    assert space.find("networkpolicies", "digits-client") is not None
    assert not space.get("deployments", "digits-client-c2")["spec"]["template"]["spec"].get("hostNetwork")
    assert space.get("configmaps", "digits-trust")["data"] == trust
    assert _content(space.get("secrets", "digits-ca")) == _content(taken)
    assert "digits-ca" in space.condition("Stalled")["message"]


async def test_all_that_was_left_by_another_is_named_at_once(space):
    for name in ("digits-policy", "digits-client-policy"):
        space.server.request("POST", space.path("configmaps"), foreign("configmaps", name))
    space.apply(training(space))
    async with replica(space) as parts:
        await passes(parts, space)
    message = space.condition("Stalled")["message"]
    assert "digits-policy" in message
    assert "digits-client-policy" in message
    assert not space.all("deployments"), "no pod begins with what is another's"


async def test_what_a_quota_refuses_holds_up_no_other_object(space):
    quota = {"metadata": {"name": "few"}, "spec": {"hard": {"services": "0"}}}
    space.server.request("POST", f"/api/v1/namespaces/{space.name}/resourcequotas", quota)
    one = {"metadata": {"name": "one"}, "spec": {"ports": [{"port": 1}]}}
    eventually(lambda: "exceeded quota" in (space.would_refuse("services", one) or ""))
    space.apply(training(space))
    async with replica(space) as parts:
        await parts.worker._lister.everything()
        with pytest.raises(ApiError, match="exceeded quota"):
            await parts.reconciler.reconcile((space.name, "digits"))
    assert not space.all("services").keys() & {"digits-server"}
    assert space.find("poddisruptionbudgets", "digits-client") is not None
    assert "exceeded quota" in space.condition("Reconciling")["message"]


def foreign(plural, name):
    metadata = {"name": name}
    if plural == "deployments":
        pod = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        return {"metadata": metadata, "spec": {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": pod}}
    if plural == "secrets":
        return {"metadata": metadata, "data": {"tls.crt": base64.b64encode(b"mine").decode()}}
    return {"metadata": metadata, "data": {"policy.json": "mine"}}


def test_deletion_takes_all_but_the_root(space, tmp_path):
    space.apply(training(space))
    with operator(space, tmp_path / "op"):
        eventually(lambda: OBJECTS <= set(space.owned()))
        space.delete("federatedtrainings", "digits")
        eventually(lambda: not space.owned(), 90)
        assert space.find("secrets", "shieldwall-root-ca") is not None


async def test_a_client_that_is_taken_out_leaves_nothing_behind(space):
    space.apply(training(space, clients=4))
    async with replica(space) as parts:
        await passes(parts, space)
        assert space.find("deployments", "digits-client-c3") is not None
        space.apply(training(space, clients=3))
        await passes(parts, space)
    assert set(space.owned()) == OBJECTS


async def test_a_leaf_whose_secret_was_spoilt_is_issued_anew(space):
    space.apply(training(space))
    async with replica(space) as parts:
        await passes(parts, space)
        space.patch("secrets", "digits-tls-c0", {"data": {"tls.key": base64.b64encode(b"spoilt").decode()}})
        await passes(parts, space)
    data = space.get("secrets", "digits-tls-c0")["data"]
    assert b"PRIVATE KEY" in base64.b64decode(data["tls.key"])
    x509.load_pem_x509_certificate(base64.b64decode(data["tls.crt"]))


async def test_suspend_takes_the_pods_and_nothing_else(space):
    space.apply(training(space))
    async with replica(space) as parts:
        await passes(parts, space)
        space.apply(training(space, suspend=True))
        await passes(parts, space)
        pods = [*space.all("deployments").values(), *space.all("statefulsets").values()]
        assert {pod["spec"]["replicas"] for pod in pods} == {0}
        assert set(space.owned()) == OBJECTS


async def test_a_paused_training_is_not_touched(space):
    space.apply(training(space))
    async with replica(space) as parts:
        await passes(parts, space)
        space.patch("federatedtrainings", "digits", {"metadata": {"annotations": {"shieldwall.dev/paused": "true"}}})
        space.delete("configmaps", "digits-policy")
        await passes(parts, space)
        assert space.find("configmaps", "digits-policy") is None
        space.patch("federatedtrainings", "digits", {"metadata": {"annotations": {"shieldwall.dev/paused": None}}})
        await passes(parts, space)
        assert space.find("configmaps", "digits-policy") is not None
