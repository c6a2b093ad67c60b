import re
from pathlib import Path

import pytest
from kubernetes.client import V1Deployment, V1ServiceAccount, V1StatefulSet

from shieldwall.contract import paths
from shieldwall.control.plan import PlanSettings
from shieldwall.control.plan.render import manifest
from shieldwall.control.plan.settings import ContainerResources

ARCHITECTURE = Path(__file__).parents[3] / "docs" / "architecture.md"
WORKLOADS = V1StatefulSet | V1Deployment
USERS = {"init": 65532, "proxy": 65532, "trainer": 65534}
FLOWER_USER = 65533
SCRATCH = {"home": f"/{paths.HOME_DIR}", "tmp": "/tmp"}  # noqa: S108  # a volume
DIRECTORIES = {
    "policy": "etc/shieldwall/policy",
    "tls": "etc/shieldwall/tls",
    "trust": "etc/shieldwall/trust",
    "node": "etc/shieldwall/node",
    "superexec": "etc/shieldwall/superexec",
    "local-tls": "run/shieldwall/local",
    "local-trust": "run/shieldwall/local-trust",
    "sockets": "run/shieldwall/sockets",
    "signer": "run/shieldwall/signer",
    "state": "var/lib/shieldwall/state",
    "model": "var/lib/shieldwall/model",
    "data": "var/lib/shieldwall/data",
}
WITH_DATA = {"clients": [{"name": n, "data": {"persistentVolumeClaim": {"claimName": n}}} for n in ("a", "b", "c")]}


def architecture():
    """The page's table: (pod, command) → {volume: writable}."""
    table, pod = {}, None
    for line in ARCHITECTURE.read_text(encoding="utf-8").splitlines():
        row = re.fullmatch(r"\| (\w*) *\| (?:init )?(?:\w+ )?`([^`]+)` \| (.+) \|", line)
        if row:
            pod = row[1] or pod
            mounts = (each.strip().partition(" ") for each in row[3].split(","))
            table[pod, row[2]] = {name: mode == "rw" for name, _, mode in mounts}
    return table


@pytest.fixture
def pods(new_training, complete):
    """Component → pod template, of one client only."""
    found = {}
    for item in complete(new_training(WITH_DATA)).objects:
        if isinstance(item, V1StatefulSet | V1Deployment):
            found[item.spec.template.metadata.labels["app.kubernetes.io/component"]] = item.spec.template.spec
    assert set(found) == {"server", "aggregator", "client"}
    return found


def containers(pods):
    return [(name, each) for name, pod in pods.items() for each in (*pod.init_containers, *pod.containers)]


def mounted(container):
    """Volume → writable, with scratch volumes by their kind."""
    return {
        re.sub(rf"^(home|tmp)-{container.name}$", r"\1", mount.name): not mount.read_only
        for mount in container.volume_mounts
    }


def test_containers_mount_what_the_architecture_page_says_and_nothing_else(pods):
    planned = {(pod, " ".join(each.command[1:])): mounted(each) for pod, each in containers(pods)}
    assert planned == architecture()


def test_volumes_lie_where_the_contract_says(pods):
    for _, container in containers(pods):
        for mount in container.volume_mounts:
            kind = mount.name.removesuffix(f"-{container.name}")
            assert mount.mount_path == (SCRATCH[kind] if kind in SCRATCH else f"/{DIRECTORIES[kind]}")
            assert mount.sub_path is None


def test_every_volume_that_is_mounted_exists_once(new_training, complete):
    for item in complete(new_training(WITH_DATA)).objects:
        if isinstance(item, V1StatefulSet | V1Deployment):
            spec = item.spec.template.spec
            names = [volume.name for volume in spec.volumes]
            if isinstance(item, V1StatefulSet):
                names += [claim.metadata.name for claim in item.spec.volume_claim_templates]
            used = {mount.name for each in (*spec.init_containers, *spec.containers) for mount in each.volume_mounts}
            assert sorted(names) == sorted(used)


def test_user_code_never_sees_a_key(pods):
    for _, container in containers(pods):
        if container.name in {"trainer", "aggregator"}:
            assert not {"tls", "node", "local-tls"} & set(mounted(container))


def test_pods_show_only_those_keys_of_a_secret_that_they_need(pods):
    for pod in pods.values():
        for volume in pod.volumes:
            if volume.secret is not None:
                keys = {"tls": ["tls.crt", "tls.key"], "node": ["node.key"], "superexec": ["superexec"]}[volume.name]
                assert [item.key for item in volume.secret.items] == keys
                assert volume.secret.default_mode == 0o440


def test_no_container_has_a_right_that_it_can_do_without(pods):
    for pod in pods.values():
        assert pod.automount_service_account_token is False
        assert pod.enable_service_links is False
        assert pod.security_context.run_as_non_root is True
        assert pod.security_context.seccomp_profile.type == "RuntimeDefault"
        assert (pod.security_context.run_as_user, pod.security_context.run_as_group) == (65533, 65532)
        assert not any((pod.host_network, pod.host_pid, pod.host_ipc, pod.share_process_namespace))
    for _, container in containers(pods):
        security = container.security_context
        assert security.run_as_non_root is True
        assert security.run_as_user == USERS.get(container.name, FLOWER_USER)
        assert security.read_only_root_filesystem is True
        assert security.allow_privilege_escalation is False
        assert security.privileged is False
        assert security.capabilities.drop == ["ALL"]
        assert security.capabilities.add is None
        assert container.resources.limits["memory"]
        assert container.resources.requests["memory"]


def test_pods_run_under_accounts_of_their_own_without_a_token(new_training, complete, pods):
    accounts = {
        item.metadata.name: item for item in complete(new_training()).objects if isinstance(item, V1ServiceAccount)
    }
    assert {pod.service_account_name for pod in pods.values()} == set(accounts)
    assert all(account.automount_service_account_token is False for account in accounts.values())


def test_the_proxy_is_up_before_anything_else_starts(pods):
    for pod in pods.values():
        init, proxy = pod.init_containers
        assert (init.name, proxy.name) == ("init", "proxy")
        assert init.restart_policy is None
        assert proxy.restart_policy == "Always"
        assert proxy.startup_probe.http_get.path == "/ready"


def test_every_probe_has_something_to_ask(pods):
    asked = {}
    for pod, container in containers(pods):
        for probe in (container.startup_probe, container.readiness_probe, container.liveness_probe):
            if probe is not None:
                action = probe.http_get or probe.var_exec
                assert action is not None, "a probe without an action is refused"
                target = action.path if probe.http_get else " ".join(action.command)
                asked.setdefault(f"{pod}/{container.name}", set()).add(target)
    assert asked == {
        "server/proxy": {"/ready"},
        "server/superlink": {"/healthz/superlink"},
        "server/steward": {"/healthz/steward"},
        "aggregator/proxy": {"/ready"},
        "aggregator/aggregator": {"shieldwall-runtime alive aggregator"},
        "client/proxy": {"/ready"},
        "client/supernode": {"shieldwall-runtime alive supernode"},
    }


def test_only_user_code_runs_in_the_users_image(pods):
    for _, container in containers(pods):
        assert (container.image == "registry.example/digits:1.4") is (container.name in {"trainer", "aggregator"})


def test_the_environment_names_the_pod_its_client_and_the_server(pods):
    for pod, container in containers(pods):
        env = {each.name: each.value for each in container.env}
        own_address = next(each for each in container.env if each.name == paths.POD_IP_VARIABLE)
        assert own_address.value_from.field_ref.field_path == "status.podIP"
        dials = container.name == "proxy" and pod != "server"
        assert env.get(paths.SERVER_VARIABLE) == ("digits-server.fed.svc.cluster.local" if dials else None)
        if pod == "client" and container.name != "init":
            assert env[paths.CLIENT_VARIABLE] == "c"
        if "home" in mounted(container):
            assert env["HOME"] == env["FLWR_HOME"] == "/home/shieldwall"
            assert (env["FLWR_TELEMETRY_ENABLED"], env["FLWR_DISABLE_UPDATE_CHECK"]) == ("0", "1")


def test_two_pods_of_one_client_never_run_at_once(new_training, complete):
    for item in complete(new_training()).objects:
        if isinstance(item, V1Deployment):
            assert (item.spec.replicas, item.spec.strategy.type) == (1, "Recreate")
        if isinstance(item, V1StatefulSet):
            assert item.spec.replicas == 1


def test_the_model_outlives_its_training_and_the_servers_state_does_not(new_training, complete):
    kept = {
        item.metadata.name: item.spec.persistent_volume_claim_retention_policy.when_deleted
        for item in complete(new_training()).objects
        if isinstance(item, V1StatefulSet)
    }
    assert kept == {"digits-server": "Delete", "digits-aggregator": "Retain"}


def replicas(plan):
    return {item.metadata.name: item.spec.replicas for item in plan.objects if isinstance(item, WORKLOADS)}


def test_a_suspended_training_keeps_everything_but_its_pods(new_training, complete):
    running, suspended = complete(new_training()), complete(new_training({"suspend": True}))
    assert set(replicas(running).values()) == {1}
    assert replicas(suspended) == dict.fromkeys(replicas(running), 0)
    for before, after in zip(running.objects, suspended.objects, strict=True):
        if isinstance(after, WORKLOADS):
            after.spec.replicas = 1
            after.metadata.annotations = before.metadata.annotations
        if after.metadata.name == "digits-policy-spec":
            after.data = {name: text.replace('"suspend":true', '"suspend":false') for name, text in after.data.items()}
        assert manifest(after) == manifest(before), "so that it goes on where it was"


@pytest.mark.parametrize(("storage", "policy"), [({}, "Retain"), ({"modelDeletionPolicy": "Delete"}, "Delete")])
def test_a_model_outlives_its_training_unless_told_otherwise(new_training, complete, storage, policy):
    plan = complete(new_training({"storage": storage}))
    found = {
        item.metadata.name: item.spec.persistent_volume_claim_retention_policy.when_deleted
        for item in plan.objects
        if isinstance(item, V1StatefulSet)
    }
    assert found == {"digits-server": "Delete", "digits-aggregator": policy}


def test_clients_are_spread_over_nodes_where_that_can_be(new_training, complete):
    for item in complete(new_training()).objects:
        if not isinstance(item, WORKLOADS):
            continue
        spec = item.spec.template.spec
        if isinstance(item, V1StatefulSet):
            assert spec.topology_spread_constraints is None
            continue
        (spread,) = spec.topology_spread_constraints
        assert (spread.topology_key, spread.when_unsatisfiable) == ("kubernetes.io/hostname", "ScheduleAnyway")
        assert spread.label_selector.match_labels.items() <= item.spec.template.metadata.labels.items()
        assert "shieldwall.dev/client" not in spread.label_selector.match_labels, "or each would be alone in it"


def test_quantities_are_written_as_the_api_server_writes_them(new_training, complete):
    resources = {"requests": {"cpu": "0.5", "memory": "1024Mi"}, "limits": {"memory": "2048Mi", "nvidia.com/gpu": 1}}
    training = new_training(
        {"clientTemplate": {"resources": resources}, "storage": {"model": "1024Gi", "server": "2048Mi"}}
    )
    settings = PlanSettings(proxy_resources=ContainerResources("0.010", "32Mi", "1024Mi"))
    for item in complete(training, settings).objects:
        if isinstance(item, V1Deployment):
            spec = item.spec.template.spec
            trainer, proxy = spec.containers[-1].resources, spec.init_containers[-1].resources
            assert trainer.requests == {"cpu": "500m", "memory": "1Gi"}
            assert trainer.limits == {"memory": "2Gi", "nvidia.com/gpu": "1"}
            assert (proxy.requests, proxy.limits) == ({"cpu": "10m", "memory": "32Mi"}, {"memory": "1Gi"})
        if isinstance(item, V1StatefulSet):
            (claim,) = item.spec.volume_claim_templates
            sizes = {"digits-server": "2Gi", "digits-aggregator": "1Ti"}
            assert claim.spec.resources.requests == {"storage": sizes[item.metadata.name]}


def test_a_region_cannot_be_selected_away(new_training, complete):
    clients = [{"name": "a", "region": "eu", "nodeSelector": {"topology.kubernetes.io/region": "us", "disk": "ssd"}}]
    training = new_training({"clients": [*clients, {"name": "b"}, {"name": "c"}]})
    deployment = next(item for item in complete(training).objects if isinstance(item, V1Deployment))
    assert deployment.spec.template.spec.node_selector == {"topology.kubernetes.io/region": "eu", "disk": "ssd"}


def test_what_a_client_asks_for_replaces_the_template(new_training, complete):
    training = new_training(
        {
            "clients": [{"name": "a", "resources": {"limits": {"memory": "8Gi"}}}, {"name": "b"}, {"name": "c"}],
            "clientTemplate": {"resources": {"requests": {"cpu": 1}}, "nodeSelector": {"pool": "x"}},
            "aggregatorTemplate": {"resources": {"limits": {"memory": "9Gi"}}},
        }
    )
    found = {
        item.metadata.name: (item.spec.template.spec, item.spec.template.spec.containers[-1].resources)
        for item in complete(training).objects
        if isinstance(item, V1StatefulSet | V1Deployment)
    }
    assert found["digits-client-a"][1].limits == {"memory": "8Gi"}
    assert found["digits-client-b"][1].requests == {"cpu": "1"}
    assert found["digits-client-b"][0].node_selector == {"pool": "x"}
    assert found["digits-aggregator"][1].limits == {"memory": "9Gi"}
    assert found["digits-server"][0].node_selector is None
