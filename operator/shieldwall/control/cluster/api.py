"""Requests to the API server, as plain JSON: the official client's configuration, and none of its models."""

from __future__ import annotations

import asyncio
import json
from contextlib import nullcontext
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp
from aiohttp_retry import ExponentialRetry, RetryClient

from shieldwall.control.cluster.errors import ApiError, ApiUnreachableError
from shieldwall.control.cluster.kinds import CONFIG_MAP, LEASE, SECRET

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from shieldwall.control.cluster.connection import Connection
    from shieldwall.control.cluster.kinds import Kind

Json = dict[str, Any]

_APPLY: Final = "application/apply-patch+yaml"
_MERGE: Final = "application/merge-patch+json"
_PAGE: Final = 500
_PAGE_OF_LARGE: Final = 20
"""ConfigMaps and Secrets may have a megabyte each."""
_LARGE: Final = frozenset({CONFIG_MAP, SECRET})
_ATTEMPTS: Final = 4
_LONGEST_WAIT: Final = 10.0
_BUSY: Final = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
_TIMEOUT: Final = aiohttp.ClientTimeout(total=30, sock_connect=5)


class _Patience(ExponentialRetry):
    """Waits as long as the server asks for (Retry-After), else longer each time."""

    def get_timeout(self, attempt: int, response: aiohttp.ClientResponse | None = None) -> float:
        asked = response.headers.get("Retry-After", "") if response is not None else ""
        if asked.isdecimal():
            return min(float(asked), _LONGEST_WAIT)
        return super().get_timeout(attempt, response)


@dataclass(frozen=True, slots=True)
class Request:
    """One request, for metrics: the verb in Kubernetes' words."""

    verb: str
    kind: str
    code: str
    """Of HTTP, or "unreachable"."""
    namespace: str | None = None
    """Of kopf's watch and its list; None when it is of all namespaces, or where nobody asks."""

    @property
    def answered(self) -> bool:
        """Whether it was the API server that spoke: a proxy in front of one that is away says 502 or 503."""
        return self.code.isdecimal() and int(self.code) < HTTPStatus.INTERNAL_SERVER_ERROR

    @property
    def granted(self) -> bool:
        """Whether it was answered with what was asked for."""
        return self.answered and int(self.code) < HTTPStatus.BAD_REQUEST


class Api:
    """The API server, with a bound on requests in flight; those on Leases do not count.

    Every method raises ApiError for an answer of 400 or more and ApiUnreachableError for none, after a few tries where
    the server is busy. Writes are made so that they may be sent twice.
    """

    def __init__(
        self, connection: Connection, *, in_flight: int, counted: Callable[[Request], None] = lambda _: None
    ) -> None:
        """``counted`` hears of each request that was answered or failed."""
        self._connection = connection
        self._gate = asyncio.Semaphore(in_flight)
        self._counted = counted
        self._session: RetryClient | None = None

    async def __aenter__(self) -> Self:
        """Open the connections."""
        connector = aiohttp.TCPConnector(limit=0, ssl=self._connection.ssl_context)
        # A few tries at once for what passes at once; all else is the work queue's affair.
        options = _Patience(attempts=_ATTEMPTS, start_timeout=0.1, statuses=set(_BUSY), retry_all_server_errors=False)
        self._session = RetryClient(
            raise_for_status=False,
            retry_options=options,
            connector=connector,
            timeout=_TIMEOUT,
            proxy=self._connection.proxy,
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def serves(self, kind: Kind) -> bool:
        """Whether there is such a kind; everybody who is known to the API server may ask. Not of the core."""
        try:
            told = await self._send("discover", kind, "GET", f"/apis/{kind.api_version}")
        except ApiError as error:
            if error.missing:
                return False
            raise
        return any(each.get("name") == kind.plural for each in told.get("resources") or ())

    async def get(self, kind: Kind, namespace: str, name: str) -> Json:
        """One object, as it is now."""
        return await self._send("get", kind, "GET", kind.path(namespace, name))

    async def list_pages(
        self, kind: Kind, namespace: str | None = None, selector: str | None = None
    ) -> AsyncIterator[Json]:
        """Each page of a list. Raises an ApiError that is ``expired`` when the pages took too long."""
        query: dict[str, str] = {"limit": str(_PAGE_OF_LARGE if kind in _LARGE else _PAGE)}
        if selector is not None:
            query["labelSelector"] = selector
        while True:
            page = await self._send("list", kind, "GET", kind.path(namespace), query=query)
            yield page
            token = page["metadata"].get("continue")
            if not token:
                return
            query["continue"] = token

    async def create(self, kind: Kind, body: Json, manager: str) -> Json:
        """Make an object; a conflict when there is one of that name."""
        path = kind.path(body["metadata"]["namespace"])
        return await self._send("create", kind, "POST", path, body=body, query={"fieldManager": manager})

    async def replace(self, kind: Kind, body: Json, manager: str, *, subresource: str | None = None) -> Json:
        """Replace an object; a conflict unless it still has the resourceVersion that ``body`` names."""
        path = kind.path(body["metadata"]["namespace"], body["metadata"]["name"], subresource)
        return await self._send("update", kind, "PUT", path, body=body, query={"fieldManager": manager})

    async def apply(
        self, kind: Kind, body: Json, manager: str, *, force: bool = True, subresource: str | None = None
    ) -> Json:
        """Server-side apply. With a resourceVersion in ``body`` it is a compare-and-swap."""
        path = kind.path(body["metadata"]["namespace"], body["metadata"]["name"], subresource)
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        return await self._send("apply", kind, "PATCH", path, body=body, query=query, content_type=_APPLY)

    async def merge(self, kind: Kind, namespace: str, name: str, body: Json, manager: str) -> Json:
        """Change the fields that ``body`` names (RFC 7386)."""
        path, query = kind.path(namespace, name), {"fieldManager": manager}
        return await self._send("patch", kind, "PATCH", path, body=body, query=query, content_type=_MERGE)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Delete this very object and not a later one of the same name; nothing happens when it is gone."""
        body: Json = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        try:
            await self._send("delete", kind, "DELETE", kind.path(namespace, name), body=body)
        except ApiError as error:
            if not (error.missing or error.conflict):
                raise

    async def _send(  # noqa: PLR0913  # a request has that many sides
        self,
        verb: str,
        kind: Kind,
        method: str,
        path: str,
        *,
        body: Json | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Json:
        if self._session is None:
            raise RuntimeError("the API is used outside its context")
        headers = {"Accept": "application/json", **await self._connection.authorization()}
        data = None
        if body is not None:
            headers["Content-Type"] = content_type
            data = json.dumps(body, separators=(",", ":")).encode()
        try:
            async with (
                # A leader must not lose its lease for waiting behind its own work.
                self._gate if kind is not LEASE else nullcontext(),
                self._session.request(
                    method,
                    self._connection.server + path,
                    params=query,
                    data=data,
                    headers=headers,
                    server_hostname=self._connection.tls_server_name,
                ) as answer,
            ):
                content = await answer.read()
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._counted(Request(verb, kind.kind, "unreachable"))
            raise ApiUnreachableError(f"{method} {path}: {error or type(error).__name__}") from error
        self._counted(Request(verb, kind.kind, str(status)))
        if status >= HTTPStatus.BAD_REQUEST:
            raise _error(status, content)
        parsed = _object(content)
        if parsed is None:  # a proxy in between, most likely
            raise ApiUnreachableError(f"{method} {path}: {status} and no JSON object: {_shown(content)}")
        return parsed


def _object(content: bytes) -> Json | None:
    try:
        parsed = json.loads(content)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _shown(content: bytes) -> str:
    return content[:200].decode(errors="replace")


def _error(status: int, content: bytes) -> ApiError:
    """What a Status object says; a proxy in between may answer with anything."""
    told = _object(content)
    if told is None:
        known = status in HTTPStatus.__members__.values()
        return ApiError(status, HTTPStatus(status).phrase.replace(" ", "") if known else "Unknown", _shown(content))
    return ApiError(status, str(told.get("reason") or "Unknown"), str(told.get("message") or "without a message"))
