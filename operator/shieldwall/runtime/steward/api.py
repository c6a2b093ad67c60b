"""The steward's HTTP API on its unix socket. Only the proxy reaches it, and the proxy tells roles apart by port."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from pydantic import TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from shieldwall.contract import routes
from shieldwall.contract.records import DenyList, OpenRound, Reinstatements, RoundRecord
from shieldwall.runtime.steward.gate import Allow, Deny, Reason
from shieldwall.runtime.steward.metrics import registry_for, render
from shieldwall.runtime.steward.rounds import UnknownRunError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from shieldwall.runtime.steward.gate import Decision
    from shieldwall.runtime.steward.office import Office

_LOG: Final = logging.getLogger(__name__)
_RECORDS: Final = TypeAdapter(tuple[RoundRecord, ...])
MOST_RECORDS: Final = 500
MAX_BODY: Final = 8 * 1024 * 1024


class Api:
    """The routes, on top of an office."""

    def __init__(self, office: Office, healthy: Callable[[], bool], clock: Callable[[], float]) -> None:
        self._office = office
        self._healthy = healthy
        self._clock = clock
        self._metrics = registry_for(office)

    def app(self) -> ASGIApp:
        """The ASGI app."""
        return Starlette(
            routes=[
                Mount(routes.AUTHZ_PREFIX, app=self.authorize),
                Route(routes.SIGNER_OPEN_ROUND, self.signer_open_round, methods=["GET"]),
                Route(routes.SIGNER_NODE, self.signer_node, methods=["GET"]),
                Route(routes.ROUNDS_OPEN, self.open_round, methods=["POST"]),
                Route(routes.ROUNDS_CLOSE, self.close_round, methods=["POST"]),
                Route(routes.OPERATOR_STATUS, self.status, methods=["GET"]),
                Route(routes.OPERATOR_ROUNDS, self.rounds, methods=["GET"]),
                Route(routes.OPERATOR_DENY, self.deny, methods=["PUT"]),
                Route(routes.OPERATOR_REINSTATE, self.reinstate, methods=["PUT"]),
                Route(routes.HEALTH_STEWARD, self.health, methods=["GET"]),
                Route(routes.METRICS_STEWARD, self.metrics, methods=["GET"]),
            ],
            exception_handlers={ValidationError: _bad_request, UnknownRunError: _conflict},
        )

    async def authorize(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the proxy: 200 with the client's id, 401, or 503 so that a SuperNode tries again. Never 500."""
        try:
            path = _raw_path(scope)
            body = await _read(receive, MAX_BODY) if path == routes.FLEET_PUSH_MESSAGES else b""
            decision = self._office.authorize(scope["headers"], path, body, self._clock())
        except Exception:  # noqa: BLE001  # the gate fails closed, whatever went wrong
            _LOG.exception("the gate failed")
            decision = Deny(Reason.INTERNAL_ERROR)
            self._office.sightings.saw(decision, self._clock())
        await _verdict(decision)(scope, receive, send)

    async def signer_open_round(self, request: Request) -> Response:
        """The round that this client may sign for."""
        identity = request.headers.get(routes.CLIENT_HEADER, "")
        self._office.note_leaf_failures(identity, request.headers.get(routes.LEAF_FAILURES_HEADER, ""))
        opened = self._office.open_round_for(identity)
        if opened is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "no round is open for this client")
        return _json(opened.model_dump_json())

    async def signer_node(self, request: Request) -> Response:
        """Which node of the SuperLink this client is."""
        node = self._office.node_of(request.headers.get(routes.CLIENT_HEADER, ""))
        if node is None:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "the SuperLink does not have this client's node key")
        return _json(node.model_dump_json())

    async def open_round(self, request: Request) -> Response:
        """Open a round for the aggregator."""
        self._office.note_aggregator(request.scope["headers"])
        grant = self._office.open_round(OpenRound.model_validate_json(await _body(request)))
        return _json(grant.model_dump_json())

    async def close_round(self, request: Request) -> Response:
        """Take the aggregator's record of a round."""
        self._office.note_aggregator(request.scope["headers"])
        self._office.close_round(RoundRecord.model_validate_json(await _body(request)))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def status(self, _request: Request) -> Response:
        """Tell the operator how it goes."""
        return _json(self._office.status().model_dump_json())

    async def rounds(self, request: Request) -> Response:
        """Give the operator the records from an index on."""
        after = request.query_params.get("after", "0")
        if not (after.isascii() and after.isdecimal()):
            raise HTTPException(HTTPStatus.BAD_REQUEST, "after: expected an index")
        return _json(_RECORDS.dump_json(self._office.rounds.records[int(after) :][:MOST_RECORDS]))

    async def deny(self, request: Request) -> Response:
        """Replace the deny list."""
        deny = DenyList.model_validate_json(await _body(request))
        self._office.set_deny(deny)
        _LOG.info(
            "the deny list holds %d clients, %d serials, %d node keys",
            len(deny.clients),
            len(deny.serials),
            len(deny.node_keys),
        )
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def reinstate(self, request: Request) -> Response:
        """End bans that contribution brought on."""
        self._office.reinstate(Reinstatements.model_validate_json(await _body(request)))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def health(self, _request: Request) -> Response:
        """Whether the steward still follows the run."""
        return Response(status_code=HTTPStatus.OK if self._healthy() else HTTPStatus.SERVICE_UNAVAILABLE)

    async def metrics(self, _request: Request) -> Response:
        """Show the metrics to Prometheus."""
        return Response(render(self._metrics), media_type="text/plain; version=0.0.4; charset=utf-8")


def _verdict(decision: Decision) -> Response:
    if isinstance(decision, Allow):
        return Response(headers={routes.CLIENT_HEADER: decision.member.identity})
    status = HTTPStatus.SERVICE_UNAVAILABLE if decision.retry else HTTPStatus.UNAUTHORIZED
    return PlainTextResponse(f"shieldwall: {decision.reason}", status)


def _raw_path(scope: Scope) -> str:
    """The path as the proxy will send it on: not unescaped, without prefix and query."""
    raw = bytes(scope["raw_path"]).decode("ascii")
    return raw.removeprefix(routes.AUTHZ_PREFIX)


async def _body(request: Request) -> bytes:
    return await _read(request.receive, MAX_BODY)


async def _read(receive: Receive, limit: int) -> bytes:
    body, more = bytearray(), True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > limit:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too large")
    return bytes(body)


def _json(text: str | bytes) -> Response:
    return Response(text, media_type="application/json")


async def _bad_request(_request: Request, error: Exception) -> Response:
    return PlainTextResponse(str(error), HTTPStatus.BAD_REQUEST)


async def _conflict(_request: Request, error: Exception) -> Response:
    return PlainTextResponse(str(error), HTTPStatus.CONFLICT)
