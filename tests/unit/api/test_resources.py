import pytest

from shieldwall.control.api.crd import resource_schema
from shieldwall.control.api.fields import QUALIFIED_NAME
from shieldwall.control.api.parse import parse_training
from shieldwall.control.api.problems import InvalidTrainingError

PODS = resource_schema()["properties"]["spec"]["properties"]["clientTemplate"]["properties"]


@pytest.fixture
def problems(document):
    """What is wrong with a client template: field → sentence."""

    def find(**template):
        document["spec"]["clientTemplate"] = template
        try:
            parse_training(document)
        except InvalidTrainingError as error:
            return {problem.field.removeprefix("spec.clientTemplate."): problem.message for problem in error.problems}
        return {}

    return find


@pytest.mark.parametrize(
    ("requests", "limits", "words"),
    [
        ({"cpu": 2}, {"cpu": 1}, "larger than its limit"),
        ({"memory": "1025Mi"}, {"memory": "1Gi"}, "larger than its limit"),
        ({"cpu": "1001m"}, {"cpu": 1, "memory": "1Gi"}, "larger than its limit"),
        ({"pods": 1}, {}, "or one of a device with its domain"),
        ({}, {"hugepages-2Mi": "2Mi"}, "or one of a device with its domain"),
        ({"requests.nvidia.com/gpu": 1}, {"requests.nvidia.com/gpu": 1}, "or one of a device with its domain"),
        ({}, {"nvidia.com/gpu": "0.5"}, "whole numbers"),
        ({}, {"nvidia.com/gpu": "1000m"}, "whole numbers"),
        ({"nvidia.com/gpu": 1}, {}, "needs the same limit"),
        ({"nvidia.com/gpu": 1}, {"nvidia.com/gpu": 2}, "needs the same limit"),
        ({"nvidia.com/gpu": 0}, {}, "needs the same limit"),
    ],
)
def test_what_no_pod_can_have_is_refused(problems, requests, limits, words):
    found = problems(resources={"requests": requests, "limits": limits})
    assert list(found) == ["resources"]
    assert words in found["resources"]


@pytest.mark.parametrize(
    ("requests", "limits"),
    [
        ({}, {}),
        ({"cpu": "0.5"}, {"memory": "1Gi"}),
        ({"cpu": "1000m", "memory": "1024Mi"}, {"cpu": 1, "memory": "1Gi"}),
        ({"ephemeral-storage": "1.5Gi"}, {"ephemeral-storage": "1.5Gi"}),
        ({}, {"nvidia.com/gpu": 1}),
        ({"nvidia.com/gpu": "1"}, {"nvidia.com/gpu": 1}),
    ],
)
def test_what_a_pod_can_have_is_taken(problems, requests, limits):
    assert problems(resources={"requests": requests, "limits": limits}) == {}


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("disk", True),
        ("topology.kubernetes.io/zone", True),
        ("a" * 63, True),
        ("a" * 64, False),
        ("a..b/c", False),
        ("a.-b/c", False),
        ("A/b", False),
        ("a/b/c", False),
        ("-a", False),
    ],
)
def test_names_are_qualified_names(problems, name, good):
    assert (problems(nodeSelector={name: "x"}) == {}) is good
    cel = pytest.importorskip("cel_expr_python.cel")
    environment = cel.NewEnv(variables={"self": cel.Type.DYN})
    (rule,) = PODS["nodeSelector"]["x-kubernetes-validations"]
    assert environment.compile(rule["rule"]).eval(data={"self": {name: "x"}}).value() is good


TOLERATIONS = [
    ({}, "give key"),
    ({"key": "gpu"}, None),
    ({"key": "gpu", "value": "yes"}, None),
    ({"operator": "Exists"}, None),
    ({"key": "gpu", "operator": "Exists", "value": ""}, None),
    ({"key": "gpu", "operator": "Exists", "value": "yes"}, "leave value out"),
    ({"key": "gpu", "tolerationSeconds": 5}, "NoExecute only"),
    ({"key": "gpu", "effect": "NoSchedule", "tolerationSeconds": 5}, "NoExecute only"),
    ({"key": "gpu", "effect": "NoExecute", "tolerationSeconds": 5}, None),
]


@pytest.mark.parametrize(("toleration", "words"), TOLERATIONS)
def test_a_toleration_makes_sense_or_is_refused(problems, toleration, words):
    found = problems(tolerations=[toleration])
    assert list(found) == ([] if words is None else ["tolerations[0]"])
    assert words is None or words in found["tolerations[0]"]


@pytest.mark.parametrize(("toleration", "words"), TOLERATIONS)
def test_the_api_server_has_the_same_opinion_of_tolerations(toleration, words):
    cel = pytest.importorskip("cel_expr_python.cel")
    environment = cel.NewEnv(variables={"self": cel.Type.DYN})
    rules = PODS["tolerations"]["items"]["x-kubernetes-validations"]
    defaulted = {"operator": "Equal"} | toleration
    broken = [
        rule["message"]
        for rule in rules
        if not environment.compile(rule["rule"]).eval(data={"self": defaulted}).value()
    ]
    assert bool(broken) is (words is not None)
    assert words is None or words in broken[0]


def test_names_are_asked_for_wherever_they_are_given():
    spec = resource_schema()["properties"]["spec"]["properties"]
    sections = spec["clientTemplate"], spec["aggregatorTemplate"], spec["clients"]["items"]
    for section in (each["properties"] for each in sections):
        resources = section["resources"]
        maps = section["nodeSelector"], resources["properties"]["requests"], resources["properties"]["limits"]
        assert all(QUALIFIED_NAME in each["x-kubernetes-validations"][0]["rule"] for each in maps)
        assert len(resources["x-kubernetes-validations"]) == 3
