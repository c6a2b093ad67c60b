"""The operator and the pods that it makes, from one end to the other: a real API server, real Envoy, real Flower.

The digits example is applied; the controllers make its pods, which run on this machine; in mid-run the server's leaf
is renewed and the operator is killed. A witness looks on all the while; the tests judge what it saw.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from harness.local_node import LocalNode
from harness.process import Component, program

from shieldwall.runtime.checkpoint import read_latest

from .conftest import Space, eventually
from .witness import Witness, seconds_to_tell

if TYPE_CHECKING:
    from harness.audit import Request

    from .witness import Look

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

EXAMPLE = Path(__file__).parents[3] / "examples" / "digits"
CLIENTS = ("berlin", "charite", "dresden")
ROUNDS = 8
ROUND_SECONDS = 3.0
"""Each client sleeps so long in a round: the training is to last, and not to compute."""
BOUND = 5.0
"""Seconds from a change to status."""
TAKEOVER = 20.0
"""Seconds from the start of an operator to a status that goes on."""
FROZEN = 8.0
"""Seconds in which the operator asks the steward twice."""
USER = "operator-of-a-live-training"
WRITES_STATUS = ("patch", "federatedtrainings", "status")
HALF = ROUNDS // 4


def document(space):
    return {
        "apiVersion": "shieldwall.dev/v1alpha1",
        "kind": "FederatedTraining",
        "metadata": {"name": "digits", "namespace": space.name},
        "spec": {
            "app": {
                "image": "example/digits:1",
                "clientApp": "digits.client_app:app",
                "model": "digits.task:initial_arrays",
                "evaluate": "digits.task:evaluate",
                "config": {"lr": 0.1, "local-epochs": 1, "batch-size": 16, "alpha": 3.0},
            },
            "rounds": {"count": ROUNDS},
            "clients": [{"name": client} for client in CLIENTS],
            "aggregation": {"rule": "FedMedian", "byzantine": 1},
        },
    }


def slow_app(directory):
    app = directory / "app"
    shutil.copytree(EXAMPLE, app)
    client = app / "digits" / "client_app.py"
    before = "    arrays, loss = train_fn("
    text = client.read_text()
    assert before in text
    client.write_text(text.replace(before, f"    __import__('time').sleep({ROUND_SECONDS})\n{before}"))
    return app


@dataclass
class Story:
    """What happened; times in monotonic seconds."""

    looks: list[Look]
    node: LocalNode
    pods: dict[str, dict[str, Any]]
    """As they were at the end, by name."""
    pods_before: dict[str, dict[str, Any]]
    """As they were when the operator was killed."""
    asked: float
    """When a new leaf was asked for, while no volume was brought up to date."""
    thawed: float
    killed: float
    restarted: float
    adopted: float
    writes: list[Request]
    """Of the second operator, until the training was over."""

    @property
    def last(self) -> Look:
        return self.looks[-1]

    def between(self, begin: float, end: float) -> list[Look]:
        return [look for look in self.looks if begin <= look.begun and look.ended <= end]


@pytest.fixture(scope="module")
def story(server):
    space = Space(server, f"live-{time.time_ns() // 1_000_000}")
    server.request("POST", "/api/v1/namespaces", {"metadata": {"name": space.name}})
    eventually(lambda: server.request("GET", f"/api/v1/namespaces/{space.name}/serviceaccounts/default"))
    with tempfile.TemporaryDirectory(prefix="shieldwall-test-") as temporary:
        directory = Path(temporary)
        directory.chmod(0o711)  # each pod is another user
        space.apply(document(space))
        witness = Witness(space, "digits")
        with LocalNode(server, space.name, slow_app(directory), directory) as node, witness.watching():
            story = tell(space, node, witness, directory)
        yield story


def start_operator(space, directory):
    config = directory / "operator.yaml"
    config.write_text(json.dumps(space.config()))
    kubeconfig = space.server.kubeconfig(USER, ["system:masters"])
    return Component(
        "operator", [*program("located_operator"), "--config", config, "--kubeconfig", kubeconfig], directory
    )


def tell(space, node, witness, directory):
    """What is wrong with status is for the tests to say: only what the steward says is insisted on here."""
    operator = start_operator(space, directory)
    try:
        assert witness.sees(lambda look: look.steward and look.steward.round >= HALF, 120)
        shown, asked = witness.answered.shown, time.monotonic()
        with node.frozen():
            ask_for_renewal(space, "lost-key")
            time.sleep(FROZEN)
        thawed = time.monotonic()
        assert witness.sees(lambda look: look.shown not in {shown, None}, 30)
        witness.sees(tells_what_is_shown, 2 * BOUND)
        pods_before, killed, since = space.all("pods"), time.monotonic(), datetime.now(UTC)
        operator.kill()
        rounds = witness.answered.steward.round
        assert witness.sees(lambda look: look.steward and look.steward.round > rounds, 30)
        restarted = time.monotonic()
        operator = start_operator(space, directory)
        witness.sees(lambda look: look.steward and look.status.get("round") == look.steward.round, TAKEOVER)
        adopted = time.monotonic()
        assert witness.sees(lambda look: look.steward and look.steward.phase == "Completed", 120)
        witness.sees(lambda look: look.status["phase"] == "Completed", 2 * BOUND)
        writes = [each for each in space.server.audit.requests(USER, since) if each.writes]
        shown = witness.answered.shown
        ask_for_renewal(space, "lost-again")
        assert witness.sees(lambda look: look.shown not in {shown, None}, 30)
        witness.sees(tells_what_is_shown, 2 * BOUND)
    finally:
        operator.stop()
    pods = space.all("pods")
    return Story(witness.looks, node, pods, pods_before, asked, thawed, killed, restarted, adopted, writes)


def tells_what_is_shown(look):
    told = look.certificate("server")
    return told["served"] and told["serial"] == look.shown


def ask_for_renewal(space, nonce):
    annotations = {"renew.shieldwall.dev/server": nonce}
    space.patch("federatedtrainings", "digits", {"metadata": {"annotations": annotations}})


def changes():
    """By name: how a look shows that the steward says it, and that status does."""
    yield "reachable", lambda look: look.ready and look.steward, lambda look: look.certificate("server")["served"]
    for number in range(1, len(CLIENTS) + 1):
        yield (
            f"{number} online",
            lambda look, number=number: look.online >= number,
            lambda look, number=number: look.status.get("clients", {}).get("ready", 0) >= number,
        )
    for index, client in enumerate(CLIENTS):
        yield (
            f"leaf of {client}",
            lambda look, index=index: look.steward and look.steward.clients[index].serial,
            lambda look, client=client: look.certificate(f"client/{client}")["served"],
        )
    yield (
        "leaf of the aggregator",
        lambda look: look.steward and look.steward.aggregator_serial,
        lambda look: look.certificate("aggregator")["served"],
    )
    for number in range(1, ROUNDS + 1):
        yield (
            f"round {number}",
            lambda look, number=number: look.steward and look.steward.round >= number,
            lambda look, number=number: look.status.get("model", {}).get("round", 0) >= number,
        )
    for phase in ("Training", "Completed"):
        yield (
            phase,
            lambda look, phase=phase: look.steward and look.steward.phase == phase,
            lambda look, phase=phase: look.status.get("phase") == phase,
        )


def test_each_change_is_in_status_within_5_s(story):
    late, in_time = {}, {}
    for name, said, told in changes():
        when = next(look.ended for look in story.looks if said(look))
        if not story.killed - BOUND < when < story.adopted:  # nobody is there to tell it
            seconds = seconds_to_tell(story.looks, said, told)
            (late if seconds > BOUND else in_time)[name] = round(seconds, 1)
    assert late == {}
    assert {"reachable", "1 online", "3 online", "leaf of berlin", "round 1", "round 8", "Completed"} <= set(in_time)


def test_status_says_nothing_that_the_steward_has_not_said(story):
    """In each look status was asked first; where the answer was missed, it is held against the next one."""
    serials, digests, online, unjudged = set(), {}, 0, []
    for look in story.looks:
        unjudged.append(look)
        if look.missed:
            continue
        serials.add(look.shown)
        online = max(online, look.online)
        if look.steward is not None:
            digests[look.steward.round] = look.steward.model_sha256
        for each in unjudged:
            told, model = each.certificate("server"), each.status.get("model")
            assert not told["served"] or told["serial"] in serials
            assert each.status.get("clients", {}).get("ready", 0) <= online
            assert model is None or model["sha256"] == digests[model["round"]]
        unjudged.clear()
    assert len(story.looks) > 2 * sum(look.missed for look in story.looks), "it has seen something"
    assert len(serials - {None}) == 3


def test_no_client_is_let_in_before_all_nodes_are_registered_and_none_gives_up(story):
    answers = [look.steward for look in story.looks if look.steward is not None]
    registered = next(n for n, said in enumerate(answers) if all(client.node_id for client in said.clients))
    for said in answers[:registered]:
        assert not any(client.online or client.serial for client in said.clients)
    for said in answers[registered:]:
        assert all(client.node_id for client in said.clients), "the ids stay"
    assert {denial.reason for denial in answers[-1].denials} <= {"not-ready"}
    counts = [sum(denial.count for denial in said.denials) for said in (answers[registered + 1], answers[-1])]
    assert counts[0] == counts[1]
    assert restarts(story.pods) == {}


def test_the_training_completes_with_the_model_that_is_on_the_volume(story):
    status = story.last.status
    volume = story.node.claim("model-digits-aggregator-0")
    content = (volume / status["model"]["checkpoint"]).read_bytes()
    assert (status["phase"], status["round"], status["summary"]) == (
        "Completed", ROUNDS, {"round": f"{ROUNDS}/{ROUNDS}", "clients": "3/3"},
    )  # fmt: skip
    assert hashlib.sha256(content).hexdigest() == status["model"]["sha256"]
    latest = read_latest(volume)
    assert (latest.round, latest.records[-1].metrics["accuracy"]) == (ROUNDS, status["accuracy"])
    assert status["accuracy"] > 0.8  # of ten digits


def test_the_score_is_what_was_observed(story):
    """Nothing enforces NetworkPolicies here, and that was seen too."""
    security = story.last.status["security"]
    states = {check["name"]: check["state"] for check in security["checks"]}
    seen = {name for name, state in states.items() if state == "observed"}
    assert seen == {
        "ClientCertificateRequired", "CertificatesServed", "UpdatesSigned",
        "RobustRuleRan", "TheoremHolds", "PolicyInForce", "ContributionScored",
    }  # fmt: skip
    assert states["NetworkPolicyEnforced"] == "failed"
    assert security["score"] == 60


def test_a_renewed_leaf_is_told_as_served_only_after_it_was_read_back(story):
    """While the volume stays as it was, status names the new leaf, and says that it is not served."""
    frozen = [look for look in story.between(story.asked, story.thawed) if not look.missed]
    before = frozen[0].shown
    assert {look.shown for look in frozen} == {before}
    renewed = [look for look in frozen if look.certificate("server")["serial"] != before]
    assert renewed[0].begun - story.asked < BOUND
    assert renewed[-1].ended - renewed[0].begun > 2, "it was looked at for a while"
    for look in renewed:
        assert look.certificate("server")["served"] is False
        assert look.status["pki"]["requests"] == [{"subject": "server", "nonce": "lost-key"}]
    new = renewed[0].certificate("server")["serial"]
    thawed = [look for look in story.looks if look.begun > story.thawed]
    assert next(look.ended for look in thawed if look.shown == new) - story.thawed < BOUND, "its pod was named"
    assert told_within(thawed, new) < BOUND
    assert [
        name for name, pod in story.pods_before.items() if "shieldwall.dev/nudge" in pod["metadata"]["annotations"]
    ] == ["digits-server-0"]


def test_a_renewal_after_the_end_is_told_as_soon(story):
    """Although a steward that has nothing new to say is asked twice a minute only."""
    new = story.last.certificate("server")
    assert new["served"] is True
    assert told_within(story.looks, new["serial"]) < BOUND


def told_within(looks, serial):
    """Seconds from the first connection on which a certificate was shown to the status that says so."""
    return seconds_to_tell(
        looks,
        lambda look: look.shown == serial,
        lambda look: look.certificate("server")["serial"] == serial and look.certificate("server")["served"],
    )


def test_a_renewal_costs_no_point_that_stands_on_something_else(story):
    looks = story.between(story.asked, story.killed)
    states = {
        check["state"]
        for look in looks
        for check in look.status["security"]["checks"]
        if check["name"] == "ClientCertificateRequired"
    }
    assert states == {"observed"}


def test_an_operator_that_was_killed_goes_on_with_what_is_there(story):
    assert story.adopted - story.restarted < TAKEOVER
    assert {(each.verb, each.resource, each.subresource) for each in story.writes if each.resource != "events"} == {
        WRITES_STATUS
    }
    assert {name: pod["metadata"]["uid"] for name, pod in story.pods.items()} == {
        name: pod["metadata"]["uid"] for name, pod in story.pods_before.items()
    }
    since = [look.status for look in story.looks if look.begun > story.killed]
    assert {status["phase"] for status in since} == {"Training", "Completed"}
    assert [status["round"] for status in since] == sorted(status["round"] for status in since)
    assert {status["clients"]["ready"] for status in since} == {len(CLIENTS)}


def restarts(pods):
    """How often containers were started again; empty when none was."""
    return {
        f"{name}/{container['name']}": container["restartCount"]
        for name, pod in pods.items()
        for kind in ("initContainerStatuses", "containerStatuses")
        for container in pod["status"][kind]
        if container["restartCount"]
    }
