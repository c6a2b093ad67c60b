"""Every series that alerts and docs name, and none of a training that has gone."""

import base64
import dataclasses
import re
from datetime import timedelta

import pytest
from cryptography import x509
from prometheus_client.parser import text_string_to_metric_families

from shieldwall import __version__
from shieldwall.contract.records import ClientStatus, Phase, StewardStatus
from shieldwall.control.api.status import PrivacyStatus
from shieldwall.control.cluster.api import Request
from shieldwall.control.metrics.phases import PHASES
from shieldwall.control.status.summarise import summarise
from shieldwall.control.steward.sight import StewardSight

from .conftest import NOW, replica, training_body

KEY = ("fed", "digits")
OF_OPERATOR = {
    "shieldwall_build_info", "shieldwall_operator_leader", "shieldwall_queue_depth", "shieldwall_queue_retries_total",
    "shieldwall_reconcile_seconds_bucket", "shieldwall_reconcile_seconds_sum", "shieldwall_reconcile_seconds_count",
    "shieldwall_api_requests_total", "shieldwall_certificates_issued_total", "shieldwall_objects_repaired_total",
}  # fmt: skip
OF_TRAINING = {
    "shieldwall_training_phase", "shieldwall_training_stalled", "shieldwall_training_score",
    "shieldwall_training_round", "shieldwall_training_rounds", "shieldwall_training_clients_ready",
    "shieldwall_training_clients_wanted", "shieldwall_training_min_replies", "shieldwall_training_clients_banned",
    "shieldwall_replies_refused_total", "shieldwall_handshake_failures_total",
    "shieldwall_certificate_not_after_timestamp_seconds", "shieldwall_certificate_renewal_timestamp_seconds",
    "shieldwall_crl_next_update_timestamp_seconds", "shieldwall_training_epsilon_spent",
    "shieldwall_training_epsilon_limit", "shieldwall_training_privacy_rounds_left",
}  # fmt: skip
STATUS = StewardStatus(
    phase=Phase.TRAINING,
    message="1 of 5 rounds is released.",
    run_id="1",
    runs_started=1,
    round=1,
    rounds=5,
    records=1,
    metrics={},
    model_sha256=None,
    clients=(ClientStatus(name="c0", online=True, admitted=1, refused=2, banned_since=7),),
    denials=(),
    handshakes={"fleet.no-certificate": 4},
)


def samples(metrics):
    text = metrics.render().decode()
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def value(metrics, name, **labels):
    found = [each.value for each in samples(metrics) if each.name == name and labels.items() <= each.labels.items()]
    assert len(found) == 1, (name, labels, found)
    return found[0]


def phase_of(metrics):
    """The one phase whose series is 1; there is a series for each."""
    found = {each.labels["phase"]: each.value for each in samples(metrics) if each.name == "shieldwall_training_phase"}
    assert found.keys() == set(PHASES)
    assert sorted(found.values()) == [0] * (len(PHASES) - 1) + [1]
    return next(phase for phase, holds in found.items() if holds)


def of_training(metrics):
    return {each.name for each in samples(metrics) if each.labels.get("training") == "digits"}


@pytest.fixture
async def parts(cluster):
    """After one pass; the steward has answered."""
    cluster.put(training_body())
    async with replica(cluster) as parts:
        await parts.worker._lister.everything()
        await parts.reconciler.reconcile(KEY)
        seen = parts.metrics._trainings.seen[KEY]
        told = dataclasses.replace(seen.sight, steward=StewardSight(NOW, STATUS, None, "ab"))
        privacy = PrivacyStatus(mode="RecordLevel", epsilonTarget=1.0, epsilonSpent=0.25, roundsLeft=12)
        scored = seen.status.model_copy(update={"round": 1, "privacy": privacy})
        parts.metrics.saw(KEY, told, scored)
        yield parts


async def test_every_metric_is_there_under_its_name(parts):
    parts.metrics.reconcile.labels("ok").observe(0.1)
    parts.metrics.requested(Request("get", "Secret", "200"))
    parts.metrics.repaired.labels("ConfigMap").inc()
    names = {each.name for each in samples(parts.metrics)}
    assert names >= OF_OPERATOR | {"shieldwall_trainings"}
    assert of_training(parts.metrics) == OF_TRAINING
    described = set(re.findall(r"^# HELP (\w+) \w", parts.metrics.render().decode(), re.MULTILINE))
    assert {re.sub("_(bucket|sum|count)$", "", name) for name in OF_OPERATOR | OF_TRAINING} <= described


async def test_alerts_name_nothing_that_is_not_there(parts, request):
    alerts = request.config.rootpath / "charts" / "shieldwall" / "files" / "alerts.yaml"
    named = set(re.findall(r"shieldwall_[a-z_]+", alerts.read_text()))
    assert len(named) > 10
    assert named <= OF_OPERATOR | OF_TRAINING | {"shieldwall_trainings", "shieldwall_privacy_budget_epsilon"}


async def test_what_they_say(parts):
    metrics = parts.metrics
    assert value(metrics, "shieldwall_training_round", namespace="fed") == 1
    assert value(metrics, "shieldwall_training_rounds") == 5
    assert value(metrics, "shieldwall_training_clients_ready") == 1
    assert value(metrics, "shieldwall_training_clients_wanted") == 1
    assert value(metrics, "shieldwall_training_clients_banned") == 1
    assert value(metrics, "shieldwall_replies_refused_total") == 2
    assert value(metrics, "shieldwall_training_epsilon_spent") == 0.25
    assert value(metrics, "shieldwall_training_epsilon_limit") == 1
    assert value(metrics, "shieldwall_training_privacy_rounds_left") == 12
    assert value(metrics, "shieldwall_handshake_failures_total", listener="fleet", cause="no-certificate") == 4
    assert value(metrics, "shieldwall_training_stalled") == 0
    assert value(metrics, "shieldwall_trainings", phase="Starting") == 1
    assert value(metrics, "shieldwall_certificate_not_after_timestamp_seconds", subject="issuer") > NOW.timestamp()
    for subject in ("server", "aggregator", "client.c0"):
        ends = value(metrics, "shieldwall_certificate_not_after_timestamp_seconds", subject=subject)
        due = value(metrics, "shieldwall_certificate_renewal_timestamp_seconds", subject=subject)
        assert NOW.timestamp() < due < ends
    assert value(metrics, "shieldwall_crl_next_update_timestamp_seconds") > NOW.timestamp()


async def test_the_roots_end_is_told_and_no_renewal_of_it(cluster, parts):
    body = next(body for path, body in cluster.objects.items() if path.endswith("/shieldwall-root-ca"))
    root = x509.load_pem_x509_certificate(base64.b64decode(body["data"]["tls.crt"]))
    name = "shieldwall_certificate_not_after_timestamp_seconds"
    assert value(parts.metrics, name, subject="root") == root.not_valid_after_utc.timestamp()
    renewed = {each.labels["subject"] for each in samples(parts.metrics) if "certificate_renewal" in each.name}
    assert renewed == {"issuer", "server", "aggregator", "client.c0"}


async def test_the_build_is_told(parts):
    assert value(parts.metrics, "shieldwall_build_info", version=__version__) == 1


def test_phases_are_words_of_their_own():
    assert len(set(PHASES)) == len(PHASES) == 8


@pytest.mark.parametrize("phase", [*Phase, "Suspended", "Unreachable"])
async def test_a_training_is_in_one_phase(parts, phase):
    """In whichever phase: the series of the others are there and 0."""
    sight = parts.metrics._trainings.seen[KEY].sight
    if phase == "Suspended":
        spec = sight.training.spec.model_copy(update={"suspend": True})
        sight = dataclasses.replace(sight, training=dataclasses.replace(sight.training, spec=spec))
    elif phase == "Unreachable":
        sight = dataclasses.replace(sight, now=NOW + timedelta(hours=1))
    else:
        status = STATUS.model_copy(update={"phase": phase})
        sight = dataclasses.replace(sight, steward=StewardSight(NOW, status, None, "ab"))
    parts.metrics.saw(KEY, sight, summarise(sight))
    assert phase_of(parts.metrics) == phase
    assert value(parts.metrics, "shieldwall_trainings", phase=phase) == 1


async def test_depth_and_retries_are_the_queues(parts):
    parts.queue.add(KEY)
    assert value(parts.metrics, "shieldwall_queue_depth") == 0, "a follower works on nothing"
    parts.metrics.leads(True)
    assert value(parts.metrics, "shieldwall_queue_depth") == 1
    parts.queue.failed(await parts.queue.get())
    assert value(parts.metrics, "shieldwall_queue_depth") == 0
    assert value(parts.metrics, "shieldwall_queue_retries_total") == 1


@pytest.mark.parametrize("seen", [True, False], ids=["on-the-watch", "by-a-list"])
async def test_all_series_of_a_training_vanish_with_it(cluster, parts, seen):
    """Also when no watch told of its end, and nothing that it owned is left either."""
    assert of_training(parts.metrics)
    body = cluster.objects[next(path for path in cluster.objects if "federatedtrainings" in path)]
    cluster.objects.clear()
    if seen:
        body["metadata"]["resourceVersion"] = "99999"
        keys = {parts.store.remove_training(body)}
    else:
        keys = await parts.worker._lister.everything()
    for key in keys:
        await parts.reconciler.reconcile(key)
    assert of_training(parts.metrics) == set()
    assert not [each for each in samples(parts.metrics) if each.name == "shieldwall_trainings"]


async def test_a_training_that_cannot_be_read_counts_as_stalled(cluster):
    body = training_body()
    body["spec"]["aggregation"] = {"rule": "FedAvg"}
    cluster.put(body)
    async with replica(cluster) as parts:
        await parts.worker._lister.everything()
        await parts.reconciler.reconcile(KEY)
        assert value(parts.metrics, "shieldwall_training_stalled") == 1
        assert phase_of(parts.metrics) == "Invalid"
        assert "shieldwall_training_clients_wanted" not in of_training(parts.metrics)
