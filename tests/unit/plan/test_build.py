import dataclasses
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kubernetes.client import V1ConfigMap, V1Deployment, V1PodDisruptionBudget, V1StatefulSet

from shieldwall.contract.policy import Mode, PreAggregation, Rule, RuntimePolicy, TooFewReplies
from shieldwall.control.plan import PlanSettings, build_plan
from shieldwall.control.plan.orders import Observed
from shieldwall.control.plan.render import manifest

SETTINGS = PlanSettings()
HASH = "shieldwall.dev/policy-hash"


def names(plan, *kinds):
    return [item.metadata.name for item in plan.objects if not kinds or isinstance(item, kinds)]


def policies(plan):
    """ConfigMap → RuntimePolicy."""
    maps = (item for item in plan.objects if isinstance(item, V1ConfigMap))
    return {
        item.metadata.name: RuntimePolicy.from_json(item.data["policy.json"])
        for item in maps
        if "policy.json" in item.data
    }


def hashes(plan):
    pods = (item for item in plan.objects if isinstance(item, V1StatefulSet | V1Deployment))
    return {item.metadata.name: item.spec.template.metadata.annotations[HASH] for item in pods}


def as_bytes(plan):
    return json.dumps([manifest(item) for item in plan.objects], sort_keys=False)


ALL_PODS = [
    "digits-server",
    "digits-aggregator",
    "digits-client-site-0",
    "digits-client-site-1",
    "digits-client-site-2",
]


@pytest.mark.parametrize(
    ("missing", "withheld"),
    [
        ({}, []),
        ({"trust": None}, ["digits-trust", *ALL_PODS]),
        ({"shared_secrets": frozenset()}, ["digits-server", "digits-aggregator"]),
        ({"node_keys": ["site-1"]}, ["digits-policy", "digits-server", "digits-aggregator", "digits-client-site-1"]),
        ({"leaves": ["digits-tls-site-2"]}, ["digits-client-site-2"]),
        ({"leaves": ["digits-server-tls"]}, ["digits-server"]),
        ({"leaves": ["digits-aggregator-tls"]}, ["digits-aggregator"]),
    ],
)
def test_an_object_waits_for_what_it_mounts(new_training, shell, now, missing, withheld):
    training = new_training()
    observed = shell.settle(training)
    everything = names(build_plan(training, observed, SETTINGS, now), V1ConfigMap, V1StatefulSet, V1Deployment)
    for field, value in missing.items():
        rest = value
        if isinstance(value, list):
            rest = {key: each for key, each in getattr(observed, field).items() if key not in value}
        observed = dataclasses.replace(observed, **{field: rest})
    found = names(build_plan(training, observed, SETTINGS, now), V1ConfigMap, V1StatefulSet, V1Deployment)
    assert [name for name in everything if name not in found] == withheld


def test_what_closes_comes_before_what_runs(new_training, complete):
    kinds = [item.kind for item in complete(new_training()).objects]
    assert kinds.index("NetworkPolicy") < kinds.index("ConfigMap") < kinds.index("StatefulSet")
    assert kinds[-5:] == ["StatefulSet", "StatefulSet", "Deployment", "Deployment", "Deployment"]
    assert names(complete(new_training()))[-5:] == ALL_PODS


def test_every_object_belongs_to_its_training(new_training, complete):
    for item in complete(new_training(uid="u-1")).objects:
        (owner,) = item.metadata.owner_references
        assert (owner.kind, owner.name, owner.uid, owner.controller) == ("FederatedTraining", "digits", "u-1", True)
        assert owner.block_owner_deletion is True
        assert item.metadata.namespace == "fed"
        assert item.metadata.labels["shieldwall.dev/training"] == "digits"
        assert item.metadata.labels["app.kubernetes.io/managed-by"] == "shieldwall"
    assert all(item.metadata.owner_references is None for item in complete(new_training()).objects)


def test_the_policy_says_what_the_training_says(new_training, complete):
    training = new_training(
        {
            "rounds": {
                "count": 7,
                "fractionTrain": 0.5,
                "timeoutSeconds": 9,
                "graceSeconds": 4,
                "onTooFewReplies": "Skip",
            },
            "aggregation": {"rule": "MultiKrum", "byzantine": 2, "select": 3, "maxNorm": 2.0, "rejectNorm": 50.0},
        },
        clients=10,
        uid="u-1",
    )
    policy = policies(complete(training))["digits-policy"]
    assert policy.federation.model_dump() == {
        "uid": "u-1", "trust_domain": "cluster.local", "namespace": "fed", "name": "digits",
    }  # fmt: skip
    assert policy.rounds.model_dump() == {
        "count": 7, "fraction_train": 0.5, "min_replies": 7, "timeout_seconds": 9, "grace_seconds": 4,
        "on_too_few_replies": TooFewReplies.SKIP,
    }  # fmt: skip
    assert policy.aggregation.model_dump() == {
        "rule": Rule.MULTI_KRUM, "byzantine": 2, "beta": None, "select": 3, "max_norm": 2.0, "reject_norm": 50.0,
        "pre_aggregation": None, "bucket_size": None,
    }  # fmt: skip
    assert policy.require_signatures is True
    assert policy.app.mode is Mode.MANAGED
    assert {client.name: client.node_public_key for client in policy.clients} == {
        f"site-{n}": f"key of site-{n}\n" for n in range(10)
    }


def test_the_policy_says_what_comes_before_the_rule(new_training, complete):
    training = new_training({"aggregation": {"preAggregation": "Bucketing", "bucketSize": 3}}, clients=10)
    aggregation = policies(complete(training))["digits-policy"].aggregation
    assert (aggregation.pre_aggregation, aggregation.bucket_size) == (PreAggregation.BUCKETING, 3)


@pytest.mark.parametrize(
    ("spec", "before"),
    [
        ({}, PreAggregation.NEAREST_NEIGHBOR_MIXING),
        ({"aggregation": {"rule": "FedTrimmedAvg"}}, PreAggregation.NEAREST_NEIGHBOR_MIXING),
        ({"aggregation": {"preAggregation": "None"}}, None),
        ({"aggregation": {"rule": "FedMedian"}}, None),
        ({"aggregation": {"rule": "FedMedian", "preAggregation": "Bucketing"}}, PreAggregation.BUCKETING),
        ({"aggregation": {"rule": "FedAvg", "insecure": True}}, None),
        ({"aggregation": {"rule": "FedAvg", "insecure": True, "preAggregation": "None"}}, None),
    ],
)
def test_updates_are_mixed_before_the_trimmed_mean_unless_something_else_is_said(new_training, complete, spec, before):
    assert policies(complete(new_training(spec, clients=7)))["digits-policy"].aggregation.pre_aggregation is before


def test_a_wrapped_app_runs_its_own_server_app(new_training, complete):
    app = {"image": "x", "clientApp": "a:c", "serverApp": "a:s"}
    assert policies(complete(new_training({"app": app})))["digits-policy"].app.mode is Mode.WRAPPED


def test_fed_avg_tolerates_nobody(new_training, complete):
    training = new_training({"aggregation": {"rule": "FedAvg", "insecure": True}})
    assert policies(complete(training))["digits-policy"].aggregation.byzantine == 0


def test_client_pods_learn_nothing_about_other_clients(new_training, complete):
    plan = complete(new_training())
    assert policies(plan)["digits-client-policy"].clients == ()
    for item in plan.objects:
        if isinstance(item, V1Deployment):
            text = json.dumps(manifest(item))
            others = {f"site-{n}" for n in range(3)} - {item.metadata.labels["shieldwall.dev/client"]}
            assert not any(other in text for other in others)
            assert "digits-policy" not in text


def test_pods_start_again_only_for_changes_that_concern_them(new_training, shell, now):
    observed = shell.settle(new_training(clients=4))
    before = hashes(build_plan(new_training(), observed, SETTINGS, now))

    def changed(training):
        after = hashes(build_plan(training, observed, SETTINGS, now))
        return {name for name, value in before.items() if after[name] != value}

    control = {"digits-server", "digits-aggregator"}
    assert changed(new_training()) == set()
    assert changed(new_training(clients=4)) == control
    assert changed(new_training({"rounds": {"count": 31}})) == control
    assert changed(new_training({"aggregation": {"byzantine": 0}})) == control
    assert changed(new_training({"app": {"image": "x", "clientApp": "digits.app:other", "model": "a:m"}})) == set(
        before
    )
    assert changed(new_training({"storage": {"model": "9Gi"}})) == set()


def test_the_order_of_a_maps_keys_changes_nothing(new_training, complete):
    app = {"image": "x", "clientApp": "a:c", "model": "a:m"}
    one = new_training({"app": app | {"config": {"a": 1, "b": 2}}})
    other = new_training({"app": app | {"config": {"b": 2, "a": 1}}})
    assert policies(complete(one)) == policies(complete(other))
    assert hashes(complete(one)) == hashes(complete(other))


@pytest.mark.parametrize(("rounds", "spare"), [({}, 1), ({"minReplies": 3}, 7), ({"minReplies": 10}, 1)])
def test_a_drain_takes_no_more_clients_than_a_round_can_do_without(new_training, complete, rounds, spare):
    plan = complete(new_training({"rounds": {"count": 1} | rounds}, clients=10))
    (budget,) = (item for item in plan.objects if isinstance(item, V1PodDisruptionBudget))
    assert budget.spec.max_unavailable == spare
    assert budget.spec.selector.match_labels["app.kubernetes.io/component"] == "client"


@given(clients=st.integers(3, 12), count=st.integers(1, 100), wrapped=st.booleans(), uid=st.none() | st.just("u-1"))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_plans_are_deterministic_and_grow_by_one_pod_a_client(  # noqa: PLR0913, PLR0917  # drawn and fixtures
    new_training, shell, now, clients, count, wrapped, uid
):
    app = {"image": "x", "clientApp": "a:c"} | ({"serverApp": "a:s"} if wrapped else {"model": "a:m"})
    training = new_training({"app": app, "rounds": {"count": count}}, clients=clients, uid=uid)
    observed = shell.settle(training)
    plan = build_plan(training, observed, SETTINGS, now)
    assert plan.complete
    assert as_bytes(plan) == as_bytes(build_plan(training, observed, SETTINGS, now))
    assert len(names(plan, V1Deployment)) == clients
    assert len(names(plan, V1StatefulSet)) == 2
    assert len(set(names(plan, V1Deployment))) == clients
    assert all(len(name) <= 63 for name in names(plan))
    assert not build_plan(training, Observed(), SETTINGS, now).complete


def test_the_largest_training_is_planned(new_training, shell, now):
    training = new_training(clients=500)
    plan = build_plan(training, shell.settle(training), SETTINGS, now)
    assert len(names(plan, V1Deployment)) == 500
