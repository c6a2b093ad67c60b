"""The miniature kubelet with tiny programs instead of ours."""

import asyncio
import contextlib
import dataclasses
import http.server
import os
import signal
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.client import (
    V1EmptyDirVolumeSource,
    V1ExecAction,
    V1HTTPGetAction,
    V1PodSecurityContext,
    V1Probe,
    V1SecretVolumeSource,
    V1SecurityContext,
    V1TCPSocketAction,
)

from shieldwall.local.cluster.addresses import reserve
from shieldwall.local.cluster.containers import base_environment
from shieldwall.local.cluster.kubelet import Site, kubelet
from shieldwall.local.cluster.supervisor import Pace
from shieldwall.local.cluster.users import OneUser, UserEach, id_base
from shieldwall.local.cluster.volumes import Contents, Directories

PACE = Pace(first=0.01, longest=0.04, grace=5.0)
QUICK = {"period_seconds": 1, "timeout_seconds": 20}


@contextlib.contextmanager
def site(tmp_path):
    tmp_path.chmod(0o711)
    for parent in tmp_path.parents:
        if parent.name.startswith("pytest-"):
            parent.chmod(0o711)
    with reserve(os.getpid()) as block:
        directories = Directories(tmp_path / "pods", tmp_path / "claims", tmp_path / "data")
        for directory in (directories.pods, directories.claims):
            directory.mkdir(mode=0o711)
        base = base_environment(tmp_path, os.environ)
        logs = tmp_path / "logs"
        yield Site(block, OneUser("test"), directories, tmp_path / "r", logs, base, PACE)


def exec_probe(*command, **more):
    probe = V1Probe(**QUICK, **more)
    probe.var_exec = V1ExecAction(command=list(command))  # kubernetes 37 loses it as an argument
    return probe


def secret_source(name):
    return V1SecretVolumeSource(secret_name=name, default_mode=0o440)


async def until(pods, condition):
    """Wait for the kubelet's bell; the test's own time-out is the deadline."""

    def checked():
        pods.raise_failures()
        return condition()

    await pods.bell.until(checked)


@given(exits=st.integers(1, 200))
def test_back_off_doubles_up_to_its_longest(exits):
    pace = Pace()
    assert pace.delay(1) == 1
    assert pace.delay(exits) <= pace.delay(exits + 1) <= 20
    assert pace.delay(exits + 1) in {2 * pace.delay(exits), 20}


async def test_init_containers_then_sidecars_then_the_rest(make, tmp_path, now):
    order = ("order", "/order")
    mark = 'echo {} >> "$SHIELDWALL_ROOT/order/log"'
    template = make.pod(
        "x-0",
        init=[
            make.container("one", "sh", "-c", mark.format("one"), mounts=[order]),
            make.container(
                "side",
                "sh",
                "-c",
                f'touch "$SHIELDWALL_ROOT/order/up"; {mark.format("side")}; exec sleep 1000',
                mounts=[order],
                restart_policy="Always",
                startup_probe=exec_probe("sh", "-c", 'test -e "$SHIELDWALL_ROOT/order/up"'),
            ),
            make.container("two", "sh", "-c", mark.format("two"), mounts=[order]),
        ],
        main=[make.container("main", "sh", "-c", f"{mark.format('main')}; exec sleep 1000", mounts=[order])],
        volumes=[make.volume("order", empty_dir=V1EmptyDirVolumeSource())],
    )
    log = tmp_path / "pods" / "x-0" / "order" / "log"
    with site(tmp_path) as here:
        async with kubelet(here) as pods:
            pod = pods.add(template, Contents(), now)
            await until(pods, lambda: pod.ready and pod.containers[-1].started)
            # The program is started; its first line may be to come.
            while not log.exists() or log.read_text().split()[-1] != "main":  # files have no events
                await asyncio.sleep(0)
            assert log.read_text().split() == ["one", "side", "two", "main"]
            assert [state.done for state in pod.containers] == [True, False, True, False]


async def test_what_ends_is_started_again_and_every_exit_is_counted(make, tmp_path, now):
    counter = 'cd "$SHIELDWALL_ROOT/v"; echo x >> n; test $(wc -l < n) -lt 3 && exit 4; exec sleep 1000'
    template = make.pod(
        "x-0",
        init=[
            make.container(
                "init",
                "sh",
                "-c",
                'test -e "$SHIELDWALL_ROOT/v/n" || { touch "$SHIELDWALL_ROOT/v/n"; exit 9; }',
                mounts=[("v", "/v")],
            )
        ],
        main=[make.container("main", "sh", "-c", counter, mounts=[("v", "/v")])],
        volumes=[make.volume("v", empty_dir=V1EmptyDirVolumeSource())],
    )
    with site(tmp_path) as here:
        async with kubelet(here) as pods:
            pod = pods.add(template, Contents(), now)
            init, main = pod.containers
            await until(pods, lambda: main.restarts == 2)
            assert (init.exits, init.restarts, init.done) == ([9, 0], 1, True)
            assert main.exits == [4, 4]
            await until(pods, lambda: pod.ready)
            assert pod.restarts == 3


async def test_a_program_that_does_not_live_is_replaced(make, tmp_path, now):
    template = make.pod(
        "x-0",
        main=[
            make.container(
                "main",
                "sleep",
                "1000",
                liveness_probe=exec_probe("false", failure_threshold=1),
            )
        ],
    )
    with site(tmp_path) as here:
        async with kubelet(here) as pods:
            pod = pods.add(template, Contents(), now)
            await until(pods, lambda: pod.restarts == 1)
            assert pod.containers[0].exits == [-signal.SIGTERM]


async def test_http_and_tcp_probes_ask_the_pods_own_address(make, tmp_path, now):
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/ready" else 503)
            self.end_headers()

        def log_message(self, *_):
            pass

    with site(tmp_path) as here:
        server = http.server.HTTPServer((here.block.address(0), 0), Answer)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            port = server.server_port
            good = V1Probe(http_get=V1HTTPGetAction(path="/ready", port=port), **QUICK)
            bad = V1Probe(http_get=V1HTTPGetAction(path="/else", port=port), **QUICK)
            open_port = V1Probe(tcp_socket=V1TCPSocketAction(port=port), **QUICK)
            sleeping = ("sleep", "1000")
            template = make.pod(
                "x-0",
                main=[
                    make.container("good", *sleeping, startup_probe=open_port, readiness_probe=good),
                    make.container("bad", *sleeping, readiness_probe=bad),
                ],
            )
            async with kubelet(here) as pods:
                pod = pods.add(template, Contents(), now)
                good_state, bad_state = pod.containers
                await until(pods, lambda: good_state.ready and bad_state.started)
                assert not bad_state.ready
                assert not pod.ready
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


async def test_a_renewed_secret_reaches_the_pods_that_mount_it(make, tmp_path, now):
    template = make.pod(
        "x-0",
        main=[make.container("proxy", "sleep", "1000", mounts=[("tls", "/tls")])],
        volumes=[make.volume("tls", secret=secret_source("leaf"))],
    )
    with site(tmp_path) as here:
        async with kubelet(here) as pods:
            pods.add(template, Contents(secrets={"leaf": {"tls.crt": b"old"}, "other": {"a": b"1"}}), now)
            shown = here.roots / "0" / "proxy" / "tls" / "tls.crt"
            assert shown.read_bytes() == b"old"
            assert pods.sync(Contents(secrets={"leaf": {"tls.crt": b"old"}, "other": {"a": b"2"}}), now) == []
            assert pods.sync(Contents(secrets={"leaf": {"tls.crt": b"new"}}), now) == ["x-0/tls"]
            assert shown.read_bytes() == b"new"


async def test_pods_do_not_share_addresses_and_know_the_servers(make, tmp_path, now):
    say = ("sh", "-c", 'echo "$SHIELDWALL_LOOPBACK $SHIELDWALL_SERVER_ADDRESS" > "$SHIELDWALL_ROOT/v/said"')
    volume = make.volume("v", empty_dir=V1EmptyDirVolumeSource())
    with site(tmp_path) as here:
        async with kubelet(here) as pods:
            for name in ("server-0", "client"):
                init = [make.container("say", *say, mounts=[("v", "/v")])]
                pods.add(make.pod(name, init=init, main=[], volumes=[volume]), Contents(), now)
            await until(pods, lambda: all(pod.containers[0].done for pod in pods.pods.values()))
        said = [(tmp_path / "pods" / name / "v" / "said").read_text().split() for name in ("server-0", "client")]
        assert said == [[here.block.address(0)] * 2, [here.block.address(1), here.block.address(0)]]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can switch users")
async def test_a_trainer_cannot_read_the_keys_of_its_pod_or_of_another(make, tmp_path, now):
    """The wall is made of file modes: with OneUser in place of UserEach this fails."""
    tries = 'for f in "$@"; do cat "$f" 2>/dev/null && exit 1; ls "$(dirname "$f")" 2>/dev/null && exit 2; done; exit 0'
    secrets = {"leaf": {"tls.key": b"certificate key"}, "node": {"node.key": b"node key"}}
    volumes = [
        make.volume("tls", secret=secret_source("leaf")),
        make.volume("node", secret=secret_source("node")),
        make.volume("home", empty_dir=V1EmptyDirVolumeSource()),
    ]

    def as_user(uid):
        return V1SecurityContext(run_as_user=uid)

    def template(name, paths):
        own = ("sh", "-c", 'cat "$SHIELDWALL_ROOT/etc/tls/tls.key" "$SHIELDWALL_ROOT/etc/node/node.key"')
        mounts = [("tls", "/etc/tls"), ("node", "/etc/node")]
        write = ("sh", "-c", f'echo own > "$SHIELDWALL_ROOT/home/x" && {tries}', "sh", *paths)
        one = make.pod(
            name,
            init=[
                make.container("supernode", *own, mounts=mounts, security_context=as_user(65533)),
                make.container("trainer", *write, mounts=[("home", "/home")], security_context=as_user(65534)),
            ],
            volumes=volumes,
        )
        one.spec.security_context = V1PodSecurityContext(run_as_user=65533)
        return one

    pods_directory = tmp_path / "pods"
    keys = [str(pods_directory / pod / path) for pod in ("a", "b") for path in ("tls/tls.key", "node/node.key")]
    with site(tmp_path) as shared:
        here = dataclasses.replace(shared, users=UserEach(id_base(shared.block.index, 2**32)))
        async with kubelet(here) as pods:
            for name in ("a", "b"):
                pods.add(template(name, keys), Contents(secrets=secrets), now)
            await until(pods, lambda: all(state.exits for pod in pods.pods.values() for state in pod.containers))
            for pod in pods.pods.values():
                assert [state.exits for state in pod.containers] == [[0], [0]], pod.name
        assert (tmp_path / "logs" / "a" / "supernode.log").read_text() == "certificate keynode key"
        assert (tmp_path / "logs" / "a" / "trainer.log").read_text() == ""
