"""One client's certificate, then all, renewed in mid-run with one kubectl command each: nothing restarts."""

from __future__ import annotations

import base64
import time

import pytest
from cryptography import x509

from .documents import digits
from .kubectl import eventually
from .leaves import pod_of, same, shown

LEAF = "/etc/shieldwall/tls/tls.crt"


@pytest.fixture(scope="module")
def training(site, kubectl):
    kubectl.apply(digits(site.images.digits, 3, 500))
    eventually(lambda: kubectl.status("digits").get("round", 0) >= 1, 180)
    eventually(lambda: all_served(kubectl), 60)


def all_served(kubectl):
    pki = kubectl.status("digits")["pki"]
    return pki["served"] == pki["total"]


def serials(kubectl):
    return {each["subject"]: each["serial"] for each in kubectl.status("digits")["pki"]["certificates"]}


def restarts(kubectl):
    pods = kubectl.all("pods", "shieldwall.dev/training=digits")
    return {
        (pod["metadata"]["uid"], status["name"]): status["restartCount"]
        for pod in pods
        for status in [*pod["status"]["containerStatuses"], *pod["status"]["initContainerStatuses"]]
    }


def refused_rounds(kubectl):
    return kubectl.run(
        "digits-aggregator-0", "aggregator", "python3", "-c",
        "import json; print(sum(json.loads(line)['outcome'] != 'released'"
        " or json.loads(line)['admitted'] != 3 for line in open('/var/lib/shieldwall/model/ledger.jsonl')))",
    ).strip()  # fmt: skip


def mounted(kubectl, subject):
    """Serial number of the leaf that the subject's proxy may read."""
    said = kubectl.run(pod_of(kubectl, subject), "proxy", "openssl", "x509", "-noout", "-serial", "-in", LEAF)
    return said.strip().removeprefix("serial=").lower()


def in_secret(kubectl, subject):
    role, _, client = subject.partition("/")
    name = f"digits-tls-{client}" if client else f"digits-{role}-tls"
    pem = base64.b64decode(kubectl.get("secret", name)["data"]["tls.crt"])
    return f"{x509.load_pem_x509_certificate(pem).serial_number:x}"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("subject", ["client.berlin", "all"])
def test_renewed_by_one_command(training, kubectl, report, subject):
    before, runs, number = serials(kubectl), restarts(kubectl), kubectl.status("digits")["round"]
    wanted = {"client/berlin"} if subject != "all" else set(before)
    witness = "client/berlin" if subject != "all" else "server"
    assert same(shown(kubectl), before["server"])
    began = time.monotonic()
    kubectl("annotate", "--overwrite", "ft/digits", f"renew.shieldwall.dev/{subject}={time.time_ns()}")
    seconds = {}

    def reached(what, question, within):
        eventually(question, within, 0.1)
        seconds[what] = round(time.monotonic() - began, 1)

    reached("in its Secret", lambda: not same(in_secret(kubectl, witness), before[witness]), 30)
    reached("in the pod", lambda: not same(mounted(kubectl, witness), before[witness]), 60)
    if subject == "all":
        reached("seen by openssl s_client", lambda: same(shown(kubectl), in_secret(kubectl, "server")), 60)
    reached("all served, as status says", lambda: renewed(kubectl, before) == wanted and all_served(kubectl), 90)
    seconds["of these the kubelet's"] = round(seconds["in the pod"] - seconds["in its Secret"], 1)
    report(f"renewal of {subject}: seconds from the command until", seconds)
    now = serials(kubectl)
    assert same(shown(kubectl), now["server"])
    for each in before:
        assert same(mounted(kubectl, each), now[each]), each
    eventually(lambda: kubectl.status("digits")["round"] > number + 1, 60)
    assert restarts(kubectl) == runs, "nothing restarts"
    assert refused_rounds(kubectl) == "0", "no reply is lost"


def renewed(kubectl, before):
    now = serials(kubectl)
    return {each for each in now if now[each] != before.get(each)}
