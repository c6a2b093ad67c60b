"""`shieldwall renew`: who is meant, what is written, and when a wait ends."""

import copy
import json
import re
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from shieldwall.cli import renew as module
from shieldwall.cli.kube import Cluster, ClusterError
from shieldwall.cli.main import app
from shieldwall.cli.renew import new_nonce, seconds_of
from shieldwall.cli.renewal_wait import Progress
from shieldwall.cli.seen import SeenTraining
from shieldwall.cli.subjects import EVERYBODY, Subject, UnknownSubjectError, subject_of
from shieldwall.control.api.requests import renewal_requests
from shieldwall.control.cluster.errors import ApiError, ApiUnreachableError

CLIENTS = ("berlin", "bremen", "jena")
JENA = Subject("client.jena")


@pytest.mark.parametrize(
    ("word", "subject"),
    [
        ("jena", "client.jena"),
        ("client/jena", "client.jena"),
        ("client.jena", "client.jena"),
        ("server", "server"),
        ("aggregator", "aggregator"),
    ],
)
def test_who_is_meant(word, subject):
    assert subject_of(word, "digits", CLIENTS).requested_as == subject
    assert subject_of("client/server", "digits", (*CLIENTS, "server")).requested_as == "client.server"
    assert subject_of("server", "digits", (*CLIENTS, "server")).requested_as == "server"


@pytest.mark.parametrize("word", ["jenna", "client/jenna", "JENA", "all", "", "client/", "x/y"])
def test_who_does_not_exist(word):
    with pytest.raises(UnknownSubjectError) as caught:
        subject_of(word, "digits", CLIENTS)
    assert ("jena" in caught.value.near) is (word in {"jenna", "client/jenna"})


def test_near_names_are_offered_and_else_the_first_ten():
    with pytest.raises(UnknownSubjectError, match=r"digits has no client jnea; did you mean jena\?"):
        subject_of("jnea", "digits", CLIENTS)
    with pytest.raises(UnknownSubjectError, match=r"x. It has server, aggregator, c0, .*c7 and 92 more\.$"):
        subject_of("x", "digits", [f"c{index}" for index in range(100)])


def test_a_nonce_is_one_that_the_operator_reads_and_no_other():
    now = datetime(2026, 3, 1, tzinfo=UTC)
    nonces = {new_nonce(now) for _ in range(20)}
    assert len(nonces) == 20
    for nonce in nonces:
        assert renewal_requests({"renew.shieldwall.dev/all": nonce}, ()).nonces == {"all": nonce}


def test_durations():
    assert [seconds_of(text) for text in ("3m", "90s", "1h30m", "1h1m1s")] == [180, 90, 5400, 3661]
    for text in ("", "3", "m3", "-3m", "3m ", "3d"):
        with pytest.raises(ClusterError, match="--timeout"):
            seconds_of(text)


def entry(subject, serial, *, served=False):
    time = "2026-03-01T12:00:00Z"
    return {"subject": subject, "serial": serial, "notAfter": time, "renewal": time, "served": served}


def body(certificates=(), requests=(), annotations=(), reason="Renewing", served=4, **spec):
    condition = {
        "type": "Certificates",
        "status": "Unknown" if reason == "NotObserved" else "True",
        "reason": reason,
        "message": "Said of all.",
        "lastTransitionTime": "2026-03-01T12:00:00Z",
    }
    pki = {
        "served": served,
        "total": 5,
        "certificates": list(certificates),
        "requests": [{"subject": subject, "nonce": nonce} for subject, nonce in requests],
        "pending": spec.pop("pending", []),
    }
    return {
        "metadata": {"name": "digits", "namespace": "fl", "uid": "u-1", "annotations": dict(annotations)},
        "spec": {"clients": [{"name": name} for name in CLIENTS], **spec},
        "status": {"conditions": [condition], "pki": pki},
    }


ASKED = [("renew.shieldwall.dev/client.jena", "n")]
DONE = [("client.jena", "n")]


def look(progress=None, **more):
    more.setdefault("annotations", ASKED)
    return (progress or Progress(JENA, "n", "aaaa")).seeing(SeenTraining.of(body(**more)))


def test_it_is_not_done_before_the_new_serial_is_in_use():
    first = look(certificates=[entry("client/jena", "aaaa", served=True)])
    assert (first.answered, first.done, first.serial) == (False, False, None)
    second = look(first, certificates=[entry("client/jena", "bbbb")], requests=DONE)
    assert (second.answered, second.done, second.stage) == (True, False, "issued; waiting until it is in use")
    third = look(second, certificates=[entry("client/jena", "bbbb", served=True)], requests=DONE)
    assert (third.done, third.serial) == (True, "bbbb")


def test_another_request_for_the_same_that_was_carried_out_does_not_count():
    assert not look(
        certificates=[entry("client/jena", "bbbb", served=True)], requests=[("client.jena", "old")]
    ).answered
    assert not look(certificates=[entry("client/jena", "bbbb", served=True)], requests=[("all", "n")]).answered


def test_a_later_request_for_the_same_is_as_good():
    later = [("renew.shieldwall.dev/client.jena", "n2")]
    seen = look(annotations=later, certificates=[entry("client/jena", "cccc", served=True)])
    assert not seen.done
    assert look(
        seen,
        annotations=later,
        certificates=[entry("client/jena", "cccc", served=True)],
        requests=[("client.jena", "n2")],
    ).done


def test_a_request_that_was_taken_back_ends_the_wait():
    assert look(annotations=[]).withdrawn


def test_nothing_is_in_use_where_nobody_looks():
    seen = look(certificates=[entry("client/jena", "bbbb", served=True)], requests=DONE, reason="NotObserved")
    assert not seen.done
    assert seen.stage == "issued; waiting for the steward to say what is in use"
    assert seen.remark == "Said of all."


def test_of_a_suspended_training_nothing_has_to_be_in_use():
    seen = look(certificates=[entry("client/jena", "bbbb")], requests=DONE, reason="NotObserved", suspend=True)
    assert (seen.done, seen.serial) == (True, "bbbb")


def test_all_is_done_when_every_leaf_is_in_use():
    asked = [("renew.shieldwall.dev/all", "n")]
    begun = Progress(EVERYBODY, "n", None)
    seen = look(begun, annotations=asked, requests=[("all", "n")], served=4)
    assert (seen.done, seen.stage) == (False, "issued; waiting until all are in use, 4 of 5 are")
    assert look(begun, annotations=asked, requests=[("all", "n")], served=5).done
    assert not look(begun, annotations=asked, served=5).done


def test_where_status_has_no_room_for_the_request_a_new_serial_number_will_do():
    others = [(f"client.a{index:02}", "x") for index in range(20)]
    assert look(certificates=[entry("client/jena", "bbbb", served=True)], requests=others).done
    assert not look(certificates=[entry("client/jena", "aaaa", served=True)], requests=others).answered
    renewed = [entry("client/jena", "bbbb", served=True)]
    assert not look(certificates=renewed, requests=others, pending=["client.jena"]).answered


class Api:
    """An API server with one training; ``script`` is what it says of it, one look after another, the last forever."""

    def __init__(self, *script):
        self.script = list(script)
        self.patches = []

    async def get(self, kind, namespace, name):
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(step, Exception):
            raise step
        step = copy.deepcopy(step)
        if self.patches:
            change = self.patches[-1]["metadata"]["annotations"]
            step["metadata"]["annotations"] |= change
            for request in step["status"]["pki"]["requests"]:
                request["nonce"] = next(iter(change.values()))
        return step

    async def merge(self, kind, namespace, name, change, manager):
        self.patches.append(change)


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.01)

    def invoke(api, *arguments):
        @asynccontextmanager
        async def opened(target):
            yield Cluster(api, "fl")

        monkeypatch.setattr(module, "open_cluster", opened)
        return CliRunner(env={"TERM": "dumb"}).invoke(app, ["renew", "digits", *arguments])

    return invoke


def test_it_writes_one_annotation_of_this_very_training(run):
    api = Api(body([entry("client/jena", "aaaa")]))
    done = run(api, "jena")
    assert done.exit_code == 0
    ((change,),) = (api.patches,)
    assert change["metadata"]["uid"] == "u-1"
    ((name, nonce),) = change["metadata"]["annotations"].items()
    assert name == "renew.shieldwall.dev/client.jena"
    assert done.stdout == f"asked: client/jena of digits in namespace fl, request {nonce}\n"


@pytest.mark.parametrize("arguments", [("jenna",), (), ("jena", "--all"), ("jena", "--timeout", "soon")])
def test_nothing_is_written_for_what_cannot_be_meant(run, arguments):
    api = Api(body())
    assert run(api, *arguments).exit_code == 2
    assert api.patches == []


def test_nothing_is_asked_of_a_training_that_is_being_deleted(run):
    leaving = body()
    leaving["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    api = Api(leaving)
    assert run(api, "jena").exit_code == 1
    assert api.patches == []


def test_a_wait_goes_over_an_api_server_that_is_away_or_busy(run):
    before, served = entry("client/jena", "aaaa", served=True), entry("client/jena", "bbbb", served=True)
    api = Api(
        body([before]),
        body([before]),
        ApiUnreachableError("gone"),
        ApiError(503, "ServiceUnavailable", "starting"),
        body([served], DONE),
    )
    done = run(api, "jena", "--wait")
    assert done.exit_code == 0
    assert re.search(r"^renewed: serial aaaa… → bbbb…, served after 0 s$", done.stdout, re.MULTILINE)
    assert done.stderr.count("waiting for the operator to issue it") == 1
    assert "does not answer" in done.stderr
    assert "busy: ServiceUnavailable" in done.stderr


def test_a_wait_ends_with_a_refusal(run):
    api = Api(body([entry("client/jena", "aaaa")]), ApiError(403, "Forbidden", "no more"))
    assert isinstance(run(api, "jena", "--wait").exception, ApiError)  # told by open_cluster


def test_too_late_is_a_failure_that_says_what_is_missing(run):
    api = Api(body([entry("client/jena", "aaaa", served=True)]))
    done = run(api, "jena", "--wait", "--timeout", "0s")
    assert done.exit_code == 1
    assert "Not done within 0s: waiting for the operator to issue it. The request stands" in done.stderr


def test_a_warning_stands_on_standard_error_though_nobody_waits(run):
    document = body([entry("client/jena", "aaaa")])
    condition = document["status"]["conditions"][0] | {"type": "Stalled", "status": "True"}
    document["status"]["conditions"].append(condition | {"reason": "ForeignAuthority", "message": "Who has its key?"})
    done = run(Api(document), "jena")
    assert done.exit_code == 0
    assert "Stalled, ForeignAuthority: nothing is renewed" in " ".join(done.stderr.split())
    assert "Stalled" not in done.stdout


def test_a_paused_training_is_not_waited_for(run):
    api = Api(body([entry("client/jena", "aaaa")], annotations=[("shieldwall.dev/paused", "true")]))
    done = run(api, "jena", "--wait")
    assert done.exit_code == 1
    assert "paused" in done.stderr
    assert len(api.patches) == 1
    assert run(api, "jena").exit_code == 0


def test_json_is_one_object_on_standard_output(run):
    before, served = entry("client/jena", "aaaa", served=True), entry("client/jena", "bbbb", served=True)
    found = json.loads(run(Api(body([before]), body([served], DONE)), "jena", "--wait", "-o", "json").stdout)
    assert (found["subject"], found["serialBefore"], found["serial"]) == ("client/jena", "aaaa", "bbbb")
    assert (found["renewed"], found["served"]) == (True, True)
    asked = json.loads(run(Api(body([before])), "jena", "-o", "json").stdout)
    assert (asked["renewed"], asked["served"], asked["seconds"]) == (None, None, None)


def stalled(reason, certificates="Renewing"):
    document = body(reason=certificates)
    condition = document["status"]["conditions"][0] | {"type": "Stalled", "status": "True"}
    document["status"]["conditions"].append(condition | {"reason": reason, "message": "Secret digits-x is not ours."})
    return SeenTraining.of(document)


@pytest.mark.parametrize(
    ("reason", "certificates", "told"),
    [
        ("InvalidSpec", "InvalidSpec", "nothing is renewed until the spec is corrected"),
        ("InvalidSpec", "AllServed", None),
        ("RunsFailed", "AllServed", None),
        ("ForeignAuthority", "AllServed", "nothing is renewed"),
        ("OtherOperator", "AllServed", "this operator renews nothing"),
        ("UnreadableRootCA", "AllServed", "renews nothing"),
        ("ForeignObject", "AllServed", "whose Secret this names"),
        ("ContestedObject", "AllServed", "once a minute"),
    ],
)
def test_who_asks_in_vain_is_told(reason, certificates, told):
    warning = module.held_up(stalled(reason, certificates))
    assert (warning is None) is (told is None)
    if told is not None:
        assert told in warning
        assert warning.endswith("Secret digits-x is not ours.")


def test_who_asks_of_a_training_that_is_not_stalled_is_told_nothing():
    assert module.held_up(SeenTraining.of(body())) is None
