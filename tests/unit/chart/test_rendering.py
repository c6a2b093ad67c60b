"""What the chart makes of its values."""

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from shieldwall.control.cluster.kinds import OURS, OWNED
from shieldwall.control.config import OperatorConfig

pytestmark = pytest.mark.slow

CI = Path(__file__).parents[3] / "charts" / "shieldwall" / "ci"
MATRIX = sorted(CI.glob("*-values.yaml"))
EACH = pytest.mark.parametrize("file", MATRIX, ids=[file.name.removesuffix("-values.yaml") for file in MATRIX])
BASIC = {"get", "list", "watch", "create", "patch", "update", "delete"}


def load(file):
    return YAML(typ="safe").load(file) or {}


def pods(objects):
    for each in objects:
        if each["kind"] == "Deployment":
            yield each["spec"]["template"]["spec"]
        elif each["kind"] == "Pod":
            yield each["spec"]


def config(objects):
    return OperatorConfig.parse(YAML(typ="safe").load(objects.one("ConfigMap")["data"]["operator.yaml"]))


def rights(role):
    """(group, resource, verb, name) of every right; name is empty for all."""
    return {
        (group, resource, verb, name)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }


LEASE = {
    ("coordination.k8s.io", "leases", "create", ""),
    ("coordination.k8s.io", "leases", "get", "sw-shieldwall"),
    ("coordination.k8s.io", "leases", "update", "sw-shieldwall"),
}


def operators(objects, kind):
    """The rights of all roles of a kind that are the operator's, not people's."""
    roles = [role for role in objects.all(kind) if not role["metadata"]["name"].endswith(("-edit", "-view"))]
    return set().union(*(rights(role) for role in roles))


@EACH
def test_every_object_decodes_strictly_and_is_made_once(file, render, decode):
    objects = render(load(file))
    for each in objects:
        decode(each)
    names = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in objects]
    assert len(set(names)) == len(names)


@EACH
def test_every_pod_is_restricted(file, render):
    for pod in pods(render(load(file))):
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(pod)
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert all(set(volume) <= {"name", "configMap", "emptyDir"} for volume in pod["volumes"])
        for container in pod["containers"] + pod.get("initContainers", []):
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert security["readOnlyRootFilesystem"]
            assert security["runAsNonRoot"]
            assert security["privileged"] is False
            assert container["resources"]["limits"]["memory"]


@EACH
def test_the_operator_can_read_the_file_it_is_given(file, render):
    objects = render(load(file))
    pod = objects.one("Deployment")["spec"]["template"]
    settings = config(objects)
    assert settings.operator_namespace == objects.one("Deployment")["metadata"]["namespace"]
    assert settings.operator_labels.items() <= pod["metadata"]["labels"].items()
    assert settings.operator_labels["app.kubernetes.io/component"] == "operator"
    (container,) = pod["spec"]["containers"]
    assert container["command"] + container["args"] == [
        "shieldwall-operator", "--config", "/etc/shieldwall/operator.yaml",
    ]  # fmt: skip
    assert container["ports"] == [{"name": "metrics", "containerPort": settings.metrics_port, "protocol": "TCP"}]


def test_the_defaults_of_the_chart_are_those_of_the_operator(render):
    settings, plain = config(render()), OperatorConfig.parse({})
    own = {"operator_namespace", "operator_labels", "leader_election"}
    for field in set(OperatorConfig.model_fields) - own:
        assert getattr(settings, field) == getattr(plain, field), field
    assert settings.leader_election.model_copy(update={"lease_name": ""}) == plain.leader_election.model_copy(
        update={"lease_name": ""}
    )


def test_what_the_values_say_reaches_the_operator(render):
    settings = config(render(load(CI / "everything-values.yaml")))
    assert settings.runtime_image.name == "mirror.example:5000/shieldwall/runtime:v2"
    assert settings.runtime_image.pull_secrets == ("pull",)
    assert settings.dns.cidrs == ("169.254.20.10/32", "fd00::10/128")
    assert (settings.log_level, settings.log_format) == ("debug", "text")
    assert settings.trust_domain == "fed.example"


def test_a_digest_pins_the_image(render):
    objects = render(load(CI / "everything-values.yaml"))
    images = {container["image"] for pod in pods(objects) for container in pod["containers"]}
    assert images == {f"mirror.example/shieldwall/operator:0.1.0@sha256:{'a' * 64}"}


def test_a_changed_configuration_starts_new_pods(render):
    def checksum(values):
        template = render(values).one("Deployment")["spec"]["template"]
        return template["metadata"]["annotations"]["checksum/config"]

    assert checksum({}) == checksum({"replicas": 3})
    assert len({checksum({}), checksum({"workers": 9}), checksum({"dns": {"cidrs": ["10.0.0.1/32"]}})}) == 3


def test_pods_of_trainings_are_not_taken_for_the_operator(render):
    """The metrics Service, the budget and the policy select by component; so do stewards."""
    objects = render()
    labels = objects.one("Deployment")["spec"]["selector"]["matchLabels"]
    for kind, path in (("NetworkPolicy", "podSelector"), ("PodDisruptionBudget", "selector")):
        assert objects.one(kind)["spec"][path]["matchLabels"] == labels
    assert [service["spec"]["selector"] for service in objects.all("Service")] == [labels, labels]
    assert labels.items() - objects.one("Pod")["metadata"]["labels"].items(), "the test's pod is no operator"


def test_rights_of_the_whole_cluster(render):
    objects = render({"rbac": {"aggregate": False}})
    granted = rights(objects.one("ClusterRole"))
    for kind in OWNED:
        assert {verb for group, plural, verb, _ in granted if (group, plural) == (kind.group, kind.plural)} == BASIC
    others = {right for right in granted if (right[0], right[1]) not in {(kind.group, kind.plural) for kind in OWNED}}
    assert others == {
        *(("shieldwall.dev", kind.plural, verb, "") for kind in OURS for verb in ("get", "list", "watch")),
        ("shieldwall.dev", "federatedtrainings/status", "patch", ""),
        ("shieldwall.dev", "privacybudgets/status", "update", ""),
        ("shieldwall.dev", "federatedtrainings/finalizers", "update", ""),
        ("", "persistentvolumeclaims", "get", ""),
        ("", "pods", "list", ""),
        ("", "pods", "patch", ""),
        ("events.k8s.io", "events", "create", ""),
    }
    assert rights(objects.one("Role")) == LEASE
    assert config(objects).leader_election.lease_name == "sw-shieldwall"


def test_in_namespaced_mode_no_right_is_the_clusters(render):
    objects = render(load(CI / "namespaced-values.yaml"))
    assert not objects.all("ClusterRole")
    assert not objects.all("ClusterRoleBinding")
    everywhere = rights(render({"rbac": {"aggregate": False}}).one("ClusterRole"))
    trainings = {role["metadata"]["namespace"]: rights(role) for role in objects.all("Role")}
    own = trainings.pop("walls")
    assert trainings == {"fed-a": everywhere, "fed-b": everywhere}
    assert own == LEASE | {("", "secrets", "create", ""), ("", "secrets", "get", "shieldwall-root-ca")}
    for binding in objects.all("RoleBinding"):
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "sw-shieldwall", "namespace": "walls"}]
    assert {binding["metadata"]["namespace"] for binding in objects.all("RoleBinding")} == {"fed-a", "fed-b", "walls"}
    (stewards,) = [
        rule
        for rule in objects.one("NetworkPolicy")["spec"]["egress"]
        if {"protocol": "TCP", "port": 9444} in rule["ports"]
    ]
    assert stewards["to"][0]["namespaceSelector"]["matchExpressions"][0]["values"] == ["fed-a", "fed-b"]


@pytest.mark.parametrize("namespaces", [[], ["fed-a"]], ids=["cluster", "namespaced"])
def test_no_value_adds_a_right(render, values, namespaces):
    """What the operator may do is what test_rbac sees it do, with the values that are the chart's own."""
    most = {right[:3] for kind in ("ClusterRole", "Role") for right in operators(render(), kind)}
    switched_on = {"rbac": dict.fromkeys(values["rbac"], True)}
    for given in (switched_on, *(load(file) for file in MATRIX)):
        objects = render(given | {"watchNamespaces": namespaces})
        for kind in ("ClusterRole", "Role"):
            assert {right[:3] for right in operators(objects, kind)} <= most


def test_no_role_is_empty_has_a_wildcard_or_may_escalate(render):
    for file in MATRIX:
        for role in render(load(file)).all("ClusterRole") + render(load(file)).all("Role"):
            assert role["rules"]
            for group, resource, verb, _ in rights(role):
                assert "*" not in {group, resource, verb}
                assert verb not in {"bind", "escalate", "impersonate"}


def test_people_may_not_write_status(render):
    roles = [role for role in render().all("ClusterRole") if role["metadata"]["name"].endswith(("-edit", "-view"))]
    written = {
        resource for role in roles for _, resource, verb, _ in rights(role) if verb not in {"get", "list", "watch"}
    }
    assert written == {"federatedtrainings", "privacybudgets"}


def test_who_may_run_trainings_may_not_change_what_they_may_spend(render):
    aggregated = {
        role["metadata"]["name"].rpartition("-shieldwall-")[2]: (
            {label.rpartition("-to-")[2] for label in role["metadata"]["labels"] if "aggregate-to-" in label},
            {resource for _, resource, *_ in rights(role)},
        )
        for role in render().all("ClusterRole")
        if role["metadata"]["name"].endswith(("-edit", "-view"))
    }
    assert aggregated["budget-edit"] == ({"admin"}, {"privacybudgets"})
    assert aggregated["edit"] == ({"admin", "edit"}, {"federatedtrainings"})
    assert "privacybudgets" in aggregated["view"][1]


def test_two_replicas_have_a_budget_and_one_has_none(render):
    assert render({"replicas": 2}).one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert not render({"replicas": 1}).all("PodDisruptionBudget")


def test_without_a_lease_no_two_run_at_once(render):
    assert render().one("Deployment")["spec"]["strategy"]["type"] == "RollingUpdate"
    single = render(load(CI / "single-values.yaml")).one("Deployment")
    assert (single["spec"]["replicas"], single["spec"]["strategy"]) == (1, {"type": "Recreate"})


def test_the_network_policy_closes_all_but_what_is_needed(render):
    policy = render().one("NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    (way_in,) = policy["ingress"]
    assert way_in["ports"] == [{"protocol": "TCP", "port": "metrics"}]
    assert way_in["from"][0] == {"namespaceSelector": {"matchLabels": {"shieldwall.dev/monitoring": "true"}}}
    assert "component" in str(way_in["from"][1]), "the pod of helm test"
    ports = [{port["port"] for port in rule["ports"]} for rule in policy["egress"]]
    assert ports == [{53}, {443, 6443}, {9444, 9445}]
    assert "to" not in policy["egress"][1]
    narrow = render(load(CI / "everything-values.yaml")).one("NetworkPolicy")["spec"]["egress"][1]
    assert narrow["to"] == [{"ipBlock": {"cidr": "10.0.0.1/32"}}]


@pytest.mark.parametrize("keep", [True, False])
def test_the_definitions_are_the_projects(render, keep):
    made = render({"crds": {"enabled": True, "keep": keep}}).all("CustomResourceDefinition")
    for each in made:
        metadata = each["metadata"]
        assert (metadata.get("annotations", {}).get("helm.sh/resource-policy") == "keep") is keep
    files = (CI.parents[2] / "crds").glob("*.yaml")
    committed = {each["metadata"]["name"]: each["spec"] for each in (YAML(typ="safe").load(file) for file in files)}
    assert {each["metadata"]["name"]: each["spec"] for each in made} == committed
    assert not render({"crds": {"enabled": False}}).all("CustomResourceDefinition")


def test_alerts_can_be_left_out_and_link_to_their_pages(render):
    rule = render(load(CI / "everything-values.yaml")).one("PrometheusRule")
    alerts = {alert["alert"]: alert for group in rule["spec"]["groups"] for alert in group["rules"]}
    assert "ShieldwallScoreDropped" not in alerts
    page = "https://runbooks.example/shieldwall/ShieldwallNoLeader.md"
    assert alerts["ShieldwallNoLeader"]["annotations"]["runbook_url"] == page
    assert "runbook_url" not in str(render({"metrics": {"prometheusRule": {"enabled": True}}}).one("PrometheusRule"))


def test_series_of_trainings_keep_their_own_namespace(render):
    monitor = render(load(CI / "everything-values.yaml")).one("ServiceMonitor")
    assert monitor["spec"]["endpoints"][0]["honorLabels"] is True
    assert monitor["metadata"]["labels"]["release"] == "prometheus"


def test_no_policy_unless_asked_for(render):
    assert not render().all("ValidatingAdmissionPolicy")
    assert not render().all("ValidatingAdmissionPolicyBinding")


def test_probes_ask_the_pages_that_the_operator_serves(render):
    (container,) = render().one("Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}


def test_a_version_that_does_not_become_ready_takes_no_old_replicas_place(render):
    spec = render().one("Deployment")["spec"]
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert spec["minReadySeconds"] >= 15, "as long as a lease: a replica that may not lead has ended by then"


@EACH
def test_helm_test_asks_replicas_whether_they_are_ready_also_those_that_are_not(file, render):
    objects = render(load(file))
    if not objects.all("Pod"):
        assert "test: {enabled: false}" in file.read_text()
        assert not [each for each in objects if "helm.sh/hook" in each["metadata"].get("annotations", {})]
        return
    pod = objects.one("Pod")
    (service,) = [each for each in objects.all("Service") if each["metadata"]["name"] == pod["metadata"]["name"]]
    assert service["spec"]["publishNotReadyAddresses"]
    assert service["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert int(service["metadata"]["annotations"]["helm.sh/hook-weight"]) < 0, "before the pod"
    (port,) = service["spec"]["ports"]
    container = next(each for each in pod["spec"]["containers"] if each["name"] == "readiness")
    metadata = service["metadata"]
    assert f"http://{metadata['name']}.{metadata['namespace']}.svc:{port['port']}/readyz" in container["args"]


@pytest.mark.parametrize(
    ("answers", "ends"),
    [
        ([(200, "ok")], 0),
        ([(503, "watch of secrets: forbidden"), (200, "ok")], 0),
        ([(503, "watch of secrets: forbidden")] * 2, 1),
    ],
    ids=["ready", "ready at last", "not ready"],
)
def test_helm_test_fails_unless_a_replica_is_ready_and_says_why(render, answers, ends):
    """The program of its pod, against a server that gives these answers."""
    told = iter(answers)

    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            code, text = next(told)
            self.send_response(code)
            self.end_headers()
            self.wfile.write(f"{text}\n".encode())

        def log_message(self, *_):
            pass

    container = next(each for each in render().one("Pod")["spec"]["containers"] if each["name"] == "readiness")
    script, _, _ = container["args"]
    assert container["command"] == ["python3", "-c"]
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/readyz"
        command = [sys.executable, "-c", script, url, str(len(answers))]
        run = subprocess.run(command, capture_output=True, text=True, check=False, env={})
        server.shutdown()
    assert run.returncode == ends
    assert run.stdout.splitlines()[0].endswith(answers[0][1])
    assert bool(ends) == ("no replica of the operator is ready" in run.stderr)


def test_helm_test_fails_where_nobody_answers(render):
    container = next(each for each in render().one("Pod")["spec"]["containers"] if each["name"] == "readiness")
    command = [sys.executable, "-c", container["args"][0], "http://127.0.0.1:1/readyz", "1"]
    assert subprocess.run(command, capture_output=True, check=False, env={}).returncode == 1
