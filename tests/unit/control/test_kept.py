"""A training whose spec has become invalid is kept by the one that was accepted last."""

import copy
import json
from datetime import timedelta

import pytest
from cryptography import x509

from shieldwall.control.api import parse
from shieldwall.control.cluster.entries import plain
from shieldwall.control.plan.accepted import LARGEST_SPEC, accepted_config_map, spec_text
from shieldwall.control.plan.names import Names

from .conftest import SECRETS, TRAININGS, replica, training_body
from .test_reissues import LEAF, TRUST, passes

TRAINING = f"{TRAININGS}/digits"
CORE = "/api/v1/namespaces/fed"
APPS = "/apis/apps/v1/namespaces/fed"
RECORD = f"{CORE}/configmaps/digits-policy-spec"
WALL = "/apis/networking.k8s.io/v1/namespaces/fed/networkpolicies/digits"
DEPLOYMENT = f"{APPS}/deployments/digits-client-c0"


def change(cluster, path, alter):
    """As somebody else would."""
    body = copy.deepcopy(cluster.objects.pop(path))
    del body["metadata"]["resourceVersion"]
    alter(body)
    cluster.put(body)


def invalidate(cluster, replies=99):
    """A spec that an older CRD lets through, with another client and other rounds."""

    def alter(body):
        body["metadata"]["generation"] += 1
        body["spec"]["rounds"] = {"count": 7, "minReplies": replies}
        body["spec"]["clients"] = [{"name": "c0"}, {"name": "late"}]

    change(cluster, TRAINING, alter)


def correct(cluster):
    change(cluster, TRAINING, lambda body: body["spec"].update(rounds={"count": 5}, clients=[{"name": "c0"}]))


def leaf(cluster, path=LEAF):
    return x509.load_pem_x509_certificate(plain(cluster.objects[path])["tls.crt"])


def crl(cluster):
    return x509.load_pem_x509_crl(cluster.objects[TRUST]["data"]["ca.crl"].encode())


def condition(cluster, name):
    return next(each for each in cluster.objects[TRAINING]["status"]["conditions"] if each["type"] == name)


def ends(parts, subject="server"):
    of = {"namespace": "fed", "training": "digits", "subject": subject}
    return parts.metrics.registry.get_sample_value("shieldwall_certificate_not_after_timestamp_seconds", of)


async def test_what_runs_is_kept_and_nothing_of_the_invalid_spec_is_made(cluster, clock):
    cluster.put(training_body())
    async with replica(cluster, clock) as parts:
        await passes(parts, 2)
        policy, serial, list_ = cluster.objects[f"{CORE}/configmaps/digits-policy"], leaf(cluster), crl(cluster)
        invalidate(cluster)
        del cluster.objects[WALL]
        change(cluster, DEPLOYMENT, lambda body: body["spec"].update(replicas=0))
        clock.now += timedelta(days=4)
        await passes(parts, 2)
        assert WALL in cluster.objects
        assert cluster.objects[DEPLOYMENT]["spec"]["replicas"] == 1
        assert leaf(cluster).serial_number != serial.serial_number
        assert leaf(cluster).not_valid_after_utc > clock.now
        assert crl(cluster).next_update_utc > list_.next_update_utc
        assert cluster.objects[f"{CORE}/configmaps/digits-policy"] == policy
        assert f"{SECRETS}/digits-tls-late" not in cluster.objects
        cluster.requests.clear()
        await passes(parts, 100)
        assert not [line for line in cluster.requests if not line.startswith("GET ")]


async def test_a_restarted_operator_keeps_it_too(cluster, clock):
    cluster.put(training_body())
    async with replica(cluster, clock) as parts:
        await passes(parts, 2)
    invalidate(cluster)
    async with replica(cluster, clock) as parts:
        await passes(parts, 2)
        first = leaf(cluster).serial_number
        assert ends(parts) == leaf(cluster, f"{SECRETS}/digits-server-tls").not_valid_after_utc.timestamp()
    del cluster.objects[WALL]
    record = cluster.objects[RECORD]["data"]
    clock.now += timedelta(hours=20)
    async with replica(cluster, clock) as parts:
        await passes(parts, 2)
        assert leaf(cluster).serial_number != first
        assert WALL in cluster.objects
        assert ends(parts) > clock.now.timestamp()
        del cluster.objects[RECORD]
        await passes(parts, 2)
        assert cluster.objects[RECORD]["data"] == record
        cluster.requests.clear()
        await passes(parts, 3)
        assert not [line for line in cluster.requests if not line.startswith("GET ")]


async def test_status_says_what_is_wrong_and_what_is_kept(cluster, clock):
    cluster.put(training_body())
    async with replica(cluster, clock) as parts:
        await passes(parts, 2)
        invalidate(cluster)
        await passes(parts, 2)
        status = cluster.objects[TRAINING]["status"]
        assert (status["phase"], status["observedGeneration"]) == ("Invalid", 2)
        stalled = condition(cluster, "Stalled")
        assert (stalled["status"], stalled["reason"]) == ("True", "InvalidSpec")
        assert "spec.rounds.minReplies" in stalled["message"]
        assert "certificates are renewed" in condition(cluster, "Reconciling")["message"]
        assert condition(cluster, "Certificates")["reason"] == "NotObserved"
        assert {each["subject"] for each in status["pki"]["certificates"]} == {"server", "aggregator", "client/c0"}
        correct(cluster)
        await passes(parts, 2)
    assert condition(cluster, "Stalled")["status"] == "False"
    assert cluster.objects[TRAINING]["status"]["phase"] != "Invalid"


async def test_a_request_for_renewal_is_carried_out(cluster, clock):
    cluster.put(training_body())
    async with replica(cluster, clock) as parts:
        await passes(parts, 2)
        invalidate(cluster)
        before = leaf(cluster).serial_number
        asked = {"renew.shieldwall.dev/client.c0": "n", "renew.shieldwall.dev/client.late": "n"}
        change(cluster, TRAINING, lambda body: body["metadata"].update(annotations=asked))
        await passes(parts, 2)
    assert leaf(cluster).serial_number != before
    assert "client.late" in condition(cluster, "Certificates")["message"]


async def test_a_pause_is_kept_to(cluster, clock):
    cluster.put(training_body())
    async with replica(cluster, clock) as parts:
        await passes(parts, 2)
        invalidate(cluster)
        paused = {"shieldwall.dev/paused": "true"}
        change(cluster, TRAINING, lambda body: body["metadata"].update(annotations=paused))
        del cluster.objects[WALL]
        await passes(parts, 2)
        assert WALL not in cluster.objects
        assert condition(cluster, "Stalled")["reason"] == "InvalidSpec"
        assert cluster.objects[TRAINING]["status"]["observedGeneration"] == 2


async def test_a_spec_that_was_valid_in_a_pause_only_was_never_accepted(cluster, clock):
    cluster.put(training_body())
    async with replica(cluster, clock) as parts:
        await passes(parts, 2)
        before = cluster.objects[f"{CORE}/configmaps/digits-policy"]
        paused = {"shieldwall.dev/paused": "true"}
        change(cluster, TRAINING, lambda body: body["metadata"].update(annotations=paused))
        change(cluster, TRAINING, lambda body: body["spec"]["rounds"].update(count=6))
        await passes(parts, 2)
        invalidate(cluster)
        change(cluster, TRAINING, lambda body: body["metadata"].update(annotations={}))
        await passes(parts, 2)
    assert cluster.objects[f"{CORE}/configmaps/digits-policy"] == before


async def test_a_training_that_was_never_valid_makes_nothing(cluster, clock):
    cluster.put(training_body())
    invalidate(cluster)
    async with replica(cluster, clock) as parts:
        await passes(parts, 3)
        assert condition(cluster, "Stalled")["reason"] == "InvalidSpec"
        assert ends(parts) is None
    made = {line for line in cluster.requests if not line.startswith("GET ")}
    assert {line for line in made if "/events" not in line} == {f"PATCH {TRAINING}/status"}


def widen(body):
    spec = json.loads(body["data"]["spec.json"])
    spec["app"]["image"] = "example/evil:1"
    body["data"]["spec.json"] = json.dumps(spec)


def spoil(body):
    body["data"]["spec.json"] = "[" * 100_000


@pytest.mark.parametrize("tamper", [widen, spoil])
async def test_a_record_that_somebody_changed_is_not_gone_by(cluster, clock, tamper):
    cluster.put(training_body())
    async with replica(cluster, clock) as parts:
        await passes(parts, 2)
    invalidate(cluster)
    change(cluster, RECORD, tamper)
    async with replica(cluster, clock) as parts:
        cluster.requests.clear()
        await passes(parts, 3)
        assert "no accepted spec is known" in condition(cluster, "Reconciling")["message"]
        assert condition(cluster, "Certificates")["reason"] == "InvalidSpec"
        server = leaf(cluster, f"{SECRETS}/digits-server-tls")
        assert ends(parts) == server.not_valid_after_utc.timestamp(), "it ends all the same"
        assert ends(parts, "client.c0") is not None
        assert ends(parts, "issuer") is not None
    written = {line for line in cluster.requests if not line.startswith("GET ") and "/events" not in line}
    assert written == {f"PATCH {TRAINING}/status"}


async def test_a_record_changed_while_the_operator_runs_is_set_right(cluster, clock):
    cluster.put(training_body())
    async with replica(cluster, clock) as parts:
        await passes(parts, 2)
        before = cluster.objects[RECORD]["data"]
        invalidate(cluster)
        change(cluster, RECORD, widen)
        await passes(parts)
        assert cluster.objects[RECORD]["data"] == before
        del cluster.objects[RECORD]
        await passes(parts)
        assert cluster.objects[RECORD]["data"] == before
    assert cluster.objects[DEPLOYMENT]["spec"]["template"]["spec"]["containers"][-1]["image"] == "example/digits:1"


async def test_a_record_of_another_training_of_the_same_name_is_nothing(cluster, clock):
    cluster.put(training_body())
    async with replica(cluster, clock) as parts:
        await passes(parts, 2)
    change(cluster, TRAINING, lambda body: body["metadata"].update(uid="uid-2"))
    invalidate(cluster)
    async with replica(cluster, clock) as parts:
        cluster.requests.clear()
        await passes(parts, 2)
    written = {line for line in cluster.requests if not line.startswith("GET ") and "/events" not in line}
    assert written == {f"PATCH {TRAINING}/status"}


async def test_by_a_spec_that_todays_rules_would_refuse_the_wall_is_kept_up_and_no_pod_touched(
    cluster, clock, monkeypatch
):
    with monkeypatch.context() as earlier:
        earlier.setattr(parse, "RULES", ())
        body = training_body()
        body["spec"]["rounds"]["minReplies"] = 99
        cluster.put(body)
        async with replica(cluster, clock) as parts:
            await passes(parts, 2)
    first = leaf(cluster).serial_number
    del cluster.objects[WALL]
    change(cluster, DEPLOYMENT, lambda body: body["spec"]["template"]["spec"]["containers"][0].update(image="older"))
    standing = {path: cluster.objects[path] for path in (DEPLOYMENT, RECORD, f"{CORE}/configmaps/digits-policy")}
    clock.now += timedelta(days=4)
    async with replica(cluster, clock) as parts:
        await passes(parts, 2)
        assert condition(cluster, "Stalled")["reason"] == "InvalidSpec"
        assert leaf(cluster).serial_number != first
        assert crl(cluster).next_update_utc > clock.now + timedelta(days=3)
        assert WALL in cluster.objects
        assert {path: cluster.objects[path] for path in standing} == standing
        cluster.requests.clear()
        await passes(parts, 3)
        assert not [line for line in cluster.requests if not line.startswith("GET ")]


async def test_a_spec_of_which_no_plan_can_be_made_any_more_is_refused_and_not_retried(cluster, clock, monkeypatch):
    cluster.put(training_body())
    async with replica(cluster, clock) as parts:
        await passes(parts, 2)
        invalidate(cluster)

        def unplannable(*_):
            raise ValueError("no such rule")

        monkeypatch.setattr(parts.reconciler._planner, "plan", unplannable)
        await passes(parts, 2)
    assert "no accepted spec is known" in condition(cluster, "Reconciling")["message"]


async def test_what_else_holds_it_up_is_told_besides(cluster, clock):
    cluster.put(training_body())
    async with replica(cluster, clock) as parts:
        await passes(parts, 2)
        invalidate(cluster)
        change(cluster, f"{CORE}/services/digits-server", lambda body: body["metadata"].pop("ownerReferences"))
        await passes(parts, 2)
    stalled = condition(cluster, "Stalled")
    assert stalled["reason"] == "InvalidSpec"
    assert "Besides, ForeignObject: Service digits-server" in stalled["message"]


def test_a_spec_too_large_for_a_config_map_is_not_recorded():
    training = parse.parse_training(training_body())
    text = spec_text(training.spec)
    assert accepted_config_map(training, Names("digits"), text).data == {"spec.json": text}
    assert accepted_config_map(training, Names("digits"), "x" * (LARGEST_SPEC + 1)) is None
