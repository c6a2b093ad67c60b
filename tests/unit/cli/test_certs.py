"""`shieldwall certs`: rows, table and remarks, from trainings as an API server gives them."""

import base64
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console
from typer.testing import CliRunner

from shieldwall.cli import certs as module
from shieldwall.cli.certificate_rows import State, rows_of
from shieldwall.cli.certs import duration, remarks, table
from shieldwall.cli.kube import Cluster, ClusterError
from shieldwall.cli.leaves import IssuedLeaf, read_leaves
from shieldwall.cli.main import app
from shieldwall.cli.seen import SeenTraining, see
from shieldwall.contract.identity import Federation
from shieldwall.control.cluster.errors import ApiError
from shieldwall.control.issuing.contents import authority_files, certificate_files, root_files
from shieldwall.control.issuing.facts import authority_of
from shieldwall.control.issuing.randomness import Randomness
from shieldwall.pki.leaf import LeafRequest
from shieldwall.pki.pem import certificates_from_pem

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def text(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def report(subject, hours=23, renewal=15, *, served=True):
    return {
        "subject": subject,
        "serial": f"5f0c{abs(hash(subject)):x}",
        "notAfter": text(NOW + timedelta(hours=hours)),
        "renewal": text(NOW + timedelta(hours=renewal)),
        "served": served,
    }


def body(reports, clients=("berlin",), reason="AllServed", annotations=(), served=None, **more):
    wanted = len(clients) + 2
    condition = {
        "type": "Certificates",
        "status": "Unknown" if reason == "NotObserved" else "True",
        "reason": reason,
        "message": "Three leaves issued.",
        "lastTransitionTime": text(NOW),
    }
    in_use = sum(each["served"] for each in reports) if served is None else served
    pki = {"issuer": "c0ffee", "served": in_use, "total": wanted, "certificates": reports, "fromTheFuture": 1}
    return {
        "metadata": {"name": "digits", "namespace": "fl", "uid": "u", "annotations": dict(annotations)},
        "spec": {"clients": [{"name": name} for name in clients]},
        "status": {"conditions": [condition], "pki": pki | more},
    }


def rows(document, leaves=None):
    return {row.subject: row for row in rows_of(SeenTraining.of(document), leaves or {}, NOW)}


def three(**berlin):
    return [report("client/berlin", **berlin), report("server"), report("aggregator")]


@pytest.mark.parametrize(
    ("berlin", "reason", "state", "served"),
    [
        ({}, "AllServed", State.OK, True),
        ({"served": False}, "NotServed", State.NOT_IN_USE, False),
        ({"served": False}, "NotObserved", State.OK, None),
        ({"renewal": -1}, "AllServed", State.DUE, True),
        ({"hours": -1, "renewal": -9}, "AllServed", State.EXPIRED, True),
    ],
)
def test_the_state_of_a_leaf(berlin, reason, state, served):
    row = rows(body(three(**berlin), reason=reason))["client/berlin"]
    assert (row.state, row.served) == (state, served)


def test_rows_have_the_order_of_the_spec_and_tell_what_is_not_issued():
    found = rows(body([report("client/berlin"), report("server")]))
    assert list(found) == ["server", "aggregator", "client/berlin"]
    assert found["aggregator"].state is State.NOT_ISSUED
    assert found["aggregator"].serial is None


def test_a_request_is_told_until_status_says_that_it_was_carried_out():
    ask = [("renew.shieldwall.dev/client.berlin", "n2"), ("renew.shieldwall.dev/bogus", "n")]
    old = [{"subject": "client.berlin", "nonce": "n1"}]
    assert rows(body(three(), annotations=ask, requests=old))["client/berlin"].state is State.REQUESTED
    assert rows(body(three(), annotations=ask, requests=old))["server"].state is State.OK
    new = [{"subject": "client.berlin", "nonce": "n2"}]
    assert rows(body(three(), annotations=ask, requests=new))["client/berlin"].state is State.OK


def test_a_request_that_status_has_no_room_for_is_not_said_to_be_open():
    clients = ("berlin", "bremen", *(f"c{index}" for index in range(20)))
    ask = [(f"renew.shieldwall.dev/client.{client}", "n") for client in clients]
    told = [{"subject": f"client.c{index}", "nonce": "n"} for index in range(20)]
    seen = SeenTraining.of(body(three(), clients, annotations=ask, requests=told, pending=["client.bremen"]))
    assert seen.pending == ("client.bremen",)
    seen = SeenTraining.of(body(three(), clients, annotations=ask, requests=told[1:]))
    assert seen.pending == ("client.berlin", "client.bremen", "client.c0")


def shown(document):
    training = SeenTraining.of(document)
    found = rows_of(training, {}, NOW)
    screen = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    with screen.file:
        screen.print(table(training, found, NOW))
    return [line.rstrip() for line in screen.export_text().splitlines()], remarks(training, len(found))


def test_the_table():
    lines, said = shown(body(three(served=False, hours=25, renewal=-4), reason="NotServed", served=2))
    serial = report("server")["serial"][:4]
    assert lines[0].split() == ["SUBJECT", "SERIAL", "EXPIRES", "RENEWS", "ISSUER", "SERVED", "STATE"]
    assert lines[1].split() == ["server", f"{serial}…", "23h", "15h", "digits-ca", "c0ff…", "yes", "ok"]
    assert lines[3].endswith("25h       4h ago   digits-ca c0ff…   no       renewal due")
    assert said == ["Three leaves issued."]


def test_remarks_name_a_pause_and_what_was_asked_for():
    asked = [("renew.shieldwall.dev/all", "n"), ("shieldwall.dev/paused", "true")]
    _, said = shown(body(three(), annotations=asked))
    assert said[1:] == ["Requested and not yet carried out: all.", "The training is paused: nothing is renewed."]
    fresh = body([]) | {"status": {}}
    assert shown(fresh)[1] == ["No operator has reported on this training yet."]


@pytest.mark.parametrize(
    ("span", "words"),
    [
        ({"seconds": 119}, "119s"),
        ({"seconds": 120}, "2m"),
        ({"minutes": 179}, "179m"),
        ({"hours": 23, "minutes": 59}, "23h"),
        ({"days": 60}, "60d"),
    ],
)
def test_durations_have_one_unit(span, words):
    assert duration(timedelta(**span)) == words


def test_a_status_that_another_version_wrote_is_said_to_be_one():
    document = body(three())
    document["status"]["pki"]["certificates"][0]["serial"] = 5
    with pytest.raises(ClusterError, match="another version"):
        SeenTraining.of(document)


class Api:
    """Answers from a dictionary of names; what is not in it is forbidden, None is missing."""

    def __init__(self, objects):
        self.objects = objects
        self.asked = []

    async def get(self, kind, namespace, name):
        self.asked.append(name)
        if name not in self.objects:
            raise ApiError(403, "Forbidden", "secrets is forbidden")
        if self.objects[name] is None:
            raise ApiError(404, "NotFound", "no")
        return self.objects[name]


def many():
    """22 leaves, of which status tells twenty."""
    names = [f"c{index:02}" for index in range(20)]
    return names, [report(f"client/{name}") for name in names]


def issued():
    now = datetime.now(UTC)
    federation = Federation("shieldwall.local", "fl", "digits")
    root = authority_of(root_files("root", now, Randomness()))
    issuer = authority_of(authority_files(root, federation, timedelta(hours=24), now, Randomness()))
    request = LeafRequest(federation.aggregator(), (), timedelta(hours=24))
    files = certificate_files(issuer, request, now, Randomness())
    return files, {"data": {name: base64.b64encode(content).decode() for name, content in files.items()}}


def invalid(reports=()):
    """As status stands of an invalid spec where no accepted one is known."""
    document = body(list(reports), reason="InvalidSpec", served=0)
    document["status"]["conditions"][0] |= {"status": "Unknown", "message": "Not observed."}
    return document


def test_what_nobody_tells_is_unknown_and_not_said_to_be_missing():
    for document in (invalid(), body([]) | {"status": {}}):
        seen = SeenTraining.of(document)
        assert seen.untold == ("server", "aggregator", "client/berlin"), "so that they are read"
        found = rows(document)
        assert {row.state for row in found.values()} == {State.UNKNOWN}
        assert rows(document, {"server": None})["server"].state is State.NOT_ISSUED
        said = remarks(seen, 3, unknown=True)
        assert said[0].endswith("takes the right to get Secrets in namespace fl.")
        assert remarks(seen, 3)[0] != said[0]


def test_an_invalid_spec_by_which_the_training_is_kept_hides_nothing():
    document = body(three())
    document["status"]["conditions"].append(
        document["status"]["conditions"][0] | {"type": "Stalled", "status": "True", "reason": "InvalidSpec"}
    )
    assert {row.state for row in rows(document).values()} == {State.OK}
    assert SeenTraining.of(document).stalled.reason == "InvalidSpec"


async def test_what_status_has_no_room_for_is_read_from_secrets():
    names, reports = many()
    files, secret = issued()
    training = SeenTraining.of(body(reports, names))
    assert training.untold == ("server", "aggregator")
    api = Api({"digits-server-tls": None, "digits-aggregator-tls": secret})
    leaves = await read_leaves(Cluster(api, "fl"), training, training.untold)
    leaf, issuer = certificates_from_pem(files["tls.crt"])
    assert leaves == {"server": None, "aggregator": IssuedLeaf(leaf, issuer)}
    found = rows(body(reports, names), leaves)
    assert len(found) == 22
    assert found["server"].state is State.NOT_ISSUED
    assert found["aggregator"].serial == f"{leaf.serial_number:x}"
    assert found["aggregator"].issuer == f"{issuer.serial_number:x}"
    assert found["aggregator"].served is True


async def test_without_a_right_to_secrets_one_question_is_enough_and_the_rest_is_said_to_be_left_out():
    names, reports = many()
    training, api = SeenTraining.of(body(reports, names)), Api({})
    assert await read_leaves(Cluster(api, "fl"), training, training.untold) is None
    assert api.asked == ["digits-server-tls"]
    assert "20 of 22 certificates" in remarks(training, 20)[0]


def test_whether_those_left_out_are_in_use_is_known_only_while_one_that_is_told_is():
    names, reports = many()
    assert SeenTraining.of(body(reports, names)).served("server") is True
    few = SeenTraining.of(body(reports[:19], names))  # then status leaves out none that was issued
    assert few.served("server") is None
    unused = [each | {"served": False} for each in reports]
    assert SeenTraining.of(body(unused, names, reason="NotServed")).served("server") is None


async def test_names_that_would_be_other_paths_are_never_asked_for():
    api = Api({})
    for name in ("../secrets/x", "a/b", "", "A"):
        with pytest.raises(ClusterError, match="cannot be the name"):
            await see(Cluster(api, "fl"), name)
    assert api.asked == []


def test_a_name_from_a_cluster_moves_no_cursor(monkeypatch):
    document = body(three())
    document["status"]["conditions"][0]["message"] = "a \x1b[31mred\x1b[0m thing"

    @asynccontextmanager
    async def opened(target):
        yield Cluster(Api({"digits": document}), "fl")

    monkeypatch.setattr(module, "open_cluster", opened)
    done = CliRunner().invoke(app, ["certs", "digits"])
    assert done.exit_code == 0
    assert "\x1b" not in done.stdout
    assert "red" in done.stdout
