import json

from kubernetes.client import (
    ApiClient,
    V1ConfigMap,
    V1ExecAction,
    V1NetworkPolicyIngressRule,
    V1NetworkPolicyPeer,
    V1NetworkPolicySpec,
    V1ObjectMeta,
    V1Probe,
)

from shieldwall.control.plan.labels import metadata
from shieldwall.control.plan.render import manifest


def test_objects_are_what_the_official_client_would_send(new_training, complete):
    plan = complete(new_training(uid="u-1"))
    client = ApiClient()
    for item in plan.objects:
        sent = manifest(item)
        assert sent == client.sanitize_for_serialization(item)
        assert json.loads(json.dumps(sent)) == sent, "plain JSON"
        assert sent["kind"] == item.kind


def test_nothing_is_said_of_fields_without_a_value_and_empty_ones_stay():
    assert manifest(V1ConfigMap(kind="ConfigMap", data={})) == {"kind": "ConfigMap", "data": {}}
    assert manifest(V1NetworkPolicySpec(ingress=[], pod_selector={})) == {"ingress": [], "podSelector": {}}


def test_fields_named_as_words_of_python_have_their_own_names():
    rule, probe = V1NetworkPolicyIngressRule(), V1Probe()
    rule.var_from, probe.var_exec = [V1NetworkPolicyPeer()], V1ExecAction(command=["true"])
    assert manifest(rule) == {"from": [{}]}
    assert manifest(probe) == {"exec": {"command": ["true"]}}


def test_metadata_alone_can_be_written_out_too(new_training):
    found = manifest(metadata(new_training(uid="u-1"), "digits-ca"))
    assert found["ownerReferences"][0]["apiVersion"] == "shieldwall.dev/v1alpha1"
    assert manifest(V1ObjectMeta(name="x")) == {"name": "x"}
