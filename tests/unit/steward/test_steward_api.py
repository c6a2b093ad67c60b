"""The steward over HTTP, as the proxy, the aggregator, the signers and the operator see it."""

from __future__ import annotations

import json

import httpx
import pytest
from flwr.proto.fleet_pb2 import PushMessagesRequest
from flwr.proto.message_pb2 import Message, Metadata
from flwr.proto.node_pb2 import Node as ProtoNode

from shieldwall.contract import routes
from shieldwall.contract.privacy import PrivacyRecord
from shieldwall.contract.records import (
    ClientStatus,
    DenyList,
    Fate,
    OpenRound,
    Outcome,
    RegisteredNode,
    ReplyRecord,
    RoundGrant,
    RoundRecord,
    StewardStatus,
)
from shieldwall.runtime.steward.api import Api
from shieldwall.runtime.steward.office import Office

AGGREGATOR = "spiffe://example.org/ns/demo/training/digits/aggregator"
PULL = f"{routes.AUTHZ_PREFIX}/v1/fleet/pull-messages"
NODE = f"{routes.AUTHZ_PREFIX}{routes.SIGNER_NODE}"
OPEN = f"{routes.AUTHZ_PREFIX}{routes.SIGNER_OPEN_ROUND}"
PUSH = f"{routes.AUTHZ_PREFIX}{routes.FLEET_PUSH_MESSAGES}"


@pytest.fixture
def office(world, tmp_path):
    books = Office(world.policy(), tmp_path)
    books.note_nodes(world.nodes("berlin", "paris"))
    books.remember(books.run.started("7", 0))
    return books


def connect(office, world, healthy=lambda: True):
    app = Api(office, healthy, lambda: world.now).app()
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://steward")


@pytest.fixture
async def http(office, world):
    async with connect(office, world) as client:
        yield client


def opened(run_id="7", clients=("berlin", "paris")):
    return OpenRound(run_id=run_id, round=1, attempt=1, nonce="00" * 32, base_sha256="ab", clients=clients, opened=1.0)


def record(number=1, run_id="7"):
    return RoundRecord(
        run_id=run_id,
        round=number,
        attempt=1,
        outcome=Outcome.RELEASED,
        opened=1.0,
        seconds=2.0,
        rule="FedAvg",
        admitted=1,
        byzantine=0,
        replies=(
            ReplyRecord(client="berlin", node_id="101", fate=Fate.ADMITTED, norm=2.5, cosine=0.5, distance=1.5),
            ReplyRecord(client="paris", node_id="102", fate=Fate.TAMPERED),
            ReplyRecord(client="rome", node_id="103", fate=Fate.NO_REPLY),
        ),
        model_sha256="cd",
        metrics={"accuracy": 0.9},
    )


async def authorize(http, world, shown, key_of="berlin", path=PULL, body=b""):  # noqa: PLR0913, PLR0917  # a request
    return await http.post(path, headers=world.headers(shown, key_of), content=body)


async def test_the_gate_allows_and_says_whose_request_it_is(http, world, berlin):
    answer = await authorize(http, world, berlin)
    assert answer.status_code == 200
    assert answer.headers[routes.CLIENT_HEADER] == world.identity("berlin")


async def test_the_gate_denies_with_a_constant_reason(http, world, berlin):
    answer = await authorize(http, world, berlin, key_of="paris")
    assert (answer.status_code, answer.text) == (401, "shieldwall: wrong-node-key")
    assert routes.CLIENT_HEADER not in answer.headers


async def test_the_gate_reads_the_body_of_a_push(http, world, berlin):
    def push(source):
        message = Message(metadata=Metadata(src_node_id=source))
        return PushMessagesRequest(node=ProtoNode(node_id=101), messages_list=[message]).SerializeToString()

    assert (await authorize(http, world, berlin, path=PUSH, body=push(101))).status_code == 200
    answer = await authorize(http, world, berlin, path=PUSH, body=push(102))
    assert (answer.status_code, answer.text) == (401, "shieldwall: foreign-source")


async def test_the_gate_does_not_unescape_paths(http, world, berlin):
    answer = await authorize(http, world, berlin, path=f"{routes.AUTHZ_PREFIX}/v1/fleet/push%2Dmessages")
    assert (answer.status_code, answer.text) == (401, "shieldwall: unknown-path")


async def test_a_query_does_not_hide_a_path(http, world, berlin):
    assert (await authorize(http, world, berlin, path=f"{PULL}?x=/v1/signer/")).status_code == 200
    answer = await authorize(http, world, berlin, path=f"{PUSH}?x=/v1/fleet/pull-messages")
    assert answer.text == "shieldwall: malformed-push"


async def test_an_unregistered_node_is_told_to_come_again(http, world, berlin, office):
    office.note_nodes(())
    assert (await authorize(http, world, berlin)).status_code == 503
    assert (await authorize(http, world, berlin, path=NODE)).text == "shieldwall: not-ready"
    assert (await authorize(http, world, berlin, path=OPEN)).status_code == 200


async def test_which_node_it_is_is_told_to_who_has_the_key_too(http, world, berlin):
    assert (await authorize(http, world, berlin, path=NODE)).status_code == 200
    told = await authorize(http, world, berlin, path=NODE, key_of="rome")
    assert told.text == "shieldwall: wrong-node-key"


async def test_a_fault_of_the_gate_is_a_retryable_denial(http, world, berlin, office):
    office.registry = None
    answer = await authorize(http, world, berlin)
    assert (answer.status_code, answer.text) == (503, "shieldwall: internal-error")
    assert office.sightings.denials[0].reason == "internal-error"


async def test_a_deny_list_is_in_force_at_once_and_after_a_restart(http, world, berlin, office, tmp_path):
    deny = DenyList(clients=(world.identity("berlin"),))
    answer = await http.put(routes.OPERATOR_DENY, content=deny.model_dump_json())
    assert answer.status_code == 204
    assert (await authorize(http, world, berlin)).text == "shieldwall: denied-client"
    assert Office(world.policy(), tmp_path).deny == deny
    await http.put(routes.OPERATOR_DENY, content=DenyList().model_dump_json())
    assert (await authorize(http, world, berlin)).status_code == 200
    assert office.deny == DenyList()


async def test_a_round_opens_and_closes(http, world, office):
    for_berlin = {routes.CLIENT_HEADER: world.identity("berlin")}
    assert (await http.get(routes.SIGNER_OPEN_ROUND, headers=for_berlin)).status_code == 404
    answer = await http.post(routes.ROUNDS_OPEN, content=opened().model_dump_json())
    assert RoundGrant.model_validate_json(answer.content) == RoundGrant(denied=())
    shown = await http.get(routes.SIGNER_OPEN_ROUND, headers=for_berlin)
    assert OpenRound.model_validate_json(shown.content) == opened()
    told = PrivacyRecord(epsilon=5.5, delta=1e-5, rounds_left=0, releases=5)
    await http.post(routes.ROUNDS_OPEN, content=opened().model_copy(update={"privacy": told}).model_dump_json())
    status = StewardStatus.model_validate_json((await http.get(routes.OPERATOR_STATUS)).content)
    assert status.privacy == told, "what has no record yet is told to the operator"
    assert (await http.post(routes.ROUNDS_CLOSE, content=record().model_dump_json())).status_code == 204
    assert (await http.get(routes.SIGNER_OPEN_ROUND, headers=for_berlin)).status_code == 404
    assert office.released == 1


async def test_who_was_not_asked_or_is_unknown_or_denied_sees_no_round(http, world, office):
    await http.post(routes.ROUNDS_OPEN, content=opened().model_dump_json())
    office.set_deny(DenyList(clients=(world.identity("paris"),)))
    for who in ("rome", "paris", "madrid"):
        headers = {routes.CLIENT_HEADER: world.identity(who)}
        assert (await http.get(routes.SIGNER_OPEN_ROUND, headers=headers)).status_code == 404
    assert (await http.get(routes.SIGNER_OPEN_ROUND)).status_code == 404


async def test_a_client_is_told_which_node_it_is_and_of_no_other(http, world, office):
    berlin = {routes.CLIENT_HEADER: world.identity("berlin")}
    number = office.registry.by_client("berlin").node_id
    for online in ((), ("berlin",)):
        office.note_nodes(world.nodes(*online))
        told = await http.get(routes.SIGNER_NODE, headers=berlin)
        assert RegisteredNode.model_validate_json(told.content) == RegisteredNode(
            node_id=str(number), online=bool(online)
        )
    assert (await http.get(routes.SIGNER_NODE)).status_code == 503
    assert (await http.get(routes.SIGNER_NODE, headers={routes.CLIENT_HEADER: "somebody"})).status_code == 503
    office.note_nodes(())
    assert (await http.get(routes.SIGNER_NODE, headers=berlin)).status_code == 503


async def test_the_grant_names_those_denied_by_id_key_or_serial(http, world, office, berlin):
    await authorize(http, world, berlin)
    rome = office.registry.by_client("rome")
    serial = f"{berlin.serial:x}"
    office.set_deny(DenyList(clients=(world.identity("paris"),), node_keys=(rome.key_sha256,), serials=(serial,)))
    body = opened(clients=("berlin", "paris", "rome")).model_dump_json()
    answer = await http.post(routes.ROUNDS_OPEN, content=body)
    assert RoundGrant.model_validate_json(answer.content).denied == ("berlin", "paris", "rome")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (routes.ROUNDS_OPEN, opened("8").model_dump_json(), 409),
        (routes.ROUNDS_CLOSE, record(run_id="8").model_dump_json(), 409),
        (routes.ROUNDS_OPEN, "{}", 400),
        (routes.ROUNDS_CLOSE, "no json", 400),
        (routes.ROUNDS_OPEN, b"x" * (8 * 1024 * 1024 + 1), 413),
    ],
)
async def test_what_the_aggregator_must_not_say_is_refused(http, office, path, body, status):
    assert (await http.post(path, content=body)).status_code == status
    assert office.rounds.records == ()


async def test_the_operator_sees_everything(http, world, berlin, office):
    await authorize(http, world, berlin)
    await authorize(http, world, berlin, key_of="paris")
    await http.post(routes.ROUNDS_CLOSE, content=record().model_dump_json())
    office.handshakes = {"fleet.untrusted": 2}
    status = StewardStatus.model_validate_json((await http.get(routes.OPERATOR_STATUS)).content)
    assert (status.run_id, status.runs_started, status.round, status.rounds, status.records) == ("7", 1, 1, 3, 1)
    assert (status.metrics, status.model_sha256) == ({"accuracy": 0.9}, "cd")
    assert status.handshakes == {"fleet.untrusted": 2}
    assert status.clients[0] == ClientStatus(
        name="berlin",
        node_id="101",
        online=True,
        serial=f"{berlin.serial:x}",
        not_after=world.now + 3600,
        last_seen=world.now,
        admitted=1,
    )
    assert (status.clients[1].refused, status.clients[2].refused) == (1, 0)
    assert [each.online for each in status.clients] == [True, True, False]
    (denial,) = status.denials
    assert (denial.client, denial.reason, denial.count) == (world.identity("berlin"), "wrong-node-key", 1)


async def test_strangers_have_no_name_in_the_status(http, world):
    for name in ("madrid", "lisbon"):
        await authorize(http, world, world.certificate(world.identity(name)))
    status = StewardStatus.model_validate_json((await http.get(routes.OPERATOR_STATUS)).content)
    assert [(each.client, each.count) for each in status.denials] == [("unknown", 2)]


async def test_records_are_given_from_an_index_on(http, office):
    for number in range(1, 4):
        office.close_round(record(number))
    answer = await http.get(f"{routes.OPERATOR_ROUNDS}?after=1")
    assert [each["round"] for each in json.loads(answer.content)] == [2, 3]
    assert json.loads((await http.get(f"{routes.OPERATOR_ROUNDS}?after=9")).content) == []
    assert len(json.loads((await http.get(routes.OPERATOR_ROUNDS)).content)) == 3


@pytest.mark.parametrize("after", ["-1", "x", "", "1.5", "²"])
async def test_an_index_must_be_one(http, after):
    assert (await http.get(routes.OPERATOR_ROUNDS, params={"after": after})).status_code == 400


async def test_at_most_500_records_at_once(http, office, monkeypatch):
    monkeypatch.setattr("shieldwall.runtime.steward.rounds.append_line", lambda *_: None)
    for number in range(1, 502):
        office.close_round(record(number))
    assert len(json.loads((await http.get(routes.OPERATOR_ROUNDS)).content)) == 500


async def test_health_tells_whether_the_run_is_followed(office, world):
    for healthy, status in ((True, 200), (False, 503)):
        async with connect(office, world, lambda healthy=healthy: healthy) as http:
            assert (await http.get(routes.HEALTH_STEWARD)).status_code == status


async def test_there_is_nothing_else(http):
    assert (await http.get("/")).status_code == 404
    assert (await http.post(routes.OPERATOR_STATUS)).status_code == 405
    assert (await http.get("/docs")).status_code == 404


async def test_metrics_have_base_units_and_bounded_labels(http, world, berlin, office):
    await authorize(http, world, berlin)
    await authorize(http, world, berlin, key_of="paris")
    await authorize(http, world, world.certificate(world.identity("madrid")))
    office.close_round(record())
    office.close_round(
        record(2).model_copy(update={"replies": (ReplyRecord(client="x", node_id="1", fate=Fate.STALE),)})
    )
    office.handshakes = {"fleet.no-certificate": 4}
    lines = (await http.get(routes.METRICS_STEWARD)).text.splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert values["shieldwall_round"] == "2.0"
    assert values["shieldwall_rounds"] == "3.0"
    assert values["shieldwall_runs_started_total"] == "1.0"
    assert values["shieldwall_accuracy_ratio"] == "0.9"
    assert values['shieldwall_phase{phase="Starting"}'] == "1.0"
    assert values['shieldwall_round_attempts_total{outcome="released"}'] == "2.0"
    assert values['shieldwall_replies_total{client="paris",fate="tampered"}'] == "1.0"
    assert values['shieldwall_update_norm{client="berlin"}'] == "2.5"
    assert values['shieldwall_update_cosine{client="berlin"}'] == "0.5"
    assert values['shieldwall_update_distance{client="berlin"}'] == "1.5"
    assert values['shieldwall_client_online{client="rome"}'] == "0.0"
    assert values['shieldwall_gate_requests_total{client="berlin",decision="allowed"}'] == "1.0"
    assert values['shieldwall_gate_requests_total{client="berlin",decision="wrong-node-key"}'] == "1.0"
    assert values['shieldwall_gate_requests_total{client="unknown",decision="unknown-client"}'] == "1.0"
    assert values['shieldwall_handshake_failures_total{cause="no-certificate",listener="fleet"}'] == "4.0"
    assert float(values['shieldwall_certificate_not_after_timestamp_seconds{client="berlin"}']) == world.now + 3600
    assert not [name for name in values if "madrid" in name or 'client="x"' in name]


async def test_the_aggregators_certificate_is_seen_on_its_calls_about_rounds(http, world, office):
    assert office.status().aggregator_serial is None
    first, second = (world.certificate(f"{AGGREGATOR}", hours=hours) for hours in (1, 2))
    for shown, path, body in ((first, routes.ROUNDS_OPEN, opened()), (second, routes.ROUNDS_CLOSE, record())):
        headers = {"x-forwarded-client-cert": shown.xfcc}
        assert (await http.post(path, content=body.model_dump_json(), headers=headers)).is_success
        assert office.status().aggregator_serial == f"{shown.serial:x}"
    assert office.status().aggregator_not_after == world.now + 7200


async def test_what_is_not_the_aggregators_own_certificate_is_no_news(http, world, office, berlin):
    own = world.certificate(AGGREGATOR).xfcc
    forged = (
        [],
        [("x-forwarded-client-cert", berlin.xfcc)],
        [("x-forwarded-client-cert", own), ("x-forwarded-client-cert", own)],
        [("x-forwarded-client-cert", f"{own},{own}")],
        [("x-forwarded-client-cert", f"URI={AGGREGATOR}")],
        [("x-forwarded-client-cert", world.certificate(AGGREGATOR, world.identity("berlin")).xfcc)],
    )
    for headers in forged:
        answer = await http.post(routes.ROUNDS_OPEN, content=opened().model_dump_json(), headers=headers)
        assert answer.status_code == 200
        assert office.status().aggregator_serial is None


def test_the_status_names_the_policy_by_its_hash(world, tmp_path):
    assert Office(world.policy(), tmp_path, "ab12").status().policy_sha256 == "ab12"


@pytest.mark.parametrize(
    ("told", "shown"), [("3", "3.0"), ("0", "0.0"), ("", None), ("-1", None), ("x", None), ("9" * 10, None)]
)
async def test_leaves_that_a_signer_cannot_use_are_a_metric(http, world, told, shown):
    headers = {routes.CLIENT_HEADER: world.identity("berlin"), routes.LEAF_FAILURES_HEADER: told}
    await http.get(routes.SIGNER_OPEN_ROUND, headers=headers)
    await http.get(routes.SIGNER_OPEN_ROUND, headers=headers | {routes.CLIENT_HEADER: "somebody"})
    text = (await http.get(routes.METRICS_STEWARD)).text
    lines = [line for line in text.splitlines() if line.startswith("shieldwall_client_leaf_failures_total")]
    assert lines == ([f'shieldwall_client_leaf_failures_total{{client="berlin"}} {shown}'] if shown else [])


def test_a_new_policy_forgives_what_the_books_say_of_failed_runs(world, tmp_path):
    books = Office(world.policy(), tmp_path, "ab12")
    books.remember(books.run.model_copy(update={"fruitless": 5}))
    assert Office(world.policy(), tmp_path, "ab12").run.fruitless == 5
    assert Office(world.policy(), tmp_path, "cd34").run.fruitless == 0


async def test_the_operator_reinstates_clients(http, office):
    answer = await http.put(routes.OPERATOR_REINSTATE, content='{"nonces": {"berlin": "1", "nobody": "1"}}')
    assert answer.status_code == 204
    assert office.status().reinstated == {"berlin": "1"}
    for bad in ("{}", '{"nonces": {"berlin": 1}}', '{"nonces": {"berlin": "%s"}}' % ("x" * 65)):
        assert (await http.put(routes.OPERATOR_REINSTATE, content=bad)).status_code == 400
