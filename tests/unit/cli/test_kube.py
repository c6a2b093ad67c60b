"""The way to a cluster: what goes wrong is told in a sentence, and never with what a kubeconfig holds."""

import json
import os
import subprocess
import sys

import aiohttp
import pytest

from shieldwall.cli.kube import ClusterError, Target, ask, open_cluster, why
from shieldwall.control.cluster.errors import ApiError, ApiUnreachableError

TOKEN = "ey-very-secret"


def kubeconfig(tmp_path, user=None, **more):
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [user or {"name": "u", "user": {"token": TOKEN}}],
        "contexts": [
            {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "fl"}},
            {"name": "there", "context": {"cluster": "c", "user": "u"}},
        ],
        "current-context": "here",
    }
    path = tmp_path / "config"
    path.write_text(json.dumps(document | more))
    return path


async def namespace(target):
    async with open_cluster(target) as cluster:
        return cluster.namespace


async def test_the_namespace_is_that_of_the_command_line_or_of_the_context(tmp_path, monkeypatch):
    path = kubeconfig(tmp_path)
    assert await namespace(Target(kubeconfig=path)) == "fl"
    assert await namespace(Target(kubeconfig=path, context="there")) == "default"
    assert await namespace(Target(namespace="x", kubeconfig=path)) == "x"
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/none:{path}")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")  # a kubeconfig comes before the pod's account
    assert await namespace(Target()) == "fl"


@pytest.mark.parametrize("name", ["../x", "A", "a/b"])
async def test_a_namespace_that_would_be_another_path_is_refused(tmp_path, name):
    with pytest.raises(ClusterError, match="cannot be the name of a namespace"):
        await namespace(Target(namespace=name, kubeconfig=kubeconfig(tmp_path)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"user": {"name": "u", "token": TOKEN}}, "Expected key user in"),
        ({"current-context": "nowhere"}, "Expected object with name nowhere"),
        ({"contexts": 5}, "not a kubeconfig"),
        ({"users": [TOKEN]}, "Expected all values"),
        ({"user": {"name": "u", "user": {"tokenFile": "/none/at/all"}}}, "/none/at/all"),
        ({"user": {"name": "u", "user": {"token": TOKEN, "as": "root"}}}, r"users\[u\].user.as is not supported"),
        (
            {
                "clusters": [
                    {"name": "c", "cluster": {"server": "https://[::1]:1", "certificate-authority-data": "AAAA"}}
                ]
            },
            "cannot be read",
        ),
    ],
)
async def test_a_bad_kubeconfig_is_told_without_its_secrets(tmp_path, change, words):
    path = kubeconfig(tmp_path, **change)
    with pytest.raises(ClusterError, match=words) as caught:
        await namespace(Target(kubeconfig=path))
    assert TOKEN not in str(caught.value)


async def test_yaml_that_is_none_is_told_by_its_line(tmp_path):
    path = tmp_path / "config"
    path.write_text(f"users:\n- token: {TOKEN}: x\n")
    with pytest.raises(ClusterError, match="line 2 is not YAML") as caught:
        await namespace(Target(kubeconfig=path))
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ApiError(401, "Unauthorized", "Unauthorized"), "log in again"),
        (ApiError(403, "Forbidden", "pods is forbidden"), "You may not do that: pods is forbidden."),
        (ApiError(404, "NotFound", "404 page not found\n"), "not installed"),
        (ApiError(409, "Conflict", "changed"), r"409 Conflict\): changed\."),
        (ApiUnreachableError("x"), "does not answer: the connection was broken"),
    ],
)
async def test_what_an_api_server_says_is_told(tmp_path, error, words):
    with pytest.raises(ClusterError, match=words):
        async with open_cluster(Target(kubeconfig=kubeconfig(tmp_path))):
            raise error


async def test_what_is_no_answer_of_an_api_server(tmp_path):
    with pytest.raises(ClusterError, match="as an API server does"):
        async with open_cluster(Target(kubeconfig=kubeconfig(tmp_path))):
            json.loads("<html>")


def test_silence_has_a_cause():
    timeout, refused = ApiUnreachableError("x"), ApiUnreachableError("x")
    timeout.__cause__ = TimeoutError()
    refused.__cause__ = aiohttp.ClientConnectorError(None, ConnectionRefusedError(111, "no"))
    assert (why(timeout), why(refused)) == ("no answer in time", "connection refused")


def test_every_error_has_its_exit_code(capsys):
    async def fail():
        raise ClusterError("It is \x1b[31mso\x1b[0m.")

    async def interrupt():
        raise KeyboardInterrupt

    assert ask(fail) == 1
    told = capsys.readouterr().err
    assert told.startswith("shieldwall: It is ")
    assert "\x1b" not in told
    assert ask(interrupt) == 130


def test_without_a_cluster_it_is_one_sentence(tmp_path):
    env = {name: value for name, value in os.environ.items() if name not in {"KUBECONFIG", "KUBERNETES_SERVICE_HOST"}}
    command = [sys.executable, "-m", "shieldwall.cli", "certs", "digits"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env | {"HOME": str(tmp_path)})
    assert done.returncode == 2
    assert (
        done.stderr == f"shieldwall: There is no kubeconfig at {tmp_path}/.kube/config; name one with --kubeconfig.\n"
    )
    done = subprocess.run(
        [*command, "--kubeconfig", kubeconfig(tmp_path)], capture_output=True, text=True, check=False, env=env
    )
    assert done.returncode == 1
    assert done.stderr == "shieldwall: The API server http://127.0.0.1:1 does not answer: connection refused.\n"
