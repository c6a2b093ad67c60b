"""When a SuperNode may start: the server stands in as two clients that answer as told."""

from __future__ import annotations

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from shieldwall.contract.records import RegisteredNode
from shieldwall.runtime.attestation.signer import StewardRefusedError, StewardUnreachableError
from shieldwall.runtime.flower import predecessor
from shieldwall.runtime.flower.predecessor import SEEN_SECONDS, take_off_line

KEY = ec.generate_private_key(ec.SECP256R1())
NODE = RegisteredNode(node_id=2**63 + 5, online=True)


def status(code):
    request = httpx.Request("POST", "https://superlink/")
    return httpx.HTTPStatusError(str(code), request=request, response=httpx.Response(code, request=request))


class Server:
    """Steward and SuperLink: what each answers next, the last one for ever."""

    def __init__(self):
        self.steward, self.superlink, self.deactivated, self.waits = [NODE], [None], [], []

    def next(self, answers):
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def take(self, tmp_path):
        return take_off_line("https://127.0.0.9:1", tmp_path / "local.crt", KEY, self.waits.append)


@pytest.fixture
def server(monkeypatch):
    server = Server()

    class Client:
        def __init__(self, *_, **__):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def node(self):
            return server.next(server.steward)

        def DeactivateNode(self, request):  # noqa: N802  # Flower's name
            server.deactivated.append(request.node_id)
            return server.next(server.superlink)

    monkeypatch.setattr(predecessor, "StewardClient", Client)
    monkeypatch.setattr(predecessor.ssl, "create_default_context", lambda **_: None)
    monkeypatch.setattr(predecessor, "FleetHttpClient", Client)
    return server


def test_a_killed_one_is_taken_off_line_long_enough_to_be_seen(server, tmp_path):
    assert server.take(tmp_path) is True
    assert (server.deactivated, server.waits) == ([NODE.node_id], [SEEN_SECONDS])


def test_without_a_predecessor_it_starts_at_once(server, tmp_path):
    server.steward = [NODE.model_copy(update={"online": False})]
    assert server.take(tmp_path) is False
    assert (server.deactivated, server.waits) == ([], [])


def test_a_predecessor_that_is_off_line_meanwhile_is_not_waited_for(server, tmp_path):
    server.superlink = [status(412)]
    assert server.take(tmp_path) is False
    assert (server.deactivated, server.waits) == ([NODE.node_id], [])


def test_it_waits_for_the_server_and_for_its_registration(server, tmp_path, caplog):
    server.steward = [StewardUnreachableError("no way"), StewardUnreachableError("no way"), None, NODE]
    server.superlink = [httpx.ConnectError("gone"), status(503), status(412)]
    with caplog.at_level("INFO", "flwr"):
        assert server.take(tmp_path) is False
    assert len(server.waits) == 5
    assert max(server.waits) <= 2
    assert caplog.messages == [
        "Waiting: no way",
        "Waiting: the SuperLink does not have this node yet",
        "Waiting: the SuperLink cannot be reached: gone",
        "Waiting: the SuperLink cannot be reached (status 503)",
    ]


@pytest.mark.parametrize("code", [400, 401, 403, 500])
def test_what_waiting_does_not_mend_is_left_for_flower_to_say(server, tmp_path, code):
    server.superlink = [status(code)]
    assert server.take(tmp_path) is False
    assert server.waits == []


def test_a_refused_client_asks_for_nothing(server, tmp_path):
    server.steward = [StewardRefusedError("denied")]
    assert server.take(tmp_path) is False
    assert (server.deactivated, server.waits) == ([], [])
