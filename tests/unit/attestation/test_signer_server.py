"""The signer as the supernode starts it, the trainer's client, and a steward behind TLS in between."""

from __future__ import annotations

import contextlib
import gc
import json
import signal
import socket
import ssl
import stat
import tempfile
import threading
from base64 import b64decode
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.requests import Request

from shieldwall.contract.paths import LOOPBACK_VARIABLE, ROOT_VARIABLE, Paths
from shieldwall.contract.policy import RuntimePolicy
from shieldwall.contract.routes import LEAF_FAILURES_HEADER, NODE_KEY_HEADER, SIGNER_OPEN_ROUND
from shieldwall.pki.node_key import node_key_to_openssh, public_pem
from shieldwall.pki.serials import serial_text
from shieldwall.runtime.attestation.client import RefusedBySignerError, SignerClient, SignerUnavailableError
from shieldwall.runtime.attestation.server import LARGEST_REQUEST, _body, start_signer
from shieldwall.runtime.attestation.sign import check
from shieldwall.runtime.attestation.signer import Refusal
from shieldwall.runtime.attestation.wire import SignReply, SignRequest
from shieldwall.runtime.init import main as init

LOOPBACK = "127.0.0.9"


class Steward:
    """Answers as told, over TLS with the pod-local certificate, and writes down what it was asked."""

    def __init__(self, paths):
        self.answers = []
        self.asked = []
        steward = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):  # the library's name
                steward.asked.append((self.path, dict(self.headers.items())))
                status, body = steward.answers.pop(0) if len(steward.answers) > 1 else steward.answers[0]
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(paths.local_certificate, paths.local_key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    @property
    def url(self):
        return f"https://{LOOPBACK}:{self.server.server_address[1]}"

    def stop(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def paths(monkeypatch, site):
    with tempfile.TemporaryDirectory(prefix="sw-") as root:  # a socket's path has an end
        monkeypatch.setenv(ROOT_VARIABLE, root)
        monkeypatch.setenv(LOOPBACK_VARIABLE, LOOPBACK)
        assert init([]) == 0
        paths = Paths(Path(root))
        site.write(site.leaf(), paths.tls)
        paths.node_key.parent.mkdir(parents=True)
        paths.node_key.write_text(node_key_to_openssh(NODE_KEY))
        yield paths


NODE_KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def steward(paths, site):
    steward = Steward(paths)
    steward.answers = [(200, site.open_round().model_dump_json().encode())]
    yield steward
    steward.stop()


@pytest.fixture
def policy(site):
    federation = {"uid": site.manifest.federation_uid, "trust_domain": "example.org", "namespace": "demo"}
    return RuntimePolicy.model_validate(
        {
            "federation": {**federation, "name": "digits"},
            "app": {"client_app": "digits:app"},
            "rounds": {"count": 1, "min_replies": 1},
            "aggregation": {"rule": "FedMedian"},
        }
    )


@pytest.fixture
def signer(paths, policy, steward):
    running = start_signer(paths, policy, "berlin", steward.url)
    yield running
    running.stop()
    assert not running.alive
    assert not paths.signer_socket.exists()


@pytest.fixture
def raw(signer, paths):
    transport = httpx.HTTPTransport(uds=str(paths.signer_socket))
    with httpx.Client(transport=transport, base_url="http://signer") as client:
        yield client


@pytest.fixture
def trainer(paths):
    """A client that waits for nothing."""
    return SignerClient(paths.signer_socket, patience=0.0)


def test_the_trainer_gets_a_signature_that_the_aggregator_accepts(site, signer, trainer, steward):
    attestation = trainer.sign(site.manifest)
    assert check(attestation, site.manifest, [site.issuer.certificate], site.now, site.identity())
    [(path, headers)] = steward.asked
    assert path == SIGNER_OPEN_ROUND
    sent = next(value for name, value in headers.items() if name.lower() == NODE_KEY_HEADER)
    assert b64decode(sent).decode() == public_pem(NODE_KEY)


def test_the_socket_is_for_the_pods_group_and_no_others(signer, paths):
    mode = paths.signer_socket.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o660


def test_a_socket_left_by_a_killed_supernode_is_replaced(paths, policy, steward, site, trainer):
    paths.signer_socket.parent.mkdir(parents=True)
    paths.signer_socket.write_text("left over")
    (paths.signer_socket.parent / ".signer.sock.new").write_text("left over")
    running = start_signer(paths, policy, "berlin", steward.url)
    try:
        assert trainer.sign(site.manifest)
    finally:
        running.stop()


def test_the_signals_stay_with_the_main_thread(signer):
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signer.thread.daemon


@pytest.mark.parametrize(
    ("answer", "changes", "refusal"),
    [
        ((404, b""), {}, Refusal.ROUND_NOT_OPEN),
        ((200, None), {"round": 6}, Refusal.ROUND_NOT_OPEN),
        ((200, None), {"base_sha256": b"\xff" * 32}, Refusal.ROUND_NOT_OPEN),
        ((401, b""), {}, Refusal.STEWARD_REFUSED),
        ((403, b""), {}, Refusal.STEWARD_REFUSED),
    ],
)
def test_refusals_reach_the_trainer_by_name(site, signer, trainer, steward, answer, changes, refusal):  # noqa: PLR0913, PLR0917  # fixtures and a table
    steward.answers = [(answer[0], steward.answers[0][1] if answer[1] is None else answer[1])]
    with pytest.raises(RefusedBySignerError) as caught:
        trainer.sign(replace(site.manifest, **changes))
    assert caught.value.refusal is refusal


def test_a_second_different_manifest_is_refused(site, signer, trainer):
    trainer.sign(site.manifest)
    trainer.sign(site.manifest)
    with pytest.raises(RefusedBySignerError) as caught:
        trainer.sign(replace(site.manifest, num_examples=1))
    assert caught.value.refusal is Refusal.ALREADY_SIGNED


@pytest.mark.parametrize("answer", [(503, b""), (500, b"x"), (200, b"nonsense"), (200, b"{}")])
def test_a_steward_that_gives_no_answer_is_unavailable(site, signer, trainer, steward, answer):
    steward.answers = [answer]
    with pytest.raises(SignerUnavailableError, match="steward"):
        trainer.sign(site.manifest)


def test_a_steward_that_is_not_there_is_unavailable(site, paths, policy, trainer):
    running = start_signer(paths, policy, "berlin", f"https://{LOOPBACK}:1")
    try:
        with pytest.raises(SignerUnavailableError, match="steward"):
            trainer.sign(site.manifest)
    finally:
        running.stop()


def test_a_proxy_with_another_certificate_is_not_believed(site, paths, policy, steward, trainer):
    # The steward serves the old pod-local certificate; the signer trusts the new one only.
    assert init([]) == 0
    running = start_signer(paths, policy, "berlin", steward.url)
    try:
        with pytest.raises(SignerUnavailableError, match="certificate"):
            trainer.sign(site.manifest)
    finally:
        running.stop()


def test_the_trainer_waits_for_a_server_that_restarts(site, signer, paths, steward):
    steward.answers = [(503, b""), (503, b""), *steward.answers]
    times = iter(range(100))
    slept = []
    client = SignerClient(paths.signer_socket, patience=30.0, clock=lambda: float(next(times)), sleep=slept.append)
    assert client.sign(site.manifest)
    assert slept == [1.0, 1.0]


def test_the_trainer_does_not_wait_for_ever_nor_after_a_refusal(site, signer, paths, steward):
    times = iter(range(100))
    slept = []
    client = SignerClient(paths.signer_socket, patience=3.0, clock=lambda: float(next(times)), sleep=slept.append)
    steward.answers = [(503, b"")]
    with pytest.raises(SignerUnavailableError):
        client.sign(site.manifest)
    assert len(slept) == 2
    steward.answers = [(404, b"")]
    with pytest.raises(RefusedBySignerError):
        client.sign(site.manifest)
    assert len(slept) == 2


def test_without_a_signer_the_trainer_says_so(site, trainer):
    with pytest.raises(SignerUnavailableError, match="does not answer"):
        trainer.sign(site.manifest)


@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
def test_a_socket_that_nobody_serves_is_unavailable(site, paths, trainer):
    # httpcore forgets to close a unix socket that it could not connect; hence the filter.
    paths.signer_socket.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(paths.signer_socket))
    with pytest.raises(SignerUnavailableError, match="does not answer"):
        trainer.sign(site.manifest)
    gc.collect()


@pytest.mark.parametrize(
    "change",
    [
        {"round": "7"},
        {"round": 7.0},
        {"round": True},
        {"nonce": "zz"},
        {"nonce": "ff"},
        {"run_id": "-1"},
        {"run_id": "99999999999999999999"},
        {"num_examples": None},
        {"unknown": 1},
        {"arrays": [{}]},
        {"version": 2},
        {"reply_to": 5},
    ],
)
def test_malformed_requests_are_refused(site, raw, steward, change):
    body = {**json.loads(SignRequest.of(site.manifest).model_dump_json()), **change}
    response = raw.post("/v1/sign", json=body)
    assert response.status_code == 400
    assert response.json()["refusal"] == "malformed"
    assert steward.asked == []


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"{", b'{"reply_to": "\\ud800"}', b"1" * 5000])
def test_what_is_no_request_is_refused(raw, body):
    assert raw.post("/v1/sign", content=body).status_code == 400


async def test_a_body_that_is_too_long_is_not_read_to_its_end():
    received = []

    async def receive():
        received.append(LARGEST_REQUEST // 4)
        return {"type": "http.request", "body": b" " * received[-1], "more_body": len(received) < 64}

    assert await _body(Request({"type": "http", "method": "POST", "headers": []}, receive)) is None
    assert sum(received) <= 2 * LARGEST_REQUEST


def test_a_body_that_is_too_long_is_refused(raw):
    # The server answers, or hangs up on us in the middle, as it may.
    with contextlib.suppress(httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
        assert "at most" in raw.post("/v1/sign", content=b" " * (LARGEST_REQUEST + 1)).json()["message"]
    assert raw.get("/healthz").status_code == 200


def test_there_is_nothing_else_to_ask(raw):
    assert raw.get("/v1/sign").status_code == 405
    assert raw.post("/v1/key").status_code == 404
    assert raw.get("/healthz").text == "ok\n"


def test_the_loaded_leaf_can_be_seen(site, raw, paths):
    leaf = site.leaf()
    site.write(leaf, paths.tls)
    body = raw.get("/leaf").json()
    assert body["serial"] == serial_text(leaf.certificate.serial_number)
    assert body["not_after"] == leaf.certificate.not_valid_after_utc.timestamp()


def test_without_a_leaf_the_signer_runs_and_says_so(site, paths, policy, steward, trainer):
    (paths.tls / "tls.key").unlink()
    running = start_signer(paths, policy, "berlin", steward.url)
    try:
        transport = httpx.HTTPTransport(uds=str(paths.signer_socket))
        with httpx.Client(transport=transport, base_url="http://signer") as client:
            assert client.get("/healthz").status_code == 200
            assert client.get("/leaf").json()["refusal"] == "no-leaf"
        with pytest.raises(SignerUnavailableError, match="no-leaf"):
            trainer.sign(site.manifest)
        site.write(site.leaf(), paths.tls)
        assert trainer.sign(site.manifest)
    finally:
        running.stop()


def test_the_steward_is_told_of_leaves_that_cannot_be_used(site, raw, trainer, steward, paths):
    raw.get("/leaf")
    (paths.tls / "tls.key").write_text("half of a k")
    for _ in range(2):
        assert raw.get("/leaf").status_code == 200  # the one before is kept
    trainer.sign(site.manifest)
    [(_, headers)] = steward.asked
    assert {name.lower(): value for name, value in headers.items()}[LEAF_FAILURES_HEADER] == "2"


def test_no_key_ever_leaves_the_signer(site, raw, trainer, paths):
    secret = "".join((paths.tls / "tls.key").read_text().splitlines()[1:-1])
    reply = raw.post("/v1/sign", content=SignRequest.of(site.manifest).model_dump_json())
    chain = SignReply.model_validate_json(reply.content).certificate_chain.decode()
    answers = [reply.text, chain, raw.get("/leaf").text, raw.get("/healthz").text]
    assert not any(secret[:40] in answer or "PRIVATE" in answer for answer in answers)


def test_the_manifest_survives_the_wire(site):
    assert SignRequest.model_validate_json(SignRequest.of(site.manifest).model_dump_json()).manifest() == site.manifest
