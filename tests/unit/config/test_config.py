import dataclasses

import pytest

from shieldwall.control.config import InvalidConfigError, OperatorConfig
from shieldwall.control.plan import PlanSettings
from shieldwall.control.plan.settings import ContainerResources, DnsPeer

SIZE = {"cpu": "1", "memory": "1Gi", "memoryLimit": "2Gi"}
CONTAINERS = ("proxy", "superlink", "steward", "supernode", "init", "user")


def problems(document):
    with pytest.raises(InvalidConfigError) as caught:
        OperatorConfig.parse(document)
    return {problem.field: problem.message for problem in caught.value.problems}


@pytest.mark.parametrize("document", [{}, None, {"dns": None}])
def test_nothing_written_means_the_defaults(document):
    config = OperatorConfig.parse(document)
    assert config.plan_settings() == PlanSettings()
    assert config.watch_namespaces == ()
    assert (config.workers, config.requests_in_flight) == (16, 16)
    assert (config.relist_seconds, config.metrics_port) == (480, 8080)
    election = config.leader_election
    assert election.enabled
    times = (election.lease_duration_seconds, election.renew_deadline_seconds, election.retry_period_seconds)
    assert times == (15, 10, 2)


def test_every_setting_of_the_plan_comes_from_the_file():
    labels = {"team": "ml"}
    config = OperatorConfig.parse(
        {
            "operatorNamespace": "walls",
            "operatorLabels": labels,
            "trustDomain": "fed.example",
            "clusterDomain": "cluster.example",
            "runtimeImage": {"name": "mirror.example/runtime:2", "pullPolicy": "Always", "pullSecrets": ["pull"]},
            "monitoringNamespaceLabels": labels,
            "dns": {"namespaceLabels": labels, "podLabels": labels, "cidrs": ["169.254.20.10/32", "fd00::10/128"]},
            "resources": dict.fromkeys(CONTAINERS, SIZE),
        }
    )
    size = ContainerResources("1", "1Gi", "2Gi")
    wanted = PlanSettings(
        operator_namespace="walls",
        operator_labels=labels,
        trust_domain="fed.example",
        cluster_domain="cluster.example",
        runtime_image="mirror.example/runtime:2",
        runtime_image_pull_policy="Always",
        image_pull_secrets=("pull",),
        monitoring_namespace_labels=labels,
        dns=DnsPeer(labels, labels, ("169.254.20.10/32", "fd00::10/128")),
        proxy_resources=size,
        superlink_resources=size,
        steward_resources=size,
        supernode_resources=size,
        init_resources=size,
        user_resources=size,
    )
    assert config.plan_settings() == wanted
    default = dataclasses.asdict(PlanSettings())
    same = {name for name, value in dataclasses.asdict(wanted).items() if value == default[name]}
    assert not same, "this test does not see where these come from"


@pytest.mark.parametrize(
    ("document", "field", "words"),
    [
        ({"workrs": 1}, "workrs", "Did you mean workers?"),
        ({"metrics-port": 1}, "metrics-port", "Did you mean metricsPort?"),
        pytest.param({"x" * 99: 1}, f"['{'x' * 55}...']", "no such field", id="a long name is cut"),
        ({"workers": "8"}, "workers", "Must be a whole number"),
        ({"workers": 0}, "workers", "at least 1"),
        ({"metricsPort": 65536}, "metricsPort", "at most 65535"),
        ({"logLevel": "INFO"}, "logLevel", "Did you mean info?"),
        ({"watchNamespaces": ["fed", "Fed"]}, "watchNamespaces[1]", "lower-case"),
        ({"operatorLabels": {}}, "operatorLabels", "at least 1"),
        ({"dns": {"podLabels": {}}}, "dns.podLabels", "at least 1"),
        ({"monitoringNamespaceLabels": {}}, "monitoringNamespaceLabels", "at least 1"),
        ({"operatorLabels": {"a b": "x"}}, "operatorLabels['a b']", "qualified name"),
        ({"dns": {"cidrs": ["10.0.0.0/8", "10.0.0.1/8"]}}, "dns.cidrs[1]", "Must be a network"),
        ({"runtimeImage": {"name": "two words"}}, "runtimeImage.name", "container image"),
        ({"resources": {"proxy": SIZE | {"memoryLimit": "512Mi"}}}, "resources.proxy.memoryLimit", "at least memory"),
        ({"resources": {"proxy": {"cpu": "1"}}}, "resources.proxy.memoryLimit", "required"),
        ({"leaderElection": {"leaseDurationSeconds": 5}}, "leaderElection.renewDeadlineSeconds", "less than"),
        ({"leaderElection": {"renewDeadlineSeconds": 15}}, "leaderElection.renewDeadlineSeconds", "less than"),
        ({"leaderElection": {"renewDeadlineSeconds": 2}}, "leaderElection.retryPeriodSeconds", "less than"),
        ({"rootSecret": float("nan")}, "rootSecret", "finite"),
        ([], "", "a map of fields"),
    ],
)
def test_what_is_wrong_is_said_with_its_field(document, field, words):
    assert words in problems(document)[field]


def test_everything_that_is_wrong_is_said_at_once():
    assert list(problems({"workers": 0, "logFormat": "xml", "dns": {"cidrs": ["x"]}})) == [
        "dns.cidrs[0]", "logFormat", "workers",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"workers: 1\nworkers: 2\n", "Line 2: found duplicate key"),
        (b"workers: {", "Line 1"),
        (b"\xff", "not UTF-8"),
        (b"when: 2026-02-31\n", "not YAML"),
        (b"workers: 0\n", "workers: Must be at least 1"),
    ],
)
def test_a_bad_file_is_named(tmp_path, content, words):
    path = tmp_path / "operator.yaml"
    path.write_bytes(content)
    with pytest.raises(InvalidConfigError) as caught:
        OperatorConfig.read(path)
    assert caught.value.path == path
    assert str(path) in str(caught.value)
    assert words in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InvalidConfigError, match="No such file"):
        OperatorConfig.read(tmp_path / "none.yaml")
    empty = tmp_path / "empty.yaml"
    empty.touch()
    assert OperatorConfig.read(empty) == OperatorConfig.parse({})
