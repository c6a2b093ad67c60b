"""When a SuperNode may start: the server stands in as two clients that answer as told."""

from __future__ import annotations

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from shieldwall.contract.records import OpenRound, RegisteredNode
from shieldwall.runtime.attestation.signer import StewardRefusedError, StewardUnreachableError
from shieldwall.runtime.flower import predecessor
from shieldwall.runtime.flower.predecessor import LEAST_SECONDS, MOST_SECONDS, take_off_line

KEY = ec.generate_private_key(ec.SECP256R1())
NODE = RegisteredNode(node_id=str(2**63 + 5), online=True)
NUMBER = int(NODE.node_id)
OFF_LINE = NODE.model_copy(update={"online": False})


def status(code):
    request = httpx.Request("POST", "https://superlink/")
    return httpx.HTTPStatusError(str(code), request=request, response=httpx.Response(code, request=request))


def attempt(number):
    return OpenRound(
        run_id="7", round=3, attempt=number, nonce=f"{number:064x}", base_sha256="", clients=("berlin",), opened=1.0
    )


class Server:
    """Steward and SuperLink: what each answers next, the last one for ever."""

    def __init__(self):
        self.nodes, self.rounds, self.superlink = [NODE], [None], [None]
        self.deactivated, self.waits, self.took = [], [], 0.0

    def next(self, answers):
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer() if callable(answer) else answer

    def take(self, tmp_path):
        clock = lambda: sum(self.waits) + self.took  # noqa: E731
        return take_off_line("https://127.0.0.9:1", tmp_path / "local.crt", KEY, self.waits.append, clock)


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

        def __call__(self):
            return server.next(server.rounds)

        def node(self):
            return server.next(server.nodes)

        def DeactivateNode(self, request):  # noqa: N802  # Flower's name
            server.deactivated.append(request.node_id)
            return server.next(server.superlink)

    monkeypatch.setattr(predecessor, "StewardClient", Client)
    monkeypatch.setattr(predecessor, "FleetHttpClient", Client)
    monkeypatch.setattr(predecessor.ssl, "create_default_context", lambda **_: None)
    return server


def test_between_rounds_a_killed_one_is_taken_off_line_and_nothing_waits(server, tmp_path):
    assert server.take(tmp_path) is True
    assert (server.deactivated, server.waits) == ([NUMBER], [])


def test_in_a_round_it_is_off_line_long_enough_to_be_seen(server, tmp_path):
    server.rounds = [attempt(1), None]
    assert server.take(tmp_path) is True
    assert sum(server.waits) == LEAST_SECONDS
    assert server.deactivated == [NUMBER] * 2, "once more in the end: a predecessor that lives is online again by then"


def test_a_steward_that_takes_its_time_does_not_make_it_longer(server, tmp_path):
    def slow():
        server.took += 10.0
        raise StewardUnreachableError("busy")

    server.rounds = [attempt(1), slow]
    assert server.take(tmp_path) is True
    assert MOST_SECONDS <= sum(server.waits) + server.took <= MOST_SECONDS + 11


def test_it_is_off_line_until_the_attempt_whose_reply_is_lost_is_over(server, tmp_path):
    server.rounds = [attempt(1)] * 6 + [StewardUnreachableError("busy")] * 2 + [attempt(2)]
    assert server.take(tmp_path) is True
    assert sum(server.waits) == LEAST_SECONDS + 7


@pytest.mark.parametrize(("told", "seconds"), [(attempt(1), MOST_SECONDS), (StewardRefusedError("no"), LEAST_SECONDS)])
def test_it_is_not_off_line_for_ever(server, tmp_path, told, seconds):
    server.rounds = [attempt(1), told]
    assert server.take(tmp_path) is True
    assert sum(server.waits) == seconds


def test_without_a_predecessor_it_starts_at_once(server, tmp_path):
    server.nodes = [OFF_LINE]
    assert server.take(tmp_path) is False
    assert (server.deactivated, server.waits) == ([], [])


def test_a_predecessor_that_is_off_line_meanwhile_is_not_waited_for(server, tmp_path):
    server.superlink = [status(412)]
    assert server.take(tmp_path) is False
    assert (server.deactivated, server.waits) == ([NUMBER], [])


def test_it_waits_for_the_server_and_says_for_what(server, tmp_path, caplog):
    server.nodes = [StewardUnreachableError("no way"), StewardUnreachableError("no way"), NODE]
    server.superlink = [httpx.ConnectError("gone"), status(412)]
    with caplog.at_level("INFO", "flwr"):
        assert server.take(tmp_path) is False
    assert len(server.waits) == 3
    assert max(server.waits) <= 2
    assert caplog.messages == ["Waiting: no way", "Waiting: the SuperLink cannot be reached: gone"]


def test_what_lasts_is_said_again_each_minute(server, tmp_path, caplog, monkeypatch):
    now = iter(range(0, 100_000, 20))
    monkeypatch.setattr("flwr.supercore.retry.retry_invoker.time.monotonic", lambda: next(now))
    server.nodes = [*[StewardUnreachableError("no way")] * 7, OFF_LINE]
    with caplog.at_level("INFO", "flwr"):
        server.take(tmp_path)
    assert 2 <= len(caplog.messages) <= 4


@pytest.mark.parametrize("lost", [httpx.ReadTimeout("slow"), status(500), status(502), status(503), status(504)])
@pytest.mark.parametrize("then", [NODE, OFF_LINE])
def test_a_deactivation_whose_answer_was_lost_counts_as_done(server, tmp_path, lost, then):
    """The aggregator is to see it just as well."""
    server.nodes = [NODE, then]
    server.rounds = [attempt(1), attempt(1), None]
    server.superlink = [lost, status(412)]
    assert server.take(tmp_path) is True
    assert len(server.deactivated) == 3
    assert LEAST_SECONDS <= sum(server.waits[1:]) <= LEAST_SECONDS + 1


@pytest.mark.parametrize("code", [400, 401, 403])
def test_what_waiting_does_not_mend_is_left_for_flower_to_say(server, tmp_path, code):
    server.superlink = [status(code)]
    assert server.take(tmp_path) is False
    assert server.waits == []


@pytest.mark.parametrize("told", [None, StewardRefusedError("denied")])
def test_who_is_refused_or_told_nothing_asks_for_nothing(server, tmp_path, told):
    server.nodes = [told]
    assert server.take(tmp_path) is False
    assert (server.deactivated, server.waits) == ([], [])
