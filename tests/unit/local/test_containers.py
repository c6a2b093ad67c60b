import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.client import (
    V1EnvVar,
    V1EnvVarSource,
    V1ObjectFieldSelector,
    V1PodSecurityContext,
    V1PodSpec,
    V1SecretKeySelector,
    V1SecurityContext,
    V1VolumeMount,
)

from shieldwall.local.attackers import AttackKind, disguise
from shieldwall.local.cluster.containers import (
    Place,
    UnsupportedContainerError,
    base_environment,
    build_root,
    environment,
    launch,
    resolve,
    run_as,
)
from shieldwall.local.cluster.users import OneUser, UserEach

TEMPORARY = "/tmp"  # noqa: S108  # the pod's own, by its template


@pytest.fixture
def place(tmp_path):
    volumes = {name: tmp_path / "volumes" / name for name in ("tls", "node", "home", "tmp")}
    for path in volumes.values():
        path.mkdir(parents=True)
    return Place(
        pod="digits-client-berlin",
        namespace="fed",
        address="127.64.0.9",
        server="127.64.0.2",
        root=tmp_path / "r",
        logs=tmp_path,
        volumes=volumes,
        users=OneUser(""),
        base_env={"PATH": "/bin", "LANG": "C"},
    )


def test_a_container_sees_the_volumes_it_mounts_and_no_others(make, place):
    (place.volumes["tls"] / "tls.key").write_text("k")
    root = build_root(make.container("trainer", "x", mounts=[("home", "/home/shieldwall"), ("tmp", TEMPORARY)]), place)
    shown = {path.relative_to(root) for path in root.rglob("*") if path.is_symlink()}
    assert shown == {Path("home/shieldwall"), Path("tmp")}
    root = build_root(make.container("proxy", "x", mounts=[("tls", "/etc/shieldwall/tls")]), place)
    assert (root / "etc/shieldwall/tls/tls.key").read_text() == "k"


def test_the_root_is_the_same_after_a_restart(make, place):
    container = make.container("proxy", "x", mounts=[("tls", "/etc/shieldwall/tls")])
    assert build_root(container, place) == build_root(container, place)


def test_paths_of_the_template_lead_into_the_root(make, place):
    container = make.container(
        "trainer",
        "x",
        mounts=[("home", "/home/shieldwall"), ("tmp", TEMPORARY)],
        env=[
            ("HOME", "/home/shieldwall"),
            ("FLWR_HOME", "/home/shieldwall/.flwr"),
            ("OTHER", "/etc/passwd"),
            ("N", "1"),
        ],
    )
    env = environment(container, place)
    root = str(place.root / "trainer")
    assert env == {
        "PATH": "/bin",
        "LANG": "C",
        "HOME": f"{root}/home/shieldwall",
        "FLWR_HOME": f"{root}/home/shieldwall/.flwr",
        "TMPDIR": f"{root}{TEMPORARY}",
        "OTHER": "/etc/passwd",
        "N": "1",
        "SHIELDWALL_ROOT": root,
        "SHIELDWALL_LOOPBACK": "127.64.0.9",
        "SHIELDWALL_SERVER_ADDRESS": "127.64.0.2",
    }


def test_the_pod_knows_its_own_address(make, place):
    container = make.container("proxy", "x")
    field = V1ObjectFieldSelector(field_path="status.podIP")
    container.env = [V1EnvVar(name="SHIELDWALL_POD_IP", value_from=V1EnvVarSource(field_ref=field))]
    assert environment(container, place)["SHIELDWALL_POD_IP"] == "127.64.0.9"


def test_what_is_not_known_is_refused(make, place):
    container = make.container("proxy", "x")
    key = V1SecretKeySelector(name="leaf", key="tls.key")
    container.env = [V1EnvVar(name="KEY", value_from=V1EnvVarSource(secret_key_ref=key))]
    with pytest.raises(UnsupportedContainerError, match="KEY"):
        environment(container, place)
    part = make.container("proxy", "x")
    part.volume_mounts = [V1VolumeMount(name="tls", mount_path="/tls", sub_path="tls.key")]
    with pytest.raises(UnsupportedContainerError, match="part of a volume"):
        build_root(part, place)
    with pytest.raises(UnsupportedContainerError, match="no command"):
        launch(make.container("proxy"), V1PodSpec(containers=[]), place, None)


@given(words=st.lists(st.text(max_size=5), max_size=4))
def test_programs_of_the_image_run_with_this_interpreter(words):
    assert resolve(["shieldwall-runtime", *words]) == [sys.executable, "-m", "shieldwall.runtime", *words]
    assert resolve(["python3", *words]) == [sys.executable, *words]
    assert resolve(["sh", *words]) == ["sh", *words]


def test_the_callers_environment_stays_outside():
    env = base_environment(
        Path("/app"), {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "x", "LANG": "C", "HTTPS_PROXY": "p"}
    )
    assert set(env) & {"AWS_SECRET_ACCESS_KEY", "HTTPS_PROXY"} == set()
    assert env["PATH"].split(":")[-1] == "/bin"
    assert env["PYTHONPATH"] == "/app"
    assert env["LANG"] == "C"


def test_an_attacker_takes_the_place_of_one_container(make, place):
    spec = V1PodSpec(containers=[])
    trainer = make.container("trainer", "shieldwall-runtime", "trainer")
    proxy = make.container("proxy", "shieldwall-runtime", "proxy", "client")

    def turned(container, kind):
        def other(name, command, env):
            return disguise(kind, name, command, env)

        return "shieldwall.local.attackers" in launch(container, spec, place, other).argv

    assert turned(trainer, AttackKind.SIGN_FLIP)
    assert not turned(proxy, AttackKind.SIGN_FLIP)
    assert turned(proxy, AttackKind.NO_CERTIFICATE)


def test_the_containers_user_comes_before_the_pods(make, place, tmp_path):
    pod = V1PodSpec(containers=[], security_context=V1PodSecurityContext(run_as_user=2))
    container = make.container("proxy", "x", mounts=[("tls", "/tls")])
    assert run_as(container, pod) == 2
    container.security_context = V1SecurityContext(run_as_user=1)
    assert run_as(container, pod) == 1
    assert run_as(make.container("proxy", "x"), V1PodSpec(containers=[])) == 65534


def test_every_pod_has_users_of_its_own_and_every_volume_its_group():
    users = UserEach(1000)
    ids = [
        users.user("a", 65533),
        users.user("b", 65533),
        users.user("a", 65534),
        users.group(Path("/v/1")),
        users.group(Path("/v/2")),
    ]
    assert len(set(ids)) == 5
    assert users.user("a", 65533) == ids[0]
    assert users.group(Path("/v/1")) == ids[3]
