"""One thing is killed in mid-run, each in a run of its own: the run ends with the model of an undisturbed one.

Where a reply was lost the model may differ: then the round's record names who did not answer, and the accuracy is
within a point. Runs go on side by side, each in one of a few namespaces; what hurts them all is killed in the end, when
no other run is there.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from queue import SimpleQueue

import pytest

from . import node
from .conftest import leave_evidence, space
from .documents import digits
from .kubectl import eventually
from .leaves import same, shown

pytestmark = pytest.mark.timeout(1800)  # the first test waits for whatever runs beside it

CLIENTS, ROUNDS, KILL_AFTER = 3, 8, 3
POINT = 0.01
LANES = 2
"""More would ask for more than two processors."""


def ledger(kubectl):
    """Every attempt at a round, as the model's volume has it."""
    text = kubectl.run("digits-aggregator-0", "aggregator", "cat", "/var/lib/shieldwall/model/ledger.jsonl")
    return [json.loads(line) for line in text.splitlines()]


def finish(kubectl, seconds=240):
    status = eventually(lambda: (s := kubectl.status("digits")).get("phase") in {"Completed", "Failed"} and s, seconds)
    assert status["phase"] == "Completed", status
    assert status["round"] == ROUNDS
    return status


def clear(kubectl):
    kubectl.delete("ft", "digits")
    eventually(lambda: not kubectl.all("pods", "shieldwall.dev/training=digits"), 90)
    kubectl("delete", "pvc", "--all", "--wait=true")


def container(name, of):
    """Kills a container's first process; what it returns says whether another has taken its place."""

    def kill(kubectl, _site):
        pod = kubectl.get("pod", pod_of(kubectl, of))
        node.kill_container(pod, name)
        return lambda: restarts(kubectl.get("pod", pod["metadata"]["name"]), name) > restarts(pod, name)

    return kill


def restarts(pod, name):
    statuses = [*pod["status"]["containerStatuses"], *pod["status"]["initContainerStatuses"]]
    return next(each["restartCount"] for each in statuses if each["name"] == name)


def pod(of):
    """Deletes a pod at once; what it returns says whether another has taken its place."""

    def kill(kubectl, _site):
        uid = kubectl.get("pod", pod_of(kubectl, of))["metadata"]["uid"]
        kubectl.delete("pod", pod_of(kubectl, of), "--force", "--grace-period=0")
        return lambda: kubectl.get("pod", pod_of(kubectl, of))["metadata"]["uid"] != uid

    return kill


def pod_of(kubectl, of):
    component, _, client = of.partition("/")
    selector = f"shieldwall.dev/training=digits,app.kubernetes.io/component={component}"
    selector += f",shieldwall.dev/client={client}" if client else ""
    return next(
        each["metadata"]["name"]
        for each in kubectl.all("pods", selector)
        if "deletionTimestamp" not in each["metadata"]
    )


def operators(_kubectl, site):
    inside = site.kubectl.inside(site.helm.namespace)

    def ready():
        return {
            each["metadata"]["uid"]
            for each in inside.all("pods", "app.kubernetes.io/component=operator")
            if any(it["type"] == "Ready" and it["status"] == "True" for it in each["status"].get("conditions", []))
        }

    before = ready()
    inside("delete", "pods", "-l", "app.kubernetes.io/component=operator", "--force", "--grace-period=0")
    return lambda: bool(ready() - before)


def kubelet(_kubectl, site):
    site.node.kill_kubelet()
    time.sleep(30)
    site.node.start_kubelet()
    return lambda: True


KILLS = {
    "operator": operators,
    "superlink": container("superlink", "server"),
    "steward": container("steward", "server"),
    "server's proxy": container("proxy", "server"),
    "server pod": pod("server"),
    "aggregator": container("aggregator", "aggregator"),
    "aggregator pod": pod("aggregator"),
    "aggregator's proxy": container("proxy", "aggregator"),
    "supernode": container("supernode", "client/dresden"),
    "trainer": container("trainer", "client/dresden"),
    "client's proxy": container("proxy", "client/dresden"),
    "client pod": pod("client/dresden"),
    "kubelet": kubelet,
}
ANYWHERE = {"operator", "server pod", "aggregator pod", "client pod"}
"""What kubectl alone can kill; the rest are processes of the node."""
FOR_ALL = {"operator", "kubelet"}
"""What every training feels."""


@pytest.fixture(scope="module")
def runs(site, release, request):
    """By what is killed, None for nothing: what came of it, as a future."""
    kills = [None, *(what for what in KILLS if site.own or what in ANYWHERE)]
    with ExitStack() as exits:
        lanes = SimpleQueue()
        for number in range(LANES):
            lanes.put(exits.enter_context(space(site, request, f"-{number}")))

        def one(what):
            kubectl = lanes.get()
            try:
                return run(site, kubectl, what)
            except BaseException:
                leave_evidence(kubectl, f"chaos-{what}".replace(" ", "-").replace("'", ""))
                raise
            finally:
                try:
                    clear(kubectl)
                finally:
                    lanes.put(kubectl)  # a lane that is lost would be waited for in vain

        pool = exits.enter_context(ThreadPoolExecutor(LANES))
        alone = exits.enter_context(ThreadPoolExecutor(1))
        futures = {what: pool.submit(one, what) for what in kills if what not in FOR_ALL}
        others = list(futures.values())

        def after(what):
            wait(others)
            return one(what)

        yield futures | {what: alone.submit(after, what) for what in kills if what in FOR_ALL}
        for future in (*others, *futures.values()):
            future.cancel()


def run(site, kubectl, what):
    """One run from its first round to its last. Returns its status, its ledger, and the seconds that healing took."""
    kubectl.apply(digits(site.images.digits, CLIENTS, ROUNDS))
    healing = {}
    if what is not None:
        eventually(lambda: kubectl.status("digits").get("round", 0) >= KILL_AFTER, 240, 0.2)
        replaced = KILLS[what](kubectl, site)
        began = time.monotonic()
        at = kubectl.status("digits")["round"]
        eventually(lambda: replaced() and told_right(kubectl), 60, 0.2)
        healing["seconds until status is right"] = round(time.monotonic() - began, 1)
        assert at < ROUNDS or what == "kubelet", "the run had ended; without a kubelet it may, in half a minute"
        eventually(lambda: kubectl.status("digits").get("round", 0) > at or at == ROUNDS, 180, 0.2)
        healing["seconds to the next round"] = round(time.monotonic() - began, 1)
    status = finish(kubectl)
    return status, ledger(kubectl), healing


def told_right(kubectl):
    """Whether status says that every certificate is in use, and openssl sees the one that it names as the server's."""
    status = kubectl.status("digits")
    pki = status["pki"]
    served = {each["subject"]: each["serial"] for each in pki["certificates"] if each["served"]}
    right = status["phase"] != "Unreachable" and pki["served"] == pki["total"] == CLIENTS + 2
    return right and same(served["server"], shown(kubectl))


def test_undisturbed_every_round_is_released_once(runs):
    status, records, _ = runs[None].result()
    assert [each["outcome"] for each in records] == ["released"] * ROUNDS
    assert all(each["admitted"] == CLIENTS for each in records)
    assert status["phase"] == "Completed"


@pytest.mark.parametrize("what", KILLS)
def test_killed_in_mid_run(runs, report, what):
    if what not in runs:
        pytest.skip("needs the node of the suite's own cluster")
    undisturbed = runs[None].result()[0]
    status, records, healing = runs[what].result()
    released = [each for each in records if each["outcome"] == "released"]
    lost = {each["round"]: CLIENTS - each["admitted"] for each in released if each["admitted"] < CLIENTS}
    repeated = len(records) - len(released)
    report(f"killed: {what}", healing | {"rounds repeated": repeated, "replies lost": sum(lost.values())})
    assert sorted(each["round"] for each in released) == list(range(1, ROUNDS + 1)), "each round counts once"
    if lost:
        assert abs(status["accuracy"] - undisturbed["accuracy"]) <= POINT
        for each in released:
            if each["round"] in lost:
                named = [reply["client"] for reply in each["replies"] if reply["fate"] != "admitted"]
                assert len(named) == lost[each["round"]], each
    else:
        assert status["model"]["sha256"] == undisturbed["model"]["sha256"]
