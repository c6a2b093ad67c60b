"""What may change in a training that exists, asked of the rules that the API server evaluates."""

import copy

import pytest

from shieldwall.control.api.crd import resource_schema
from shieldwall.control.api.parse import parse_training
from shieldwall.control.api.schema import properties_at

MANAGED = {"image": "x", "clientApp": "a:c", "model": "a:m"}
WRAPPED = {"image": "x", "clientApp": "a:c", "serverApp": "a:s"}
LOCAL = {"mode": "ClientLevelLocal", "epsilon": 8.0, "delta": 0.001, "clip": 1.0}
RECORDS = {"epsilon": 1.0, "delta": 0.0001, "clip": 1.0, "records": 140, "batchSize": 32, "steps": 5}
DRAWS = RECORDS | {"budgetRef": "patients"}


def transition_rules(schema, path=()):
    """Every rule that reads the old object, with its place."""
    for rule in schema.get("x-kubernetes-validations", ()):
        if "oldSelf" in rule["rule"]:
            yield path, rule
    for name, child in schema.get("properties", {}).items():
        yield from transition_rules(child, (*path, name))


RULES = list(transition_rules(resource_schema()))


@pytest.fixture
def refused(document):
    """The fields that a change of the spec is refused for."""
    cel = pytest.importorskip("cel_expr_python.cel")
    environment = cel.NewEnv(variables={"self": cel.Type.DYN, "oldSelf": cel.Type.DYN})

    def defaulted(change):
        changed = copy.deepcopy(document)
        changed["spec"] |= change
        spec = parse_training(changed).spec
        return {"spec": spec.model_dump(mode="json", exclude_none=True)}

    def at(value, path):
        for step in path:
            value = value[step]
        return value

    def evaluate(before, after):
        old, new = defaulted(before), defaulted(after)

        def holds(path, rule):
            data = {"self": at(new, path), "oldSelf": at(old, path)}
            return environment.compile(rule["rule"]).eval(data=data).value()

        return list(dict.fromkeys(".".join(path) + rule["fieldPath"] for path, rule in RULES if not holds(path, rule)))

    return evaluate


@pytest.mark.parametrize(
    ("before", "after", "field"),
    [
        ({"storage": {"server": "1Gi"}}, {"storage": {"server": "2Gi"}}, "spec.storage.server"),
        ({}, {"storage": {"model": "6Gi"}}, "spec.storage.model"),
        ({}, {"storage": {"storageClassName": "fast"}}, "spec.storage.storageClassName"),
        ({"storage": {"storageClassName": "fast"}}, {}, "spec.storage.storageClassName"),
        (
            {"storage": {"storageClassName": "fast"}},
            {"storage": {"storageClassName": "slow"}},
            "spec.storage.storageClassName",
        ),
        ({"app": MANAGED}, {"app": WRAPPED}, "spec.app.serverApp"),
        ({"app": WRAPPED}, {"app": MANAGED}, "spec.app.serverApp"),
        ({}, {"privacy": RECORDS}, "spec.privacy"),
        ({"privacy": RECORDS}, {}, "spec.privacy"),
        ({"privacy": RECORDS}, {"privacy": {"mode": "None"}}, "spec.privacy"),
        ({"privacy": LOCAL}, {"privacy": LOCAL | {"mode": "ClientLevelCentral"}}, "spec.privacy"),
        ({}, {"privacy": DRAWS}, "spec.privacy"),
        ({"privacy": DRAWS}, {}, "spec.privacy"),
        ({"privacy": DRAWS}, {"privacy": DRAWS | {"budgetRef": "another"}}, "spec.privacy"),
    ],
)
def test_what_cannot_change_is_refused_at_its_field(refused, before, after, field):
    assert refused(before, after) == [field]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {}),
        ({}, {"storage": {"server": "1Gi", "model": "5Gi"}}),
        ({}, {"storage": {"modelDeletionPolicy": "Delete"}}),
        ({"app": MANAGED}, {"app": MANAGED | {"image": "y", "model": "b:m", "evaluate": "b:e", "config": {"a": 1}}}),
        ({"app": WRAPPED}, {"app": WRAPPED | {"serverApp": "b:s", "clientApp": "b:c"}}),
        ({}, {"suspend": True}),
        ({}, {"privacy": {"mode": "None"}}),
        ({"privacy": RECORDS}, {"privacy": RECORDS | {"mode": "RecordLevel", "epsilon": 2.0}}),
        ({"privacy": LOCAL}, {"privacy": LOCAL | {"noiseMultiplier": 99.0}}),
        ({"privacy": DRAWS}, {"privacy": DRAWS | {"epsilon": 2.0}}),
        ({}, {"rounds": {"count": 99, "timeoutSeconds": 5}}),
        ({}, {"clients": [{"name": name} for name in "abc"]}),
        ({}, {"aggregation": {"rule": "FedMedian"}, "identity": {"certificateTTL": "2h"}}),
        ({}, {"clientTemplate": {"resources": {"requests": {"cpu": 1}}}}),
    ],
)
def test_everything_else_may_change(refused, before, after):
    assert refused(before, after) == []


def test_each_rule_names_a_field_that_exists_and_says_what_to_do():
    assert {path for path, _ in RULES} == {("spec",), ("spec", "storage"), ("spec", "app")}
    for path, rule in RULES:
        assert rule["fieldPath"].removeprefix(".") in properties_at(resource_schema(), path)
        assert rule["message"].endswith(".")
        assert rule["reason"] == "FieldValueForbidden"


def test_a_section_that_was_not_given_is_no_error():
    """The API server evaluates the rules on the default {} too, before the defaults inside are filled in."""
    cel = pytest.importorskip("cel_expr_python.cel")
    environment = cel.NewEnv(variables={"self": cel.Type.DYN, "oldSelf": cel.Type.DYN})
    for _, rule in RULES:
        assert environment.compile(rule["rule"]).eval(data={"self": {}, "oldSelf": {}}).value() is True
