"""What somebody else did to an object leaves a trace: an event, a number and a line in the log."""

import copy

import pytest

from .conftest import NOW, TRAININGS, replica, training_body
from .test_reissues import TRUST, passes, told

POLICY = "/apis/networking.k8s.io/v1/namespaces/fed/networkpolicies/digits-server"
SERVICE = "/api/v1/namespaces/fed/services/digits-server"


def repairs(parts, kind):
    return parts.metrics.registry.get_sample_value("shieldwall_objects_repaired_total", {"kind": kind}) or 0


@pytest.mark.parametrize(("path", "kind"), [(POLICY, "NetworkPolicy"), (SERVICE, "Service"), (TRUST, "ConfigMap")])
async def test_an_object_that_was_deleted_is_made_anew_and_told(cluster, caplog, path, kind):
    cluster.put(training_body())
    async with replica(cluster) as parts:
        await passes(parts, 2)
        assert told(cluster, "DriftRepaired") == []
        del cluster.objects[path]
        await passes(parts, 2)
        assert path in cluster.objects
        assert repairs(parts, kind) == 1
    (event,) = told(cluster, "DriftRepaired")
    name = path.rpartition("/")[2]
    assert (event["type"], event["note"]) == ("Warning", f"{kind} {name} was deleted, and was set right.")
    assert f"{name} was deleted" in caplog.text


async def test_a_field_that_was_changed_is_named(cluster):
    cluster.put(training_body())
    async with replica(cluster) as parts:
        await passes(parts, 2)
        body = copy.deepcopy(cluster.objects.pop(SERVICE))
        del body["metadata"]["resourceVersion"]
        body["spec"]["type"] = "ExternalName"
        cluster.put(body)
        await passes(parts)
        assert cluster.objects[SERVICE]["spec"]["type"] != "ExternalName"
        assert repairs(parts, "Service") == 1
    (event,) = told(cluster, "DriftRepaired")
    assert "was changed (spec.type" in event["note"]


EXTERNAL = {"f:spec": {"f:externalName": {}}}


@pytest.mark.parametrize(
    ("managed", "what"),
    [
        ([{"manager": "shieldwall", "operation": "Apply", "fieldsV1": EXTERNAL}], "spec.externalName"),
        ([{"manager": "shieldwall", "operation": "Update", "fieldsV1": EXTERNAL}], "managedFields"),
        ([], "managedFields"),
    ],
    ids=["as the operator", "as the operator and without its own", "as nobody"],
)
async def test_a_field_that_was_added_under_our_name_or_nobodys_is_taken_back(cluster, managed, what):
    cluster.put(training_body())
    async with replica(cluster) as parts:
        await passes(parts, 2)
        body = copy.deepcopy(cluster.objects.pop(SERVICE))
        del body["metadata"]["resourceVersion"]
        body["spec"]["externalName"] = "example.org"
        body["metadata"]["managedFields"] = managed
        cluster.put(body)
        await passes(parts)
        assert "externalName" not in cluster.objects[SERVICE]["spec"]
        assert repairs(parts, "Service") == 1
    (event,) = told(cluster, "DriftRepaired")
    assert f"was changed ({what})" in event["note"]


async def test_who_changes_the_hash_too_is_told_all_the_same(cluster):
    cluster.put(training_body())
    async with replica(cluster) as parts:
        await passes(parts, 2)
        body = copy.deepcopy(cluster.objects.pop(SERVICE))
        del body["metadata"]["resourceVersion"]
        body["spec"]["type"] = "ExternalName"
        body["metadata"]["annotations"]["shieldwall.dev/manifest-hash"] = "0123456789abcdef"
        cluster.put(body)
        await passes(parts)
        assert repairs(parts, "Service") == 1
    assert len(told(cluster, "DriftRepaired")) == 1


async def test_a_spec_that_people_changed_is_no_drift(cluster):
    cluster.put(training_body())
    async with replica(cluster) as parts:
        await passes(parts, 2)
        body = copy.deepcopy(cluster.objects.pop(f"{TRAININGS}/digits"))
        del body["metadata"]["resourceVersion"]
        body["metadata"]["generation"] = 2
        body["spec"]["rounds"]["count"] = 77
        cluster.put(body)
        await passes(parts)
        assert repairs(parts, "ConfigMap") == 0
    assert told(cluster, "DriftRepaired") == []


async def test_certificates_of_a_training_that_cannot_be_read_any_more_still_end(cluster):
    cluster.put(training_body())
    ends = "shieldwall_certificate_not_after_timestamp_seconds"
    of = {"namespace": "fed", "training": "digits", "subject": "server"}
    async with replica(cluster) as parts:
        await passes(parts, 2)
        before = parts.metrics.registry.get_sample_value(ends, of)
        body = copy.deepcopy(cluster.objects.pop(f"{TRAININGS}/digits"))
        del body["metadata"]["resourceVersion"]
        body["spec"]["rounds"]["minReplies"] = 99
        cluster.put(body)
        await passes(parts, 2)
        assert parts.metrics.registry.get_sample_value(ends, of) == before > NOW.timestamp()
    assert cluster.objects[f"{TRAININGS}/digits"]["status"]["phase"] == "Invalid"
