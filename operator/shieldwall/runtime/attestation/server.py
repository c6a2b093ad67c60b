"""The signer's little server on a unix socket, inside the supernode's process.

Flower's SuperNode owns the main thread and its signals, so this runs in a daemon thread and ends with the process.
"""

from __future__ import annotations

import logging
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from shieldwall.contract.paths import Paths, loopback
from shieldwall.contract.ports import PROXY
from shieldwall.pki.node_key import node_key_from_openssh, public_pem
from shieldwall.pki.serials import serial_text
from shieldwall.runtime.attestation.leaf_files import LeafFiles
from shieldwall.runtime.attestation.manifest import ManifestError
from shieldwall.runtime.attestation.signer import Refusal, Signer, SignerError
from shieldwall.runtime.attestation.steward import StewardClient
from shieldwall.runtime.attestation.wire import HEALTH, LEAF, SIGN, LeafReply, RefusalReply, SignReply, SignRequest

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel
    from starlette.requests import Request

    from shieldwall.contract.policy import RuntimePolicy

LARGEST_REQUEST: Final = 8 << 20
"""Bytes. The user's code asks: it must not fill the supernode's memory. Enough for 20,000 arrays."""

_MODE: Final = 0o660  # the pod's group: the trainer runs under another user
_BACKLOG: Final = 16
_JOIN_SECONDS: Final = 10.0
_STATUS: Final = {
    Refusal.MALFORMED: 400,
    Refusal.ROUND_NOT_OPEN: 409,
    Refusal.ALREADY_SIGNED: 409,
    Refusal.STEWARD_REFUSED: 403,
    Refusal.NO_LEAF: 503,
    Refusal.STEWARD_UNREACHABLE: 503,
}
_LOG: Final = logging.getLogger(__name__)


def build_app(signer: Signer) -> Starlette:
    """The routes of ``wire`` for ``signer``."""

    async def sign(request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return _refused(Refusal.MALFORMED, f"a request has at most {LARGEST_REQUEST} bytes")
        return await run_in_threadpool(_sign, signer, body)

    def leaf(request: Request) -> Response:
        del request
        try:
            certificate = signer.leaf().certificate
        except SignerError as error:
            return _refused(error.refusal, str(error))
        serial = serial_text(certificate.serial_number)
        return _json(LeafReply(serial=serial, not_after=certificate.not_valid_after_utc.timestamp()))

    def health(request: Request) -> Response:
        del request
        return PlainTextResponse("ok\n")

    return Starlette(routes=[Route(SIGN, sign, methods=["POST"]), Route(LEAF, leaf), Route(HEALTH, health)])


@dataclass(frozen=True, slots=True)
class RunningSigner:
    """The signer as it runs beside the SuperNode."""

    server: uvicorn.Server
    thread: threading.Thread
    path: Path

    @property
    def alive(self) -> bool:
        """Whether it still answers."""
        return self.thread.is_alive()

    def stop(self) -> None:
        """End the server, wait for its thread and remove the socket."""
        self.server.should_exit = True
        self.thread.join(_JOIN_SECONDS)
        self.path.unlink(missing_ok=True)


def start_signer(paths: Paths, policy: RuntimePolicy, client: str, proxy: str | None = None) -> RunningSigner:
    """Start the signer of ``client`` on ``paths.signer_socket``; it takes connections when this returns.

    ``proxy``: base URL of the pod's proxy, by default on the pod's loopback address. Raises OSError, MalformedPemError
    or UnsupportedKeyError when the node key or the pod-local certificate cannot be read. A leaf may come later.
    """
    identity = policy.federation.id.client(client)
    node_public_pem = public_pem(node_key_from_openssh(paths.node_key.read_bytes()))
    leaves = LeafFiles(paths.tls, identity)
    way = proxy or f"https://{loopback()}:{PROXY}"
    steward = StewardClient(way, paths.local_certificate, node_public_pem, lambda: leaves.failures)
    signer = Signer(identity, policy.federation.uid, leaves.load, steward)
    return serve(build_app(signer), paths.signer_socket, steward)


def serve(app: Starlette, path: Path, steward: StewardClient) -> RunningSigner:
    """Serve ``app`` on the unix socket ``path`` in a daemon thread, and close ``steward`` at its end."""
    listening = _listen(path)
    # h11 and asyncio: the trainer asks once a round, and nothing here should bring its own event loop or warnings.
    config = uvicorn.Config(app, http="h11", loop="asyncio", ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)

    def run() -> None:
        with steward, listening:
            server.run(sockets=[listening])

    thread = threading.Thread(target=run, name="signer", daemon=True)
    thread.start()
    return RunningSigner(server, thread, path)


def _listen(path: Path) -> socket.socket:
    """A listening socket that never was open to others than its mode says, not even for a moment.

    uvicorn's own way makes the socket world-writable, and a umask would be that of the whole process.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(str(new))
        new.chmod(_MODE)
        listening.listen(_BACKLOG)
        new.replace(path)
    except OSError:
        listening.close()
        raise
    return listening


def _sign(signer: Signer, body: bytes) -> Response:
    try:
        manifest = SignRequest.model_validate_json(body).manifest()
        attestation = signer.sign(manifest)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return _refused(Refusal.MALFORMED, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
    except ManifestError as error:
        return _refused(Refusal.MALFORMED, str(error))
    except SignerError as error:
        return _refused(error.refusal, str(error))
    _LOG.info("Signed the reply of round %s, attempt %s", manifest.round, manifest.attempt)
    return _json(SignReply.of(attestation))


def _refused(refusal: Refusal, message: str) -> Response:
    _LOG.warning("Not signed (%s): %s", refusal, message)
    return _json(RefusalReply(refusal=refusal, message=message), _STATUS[refusal])


def _json(body: BaseModel, status: int = 200) -> Response:
    return Response(body.model_dump_json(), status, media_type="application/json")


async def _body(request: Request) -> bytes | None:
    """The request's body, or None as soon as it is too long."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_REQUEST:
            return None
    return bytes(body)
