"""`shieldwall certs` and `shieldwall renew` as people call them, against a real API server."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from harness.tools import binary

from .conftest import eventually, operator, quiet, replica, training

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # each command is a program that starts

SCRIPTS = Path(sys.executable).parent
LEAVES = ("digits-server-tls", "digits-aggregator-tls", "digits-tls-c0", "digits-tls-c1", "digits-tls-c2")
READ = {"apiGroups": ["shieldwall.dev"], "resources": ["federatedtrainings"], "verbs": ["get"]}
ASK = {"apiGroups": ["shieldwall.dev"], "resources": ["federatedtrainings"], "verbs": ["patch"]}
SECRETS = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}


def environment(space, **more):
    """That of somebody without a kubeconfig of his own."""
    kept = {name: value for name, value in os.environ.items() if name not in {"KUBECONFIG", "KUBERNETES_SERVICE_HOST"}}
    return {**kept, "HOME": str(space.server.directory), "COLUMNS": "80", **more}


def shieldwall(space, *arguments, kubeconfig=None):
    command = [SCRIPTS / "shieldwall", *arguments, "-n", space.name]
    command += ["--kubeconfig", str(kubeconfig or space.server.kubeconfig())]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment(space))


def kubectl(space, kubeconfig, *arguments):
    path = f"{SCRIPTS}:{os.environ['PATH']}"
    command = [binary("kubectl"), *arguments]
    env = environment(space, PATH=path, KUBECONFIG=str(kubeconfig))
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=env)


def person(space, *rules):
    """The kubeconfig of somebody with these rights in the namespace, which is his context's."""
    name = f"person-{len(rules)}"
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space.name}"
    subject = {"kind": "ServiceAccount", "name": name, "namespace": space.name}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    space.server.request("POST", space.path("serviceaccounts"), {"metadata": {"name": name}})
    space.server.request("POST", f"{path}/roles", {"metadata": {"name": name}, "rules": list(rules)})
    binding = {"metadata": {"name": name}, "roleRef": role, "subjects": [subject]}
    space.server.request("POST", f"{path}/rolebindings", binding)
    for rule in rules:
        eventually(lambda rule=rule: may(space, f"system:serviceaccount:{space.name}:{name}", rule))
    token = space.server.token(space.name, name)
    return space.server.kubeconfig_for_token(token, f"{space.name}-{name}", space.name)


def may(space, user, rule):
    """Whether the API server knows by now that somebody has a right."""
    (group,), (resource,), (verb,) = rule["apiGroups"], rule["resources"], rule["verbs"]
    asked = {"namespace": space.name, "group": group, "resource": resource, "verb": verb}
    review = {"spec": {"user": user, "resourceAttributes": asked}}
    answer = space.server.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return answer["status"]["allowed"]


def serial(space, secret):
    data = space.get("secrets", secret)["data"]
    return f"{x509.load_pem_x509_certificate(base64.b64decode(data['tls.crt'])).serial_number:x}"


def keys(space):
    return [base64.b64decode(space.get("secrets", name)["data"]["tls.key"]).decode() for name in LEAVES]


async def issued(space, clients=3, **spec):
    space.apply(training(space, clients, **spec))
    async with replica(space) as parts:
        await quiet(parts, space)


async def test_certs_as_a_plugin_of_kubectl_and_without_a_right_to_secrets(space):
    await issued(space)
    kubeconfig = person(space, READ)
    done = kubectl(space, kubeconfig, "shieldwall", "certs", "digits")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["SUBJECT", "SERIAL", "EXPIRES", "RENEWS", "ISSUER", "SERVED", "STATE"]
    ca = serial(space, "digits-ca")[:4]
    for line, subject, secret in zip(
        lines[1:], ("server", "aggregator", "client/c0", "client/c1", "client/c2"), LEAVES, strict=False
    ):
        start, number, expires, renews, *rest = line.split()
        assert (start, number, expires) == (subject, f"{serial(space, secret)[:4]}…", "23h")
        assert 13 <= int(renews.removesuffix("h")) <= 16
        assert rest == ["digits-ca", f"{ca}…", "unknown", "ok"]
    assert "5 leaves issued" in lines[6]
    assert "\x1b" not in done.stdout
    assert not any(key in done.stdout for key in keys(space))


async def test_certs_as_json_has_whole_serial_numbers_and_times(space):
    await issued(space)
    found = json.loads(shieldwall(space, "certs", "digits", "-o", "json").stdout)
    assert [each["serial"] for each in found["certificates"]] == [serial(space, name) for name in LEAVES]
    assert {each["issuer"] for each in found["certificates"]} == {serial(space, "digits-ca")}
    for each in found["certificates"]:
        assert datetime.now(UTC) < datetime.fromisoformat(each["renewal"]) < datetime.fromisoformat(each["notAfter"])
        assert each["served"] is None
    assert (found["training"], found["namespace"], found["total"]) == ("digits", space.name, 5)


async def test_more_leaves_than_status_holds_are_read_by_name_never_the_cas_key(space):
    await issued(space, 25)
    few = json.loads(shieldwall(space, "certs", "digits", "-o", "json", kubeconfig=person(space, READ)).stdout)
    assert (len(few["certificates"]), few["total"]) == (20, 27)
    told = shieldwall(space, "certs", "digits", kubeconfig=person(space, READ, ASK)).stdout
    assert "20 of 27 certificates" in told
    assert f"right to get Secrets in namespace {space.name}" in told
    begin = datetime.now(UTC)
    all_of_them = person(space, READ, SECRETS, ASK)
    found = json.loads(shieldwall(space, "certs", "digits", "-o", "json", kubeconfig=all_of_them).stdout)
    assert [each["subject"] for each in found["certificates"]][2:] == [f"client/c{index}" for index in range(25)]
    assert found["certificates"][26]["serial"] == serial(space, "digits-tls-c24")
    secrets = [each for each in space.server.audit.requests(since=begin) if "person" in each.user]
    assert {each.verb for each in secrets} == {"get"}
    assert "digits-ca" not in {each.name for each in secrets}
    assert len([each for each in secrets if each.resource == "secrets"]) == 7


def test_renew_is_carried_out_by_a_running_operator_and_costs_one_write(space, tmp_path):
    """Suspended, so that nothing has to be seen in use."""
    space.apply(training(space, suspend=True))
    kubeconfig = person(space, READ, ASK)
    with operator(space, tmp_path / "one"):
        eventually(lambda: len(space.status()["pki"]["certificates"]) == 5)
        before, begin = {name: serial(space, name) for name in LEAVES}, datetime.now(UTC)
        done = shieldwall(space, "renew", "digits", "c1", "--wait", "--timeout", "90s", kubeconfig=kubeconfig)
        after = {name: serial(space, name) for name in LEAVES}
        everybody = shieldwall(
            space, "renew", "digits", "--all", "--wait", "--timeout", "90s", "-o", "json", kubeconfig=kubeconfig
        )
        last = {name: serial(space, name) for name in LEAVES}
    assert done.returncode == 0, done.stderr
    assert {name for name in LEAVES if before[name] != after[name]} == {"digits-tls-c1"}
    old, new = before["digits-tls-c1"][:4], after["digits-tls-c1"][:4]
    assert f"renewed: serial {old}… → {new}…, issued after" in done.stdout
    assert "waiting for the operator to issue it" in done.stderr
    assert not {last[name] for name in LEAVES} & {after[name] for name in LEAVES}
    told = json.loads(everybody.stdout)
    assert (told["subject"], told["renewed"], told["served"]) == ("all", True, False)
    annotations = space.get("federatedtrainings", "digits")["metadata"]["annotations"]
    assert annotations["renew.shieldwall.dev/all"] == told["request"]
    mine = [each for each in space.server.audit.requests(since=begin) if each.writes and "person" in each.user]
    assert [(each.verb, each.resource) for each in mine] == [("patch", "federatedtrainings")] * 2


@contextmanager
def started(space, errors, *arguments, **more):
    """``errors``: where its standard error goes. It has ended with the block, however that ends."""
    command = [SCRIPTS / "shieldwall", *arguments, "-n", space.name, "--kubeconfig", space.server.kubeconfig()]
    pipes = {"stdout": subprocess.PIPE, "text": True}
    with (
        errors.open("w") as file,
        subprocess.Popen(command, stderr=file, env=environment(space, **more), **pipes) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


async def test_waiting_ends_when_the_new_serial_is_served_and_survives_an_api_server_that_is_away(space, tmp_path):
    await issued(space)
    before, errors = serial(space, "digits-tls-c0"), tmp_path / "errors"
    with started(space, errors, "renew", "digits", "client/c0", "--wait", "--timeout", "180s") as waiting:
        eventually(lambda: "annotations" in space.get("federatedtrainings", "digits")["metadata"])
        async with replica(space) as parts:
            await quiet(parts, space)
        eventually(lambda: "issued; waiting for the steward to say what is in use" in errors.read_text())
        assert waiting.poll() is None, "issued is not yet served"
        space.server.pause()
        try:
            eventually(lambda: "waiting for the API server, which does not answer" in errors.read_text())
        finally:
            space.server.resume()
        status = space.status()
        for each in status["pki"]["certificates"]:
            each["served"] = True
        condition = next(each for each in status["conditions"] if each["type"] == "Certificates")
        condition |= {"status": "True", "reason": "AllServed", "message": "5 leaves issued and seen in use."}
        status["pki"]["served"] = 5
        path = space.path("federatedtrainings", "digits") + "/status"
        space.server.request("PATCH", path, {"status": status}, patch="merge")
        output, _ = waiting.communicate(timeout=30)
    assert waiting.returncode == 0, errors.read_text()
    after = serial(space, "digits-tls-c0")
    assert f"renewed: serial {before[:4]}… → {after[:4]}…, served after" in output
    table = shieldwall(space, "certs", "digits").stdout
    assert [line.split()[-2:] for line in table.splitlines()[1:6]] == [["yes", "ok"]] * 5


async def test_waiting_in_vain_says_for_what_and_the_request_stands(space):
    await issued(space)
    done = shieldwall(space, "renew", "digits", "server", "--wait", "--timeout", "2s")
    assert done.returncode == 1
    assert "Not done within 2s: waiting for the operator to issue it. The request stands" in done.stderr
    assert "renewed" not in done.stdout
    found = json.loads(shieldwall(space, "certs", "digits", "-o", "json").stdout)
    assert found["certificates"][0]["state"] == "renewal requested"
    assert found["requested"] == ["server"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_an_interrupted_wait_leaves_no_file_of_credentials(space, tmp_path, number, code):
    space.apply(training(space))
    errors, temporary = tmp_path / "errors", tmp_path / "temporary"
    temporary.mkdir()
    with started(space, errors, "renew", "digits", "--all", "--wait", TMPDIR=str(temporary)) as waiting:
        eventually(lambda: "waiting for the operator to issue it" in errors.read_text())
        assert "annotations" in space.get("federatedtrainings", "digits")["metadata"]
        waiting.send_signal(number)
        output, _ = waiting.communicate(timeout=30)
    assert waiting.returncode == code
    assert "Interrupted. The request stands" in errors.read_text()
    assert "Traceback" not in output + errors.read_text()
    assert not list(temporary.iterdir())


def test_what_does_not_exist_is_refused_before_anything_is_written(space):
    space.apply(training(space))
    begin = datetime.now(UTC)
    for arguments, code, words in (
        (("renew", "digits", "c9"), 2, "digits has no client c9. It has server, aggregator, c0, c1, c2."),
        (("renew", "digits", "aggregatr"), 2, "did you mean aggregator?"),
        (("renew", "digts", "c1"), 2, f"There is no training digts in namespace {space.name}."),
        (("certs", "digts"), 2, f"There is no training digts in namespace {space.name}."),
        (("renew", "digits"), 2, "Name a client, server or aggregator, or give --all."),
    ):
        done = shieldwall(space, *arguments)
        assert (done.returncode, words in done.stderr, done.stdout) == (code, True, ""), done.stderr
    assert space.writes(begin) == []


def test_forbidden_is_told_in_one_sentence(space):
    space.apply(training(space))
    nothing, read = person(space), person(space, READ)
    for arguments, kubeconfig in ((("certs", "digits"), nothing), (("renew", "digits", "c1"), read)):
        done = shieldwall(space, *arguments, kubeconfig=kubeconfig)
        assert done.returncode == 1
        assert done.stderr.startswith('shieldwall: You may not do that: federatedtrainings.shieldwall.dev "digits"')
        assert len(done.stderr.splitlines()) == 1
    assert "annotations" not in space.get("federatedtrainings", "digits")["metadata"]
