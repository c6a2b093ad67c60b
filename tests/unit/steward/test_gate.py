"""Each check of the gate, with the request that it alone stops."""

from __future__ import annotations

import base64

import pytest
from flwr.proto.fleet_pb2 import PushMessagesRequest
from flwr.proto.message_pb2 import Message, Metadata
from flwr.proto.node_pb2 import Node as ProtoNode

from shieldwall.contract.records import DenyList
from shieldwall.contract.routes import FLEET_CALLS, FLEET_PUSH_MESSAGES, SIGNER_OPEN_ROUND
from shieldwall.runtime.steward.gate import Allow, Deny, Reason, decide
from shieldwall.runtime.steward.registry import registry_of

PULL = "/v1/fleet/pull-messages"
BERLIN, PARIS = 101, 102


@pytest.fixture(scope="module")
def registry(world):
    return registry_of(world.policy()).with_nodes(world.nodes())


@pytest.fixture
def ask(world, berlin, registry):
    """Ask as berlin, with changes."""

    def ask(headers=None, path=PULL, body=b"", deny=None, now=world.now, registry=registry):  # noqa: PLR0913, PLR0917  # all that a decision depends on
        shown = world.headers(berlin) if headers is None else headers
        return decide(shown, path, body, registry, deny or DenyList(), now)

    return ask


def push(node, *sources):
    messages = [Message(metadata=Metadata(src_node_id=source)) for source in sources]
    return PushMessagesRequest(node=ProtoNode(node_id=node), messages_list=messages).SerializeToString()


@pytest.mark.parametrize("path", [path for path in FLEET_CALLS if path != FLEET_PUSH_MESSAGES])
def test_a_clients_own_request_passes(ask, world, berlin, path):
    decision = ask(path=path)
    assert isinstance(decision, Allow)
    assert decision.member.identity == world.identity("berlin")
    assert decision.certificate.serial == f"{berlin.serial:x}"


def test_a_clients_own_reply_passes(ask):
    assert isinstance(ask(path=FLEET_PUSH_MESSAGES, body=push(BERLIN, BERLIN)), Allow)


def test_the_signer_needs_no_node_key(ask, world, berlin):
    assert isinstance(ask(world.headers(berlin, key_of=None), SIGNER_OPEN_ROUND), Allow)


def refused(reason, identity=None):
    return Deny(reason, identity)


def test_no_certificate(ask):
    assert ask([(b"host", b"server")]) == refused(Reason.NO_CERTIFICATE)


def test_two_certificate_headers(ask, world, berlin):
    headers = world.headers(berlin)
    assert ask([*headers, headers[1]]) == refused(Reason.MALFORMED_CERTIFICATE)


def test_two_elements_in_the_header(ask, world, berlin):
    paris = world.certificate(world.identity("paris"))
    both = f"{paris.xfcc},{berlin.xfcc}".encode()
    assert ask([(b"x-forwarded-client-cert", both)]) == refused(Reason.MALFORMED_CERTIFICATE)


def test_a_header_that_is_not_ascii(ask):
    assert ask([(b"x-forwarded-client-cert", b"\xff")]) == refused(Reason.MALFORMED_CERTIFICATE)


def test_no_certificate_in_the_header(ask):
    header = b'Hash=1;Cert="nonsense";URI=spiffe://example.org/ns/demo/training/digits/client/berlin'
    assert ask([(b"x-forwarded-client-cert", header)]) == refused(Reason.MALFORMED_CERTIFICATE)


def test_another_uri_in_the_header_than_in_the_certificate(ask, world, berlin):
    paris = berlin.xfcc.replace("client/berlin", "client/paris").encode()
    headers = [(b"x-forwarded-client-cert", paris), *world.headers(berlin, "paris")[2:]]
    assert ask(headers) == refused(Reason.MALFORMED_CERTIFICATE)


def test_two_identities_in_one_certificate(ask, world):
    both = world.certificate(world.identity("berlin"), world.identity("paris"))
    assert ask(world.headers(both)) == refused(Reason.NOT_ONE_IDENTITY)


def test_no_identity_in_the_certificate(ask, world):
    assert ask(world.headers(world.certificate())) == refused(Reason.NOT_ONE_IDENTITY)


def test_a_client_that_the_policy_does_not_name(ask, world):
    stranger = world.certificate(world.identity("madrid"))
    assert ask(world.headers(stranger)) == refused(Reason.UNKNOWN_CLIENT)


def test_a_certificate_that_ended_while_the_connection_was_open(ask, world):
    assert isinstance(ask(now=world.now + 3599), Allow)
    expired = ask(now=world.now + 3600)
    assert expired == refused(Reason.EXPIRED, world.identity("berlin"))
    assert expired.retry  # the next connection may show a renewed one


def test_the_deny_list_by_client(ask, world):
    deny = DenyList(clients=(world.identity("berlin"),))
    assert ask(deny=deny) == refused(Reason.DENIED_CLIENT, world.identity("berlin"))


def test_the_deny_list_by_serial(ask, world, berlin):
    deny = DenyList(serials=(f"{berlin.serial:x}",))
    assert ask(deny=deny) == refused(Reason.DENIED_SERIAL, world.identity("berlin"))


def test_the_deny_list_by_node_key(ask, world, registry):
    member = registry.by_client("berlin")
    deny = DenyList(node_keys=(member.key_sha256,))
    assert ask(deny=deny) == refused(Reason.DENIED_NODE_KEY, world.identity("berlin"))


def test_the_deny_list_stops_the_signer_too(ask, world, berlin, registry):
    deny = DenyList(node_keys=(registry.by_client("berlin").key_sha256,))
    decision = ask(world.headers(berlin, key_of=None), SIGNER_OPEN_ROUND, deny=deny)
    assert decision == refused(Reason.DENIED_NODE_KEY, world.identity("berlin"))


@pytest.mark.parametrize("path", ["/v1/fleet/register-node", "/v1/fleet/push%2Dmessages", "/v1/control/list-runs", "/"])
def test_a_path_that_no_supernode_asks_for(ask, world, path):
    assert ask(path=path) == refused(Reason.UNKNOWN_PATH, world.identity("berlin"))


def test_no_node_key(ask, world, berlin):
    assert ask(world.headers(berlin, key_of=None)) == refused(Reason.NO_NODE_KEY, world.identity("berlin"))


@pytest.mark.parametrize("value", [b"", b"not base64!", b"AAAA\n"])
def test_a_node_key_that_is_none(ask, world, berlin, value):
    headers = [*world.headers(berlin, key_of=None), (b"flwr-public-key", value)]
    assert ask(headers).reason in {Reason.NO_NODE_KEY, Reason.WRONG_NODE_KEY}


def test_a_node_key_with_anything_around_it_is_none(ask, world, berlin):
    key = base64.b64encode(world.public("berlin"))
    headers = [*world.headers(berlin, key_of=None), (b"flwr-public-key", key[:8] + b"!" + key[8:])]
    assert ask(headers) == refused(Reason.NO_NODE_KEY, world.identity("berlin"))


def test_two_node_keys(ask, world, berlin):
    headers = world.headers(berlin)
    other = (b"flwr-public-key", base64.b64encode(world.public("paris")))
    assert ask([*headers, other]) == refused(Reason.NO_NODE_KEY, world.identity("berlin"))


@pytest.mark.parametrize("whose", ["paris", "stranger"])
def test_the_node_key_of_another(ask, world, berlin, whose):
    assert ask(world.headers(berlin, whose)) == refused(Reason.WRONG_NODE_KEY, world.identity("berlin"))


def test_a_node_that_is_not_registered_yet_is_told_to_come_again(ask, world):
    decision = ask(registry=registry_of(world.policy()))
    assert decision == refused(Reason.NOT_READY, world.identity("berlin"))
    assert decision.retry


def test_other_denials_are_final(ask, world, berlin):
    assert not ask(world.headers(berlin, "paris")).retry


@pytest.mark.parametrize(
    "body",
    [
        push(BERLIN, PARIS),
        push(BERLIN, BERLIN, PARIS),
        push(PARIS, PARIS),
        push(PARIS, BERLIN),
        push(BERLIN, 0),
        push(0, 0),
    ],
)
def test_a_reply_in_another_nodes_name(ask, world, body):
    decision = ask(path=FLEET_PUSH_MESSAGES, body=body)
    assert decision == refused(Reason.FOREIGN_SOURCE, world.identity("berlin"))


@pytest.mark.parametrize("body", [b"", push(BERLIN), b"\xff\xff"])
def test_a_push_that_cannot_be_read(ask, world, body):
    assert ask(path=FLEET_PUSH_MESSAGES, body=body) == refused(Reason.MALFORMED_PUSH, world.identity("berlin"))
