"""What the operator does not touch and whom it does not trust: objects, CAs and trainings of others."""

import base64
import json
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from shieldwall.contract.identity import Federation
from shieldwall.control.api.parse import parse_training
from shieldwall.control.cluster.entries import TLS, secret
from shieldwall.control.cluster.errors import ApiError, ForeignAuthorityError, ForeignObjectError, OtherOperatorError
from shieldwall.control.cluster.kinds import CONFIG_MAP, NETWORK_POLICY
from shieldwall.control.cluster.kinds import DEPLOYMENT as DEPLOYMENT_KIND
from shieldwall.control.config import OperatorConfig
from shieldwall.control.issuing.contents import authority_files, root_files
from shieldwall.control.issuing.facts import authority_of
from shieldwall.control.issuing.randomness import Randomness
from shieldwall.control.reconcile import Outcome
from shieldwall.control.wiring import wire

from .conftest import NOW, SECRETS, TRAINING_LABEL, TRAININGS, body_of, failure, training_body

KEY = ("fed", "digits")
ROOT = "/api/v1/namespaces/ops/secrets/shieldwall-root-ca"
POLICY = "/api/v1/namespaces/fed/configmaps/digits-policy"
DEPLOYMENT = "/apis/apps/v1/namespaces/fed/deployments/digits-client-c0"
CA = f"{SECRETS}/digits-ca"
INSTALLATION = "shieldwall.dev/installation"
OWNER = {"apiVersion": "shieldwall.dev/v1alpha1", "kind": "FederatedTraining", "name": "digits", "uid": "uid-1"}
STRANGERS = {
    "another training": {**OWNER, "name": "faces", "uid": "uid-9"},
    "a Deployment of the same name": {**OWNER, "apiVersion": "apps/v1", "kind": "Deployment", "uid": "uid-9"},
}


class Clock:
    def __init__(self):
        self.time = NOW

    def __call__(self):
        return self.time


@asynccontextmanager
async def replica(cluster, clock=lambda: NOW, operator_namespace="ops"):
    config = OperatorConfig.model_validate_json(
        json.dumps({"watchNamespaces": ["fed"], "operatorNamespace": operator_namespace})
    )
    async with cluster.serving() as connection, wire(config, connection, "replica", clock=clock) as parts:
        yield parts


async def one_pass(cluster, parts):
    """The verdict of one pass after the lists, and what it wrote, but status and events."""
    await parts.worker._lister.everything()
    cluster.requests.clear()
    verdict = await parts.reconciler.reconcile(KEY)
    return verdict, writes(cluster)


def writes(cluster):
    return [
        line
        for line in cluster.requests
        if not line.startswith("GET ") and "/events" not in line and not line.endswith("/status")
    ]


def change(cluster, path, metadata=None, **content):
    """A change by somebody else; fields that are None are taken out."""
    body = cluster.objects.pop(path)
    changed = {**body["metadata"], **(metadata or {})}
    del changed["resourceVersion"]
    changed = {name: value for name, value in changed.items() if value is not None}
    cluster.put({**body, **content, "metadata": changed})


def stalled(cluster):
    conditions = cluster.objects[f"{TRAININGS}/digits"]["status"]["conditions"]
    return next(each for each in conditions if each["type"] == "Stalled")


def training():
    return parse_training(training_body())


def files_of_another_root(**more):
    random = Randomness()
    root = authority_of(root_files("another", NOW, random))
    return authority_files(root, Federation("cluster.local", *KEY), timedelta(hours=24), NOW, random, **more)


def planted(labels, annotations=None):
    """A CA with our names, made and signed by whoever may write Secrets in the namespace."""
    metadata = {"namespace": "fed", "name": "digits-ca", "uid": "planted", "labels": labels}
    metadata |= {"annotations": annotations or {}, "ownerReferences": [{**OWNER, "controller": True}]}
    return secret(metadata, files_of_another_root(), TLS)


@pytest.mark.parametrize("owner", STRANGERS.values(), ids=STRANGERS)
@pytest.mark.parametrize("path", [POLICY, DEPLOYMENT])
async def test_an_object_that_another_controls_is_not_written_whatever_it_is_called(cluster, path, owner):
    cluster.put(training_body())
    async with replica(cluster) as parts:
        await one_pass(cluster, parts)
        change(cluster, path, {"ownerReferences": [{**owner, "controller": True}]}, data={}, spec={})
        before = cluster.objects[path]
        verdict, _ = await one_pass(cluster, parts)
    assert verdict.outcome is Outcome.STALLED
    assert stalled(cluster)["reason"] == "ForeignObject"
    assert cluster.objects[path] == before


async def test_an_object_that_somebody_makes_after_we_looked_is_not_taken_by_force(cluster):
    cluster.put(training_body())

    async def conflict(request):
        return failure(409, "Conflict") if request.query["force"] == "false" else None

    cluster.faults[f"PATCH {POLICY}"] = [conflict]
    async with replica(cluster) as parts:
        await parts.worker._lister.everything()
        with pytest.raises(Exception, match="409"):
            await parts.reconciler.reconcile(KEY)
    assert POLICY not in cluster.objects


@pytest.mark.parametrize("owners", [None, *([{**each, "controller": True}] for each in STRANGERS.values())])
async def test_what_carries_our_label_and_is_not_ours_is_not_pruned(cluster, owners):
    cluster.put(training_body())
    metadata = {"namespace": "fed", "name": "digits-more", "uid": "x", "labels": {TRAINING_LABEL: "digits"}}
    cluster.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata | {"ownerReferences": owners}})
    async with replica(cluster) as parts:
        await one_pass(cluster, parts)
        assert parts.store.owned(KEY)["ConfigMap", "digits-more"]
    assert not [line for line in cluster.requests if line.startswith("DELETE")]


async def test_nothing_is_pruned_while_an_order_is_open(cluster, monkeypatch):
    """A lost certificate withholds its Deployment from the plan: that does not make the running one unwanted."""
    cluster.put(training_body())

    async def fill(*_):
        return frozenset()

    async with replica(cluster) as parts:
        await one_pass(cluster, parts)
        del cluster.objects[f"{SECRETS}/digits-tls-c0"]
        monkeypatch.setattr(parts.reconciler._maker._filler, "fill", fill)
        await one_pass(cluster, parts)
    assert not [line for line in cluster.requests if line.startswith("DELETE")]


async def test_a_ca_that_is_no_longer_ours_signs_nothing(cluster):
    cluster.put(training_body())
    async with replica(cluster) as parts:
        await one_pass(cluster, parts)
        change(cluster, CA, {"ownerReferences": [{**STRANGERS["another training"], "controller": True}]})
        with pytest.raises(ForeignObjectError, match="digits-ca"):
            await parts.reconciler._maker._vault.issuer(training())


@pytest.mark.parametrize("labels", [{}, {TRAINING_LABEL: "digits"}], ids=["unseen", "seen"])
async def test_a_ca_that_our_root_has_not_issued_is_not_adopted(cluster, labels):
    cluster.put(training_body())
    cluster.put(planted(labels))
    before = cluster.objects[CA]
    async with replica(cluster) as parts:
        for _ in range(2):
            verdict, _ = await one_pass(cluster, parts)
            assert verdict.outcome is Outcome.STALLED
        with pytest.raises(ForeignAuthorityError):
            await parts.reconciler._maker._vault.issuer(training())
    assert stalled(cluster)["reason"] == "ForeignAuthority"
    assert cluster.objects[CA] == before
    assert {path for path in cluster.objects if path.startswith(f"{SECRETS}/")} == {CA}
    assert not [path for path in cluster.objects if "/statefulsets/" in path]


async def test_a_ca_that_is_exchanged_later_signs_nothing_either(cluster):
    cluster.put(training_body())
    async with replica(cluster) as parts:
        await one_pass(cluster, parts)
        leaf = cluster.objects[f"{SECRETS}/digits-tls-c0"]
        change(cluster, CA, data=planted({})["data"])
        verdict, wrote = await one_pass(cluster, parts)
        assert (verdict.outcome, wrote) == (Outcome.STALLED, [])
    assert stalled(cluster)["reason"] == "ForeignAuthority"
    assert cluster.objects[f"{SECRETS}/digits-tls-c0"] == leaf


async def test_what_a_former_root_issued_stays_good_and_a_restart_does_not_forget_it(cluster):
    cluster.put(training_body())
    async with replica(cluster) as parts:
        await one_pass(cluster, parts)
        old = cluster.objects.pop(ROOT)
        await parts.reconciler._root.get()
        new = cluster.objects[ROOT]
        assert new["data"]["tls.crt"] != old["data"]["tls.crt"]
        assert new["data"]["former.crt"] == old["data"]["tls.crt"]
    async with replica(cluster) as parts:
        verdict, wrote = await one_pass(cluster, parts)
        assert (verdict.outcome, wrote) == (Outcome.OK, [])
        change(cluster, ROOT, data={name: text for name, text in new["data"].items() if name != "former.crt"})
    async with replica(cluster) as parts:
        verdict, _ = await one_pass(cluster, parts)
        assert verdict.outcome is Outcome.STALLED
    assert stalled(cluster)["reason"] == "ForeignAuthority"


async def test_a_root_that_was_spoilt_is_told_and_what_runs_is_looked_after(cluster):
    cluster.put(training_body())
    clock = Clock()
    async with replica(cluster, clock) as parts:
        await one_pass(cluster, parts)
        good = cluster.objects[ROOT]["data"]
        change(cluster, ROOT, data={"tls.crt": base64.b64encode(b"spoilt").decode()})
        clock.time += timedelta(seconds=59)
        await one_pass(cluster, parts)
        assert f"GET {ROOT}" not in cluster.requests, "once a minute"
        clock.time += timedelta(seconds=1)
        del cluster.objects[f"{SECRETS}/digits-tls-c0"]
        verdict, wrote = await one_pass(cluster, parts)
        assert (verdict.outcome, wrote) == (Outcome.STALLED, [f"POST {SECRETS}"])
        assert stalled(cluster)["reason"] == "UnreadableRootCA"
        change(cluster, ROOT, data=good)
        clock.time += timedelta(minutes=1)
        await one_pass(cluster, parts)
    assert stalled(cluster)["status"] == "False"


async def test_a_training_of_another_operator_is_left_to_it_and_told_once(cluster):
    cluster.put(training_body())
    async with replica(cluster) as parts:
        await one_pass(cluster, parts)
        assert cluster.objects[CA]["metadata"]["annotations"][INSTALLATION] == "ops/shieldwall-root-ca"
    status = cluster.objects[f"{TRAININGS}/digits"]["status"]
    for path in (POLICY, f"{SECRETS}/digits-superexec"):
        del cluster.objects[path]
    async with replica(cluster, operator_namespace="others") as parts:
        verdict, wrote = await one_pass(cluster, parts)
        assert (verdict.outcome, wrote) == (Outcome.STALLED, [])
        assert stalled(cluster)["reason"] == "OtherOperator"
        assert "ops/shieldwall-root-ca" in stalled(cluster)["message"]
        body = cluster.objects.pop(f"{TRAININGS}/digits")
        del body["metadata"]["resourceVersion"]
        cluster.put({**body, "status": status})  # as the other operator does
        await one_pass(cluster, parts)
        assert not [line for line in cluster.requests if not line.startswith("GET ")], "no war about the status"
        with pytest.raises(OtherOperatorError):
            await parts.reconciler._maker._vault.issuer(training())


async def test_workloads_of_strangers_are_no_reason_to_make_pods_without_their_wall(cluster):
    cluster.put(training_body())
    wall = body_of(NETWORK_POLICY, "digits", 9, training=None)
    cluster.put(wall)
    cluster.put(body_of(DEPLOYMENT_KIND, "anything", 9, uid="theirs"))
    async with replica(cluster) as parts:
        verdict, wrote = await one_pass(cluster, parts)
    assert verdict.outcome is Outcome.STALLED
    assert not [line for line in wrote if "/apps/" in line]


@pytest.mark.parametrize("there", [True, False], ids=["another", "none"])
async def test_what_took_the_place_of_an_object_since_it_was_seen_is_not_written_over(cluster, there):
    cluster.put(training_body())
    async with replica(cluster) as parts:
        await one_pass(cluster, parts)
        del cluster.objects[POLICY]
        theirs = body_of(CONFIG_MAP, "digits-policy", 99, training=None, uid="theirs", data={"their": "own"})
        if there:
            cluster.put(theirs)
        cluster.put(training_body(clients=2, version="600"))
        parts.store.put_training(cluster.objects[f"{TRAININGS}/digits"])
        with pytest.raises(ApiError, match="409"):
            await parts.reconciler.reconcile(KEY)
    assert cluster.objects.get(POLICY) == (theirs if there else None)


async def test_a_training_that_is_made_anew_under_its_name_is_not_told_that_its_objects_were_deleted(cluster):
    cluster.put(training_body())
    async with replica(cluster) as parts:
        await one_pass(cluster, parts)
        for path in [path for path in cluster.objects if "/namespaces/fed/" in path]:
            del cluster.objects[path]
        cluster.put(training_body(uid="uid-2", version="900"))
        await one_pass(cluster, parts)
    assert not [body for path, body in cluster.objects.items() if "/events/" in path and "deleted" in body["note"]]
