"""One client's certificate, then all, renewed in mid-run with one kubectl command each: nothing restarts."""

from __future__ import annotations

import base64
import time

import pytest
from cryptography import x509

from .kubectl import eventually
from .leaves import pod_of, same, shown
from .ledger import ledger
from .objects import restarts

LEAF = "/etc/shieldwall/tls/tls.crt"


@pytest.fixture(scope="module")
def training(kubectl):
    eventually(lambda: all_served(kubectl), 60)


def all_served(kubectl):
    pki = kubectl.status("digits")["pki"]
    return pki["served"] == pki["total"]


def serials(kubectl):
    return {each["subject"]: each["serial"] for each in kubectl.status("digits")["pki"]["certificates"]}


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
    before, runs, first = serials(kubectl), restarts(kubectl), len(ledger(kubectl))
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
    served = len(ledger(kubectl))
    eventually(lambda: len(ledger(kubectl)) > served + 1, 60)  # whole ones, with the new leaves
    assert restarts(kubectl) == runs, "nothing restarts"
    assert {(each["outcome"], each["admitted"]) for each in ledger(kubectl)[first:]} == {("released", 3)}


def renewed(kubectl, before):
    now = serials(kubectl)
    return {each for each in now if now[each] != before.get(each)}
