"""kopf's way to the API server: a session whose every request is heard, as those of ``Api`` are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import aiohttp
import kopf

from shieldwall.control.cluster.api import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from yarl import URL

    from shieldwall.control.cluster.connection import Connection
    from shieldwall.control.cluster.kinds import Kind

_DISCOVERY: Final = "APIResourceList"


class KopfLogin:
    """Gives kopf its session. kopf closes it, at its end or when its credentials are refused."""

    def __init__(
        self,
        connection: Connection,
        kinds: Iterable[Kind],
        namespaces: Sequence[str],
        counted: Callable[[Request], None],
    ) -> None:
        """``kinds`` are watched, in ``namespaces`` (none: all); ``counted`` hears of each request of kopf's."""
        self._connection = connection
        self._collections = {
            kind.path(namespace): (kind, namespace) for kind in kinds for namespace in (namespaces or (None,))
        }
        self._counted = counted
        self._known: tuple[dict[str, str], kopf.AiohttpSession] | None = None

    async def session(self) -> kopf.AiohttpSession:
        """The session with the credentials of now.

        While these are the same, so is the session: kopf asks after a 401, and ends when nothing new is given.
        """
        headers = await self._connection.authorization()
        if self._known is None or self._known[0] != headers:
            session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=self._connection.ssl_context),
                headers=headers,
                proxy=self._connection.proxy,
                trust_env=False,
                middlewares=(self._listen,),
            )
            self._known = headers, kopf.AiohttpSession(server=self._connection.server, aiohttp_session=session)
        return self._known[1]

    async def close(self) -> None:
        """Close the session where kopf has not: it forgets one that it was given and never used."""
        if self._known is not None:
            await self._known[1].aiohttp_session.close()

    async def _listen(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        verb, kind, namespace = self._asked(request.url)
        try:
            answer = await handler(request)
        except (aiohttp.ClientError, TimeoutError, OSError):
            self._counted(Request(verb, kind, "unreachable", namespace))
            raise
        self._counted(Request(verb, kind, str(answer.status), namespace))
        return answer

    def _asked(self, url: URL) -> tuple[str, str, str | None]:
        """Verb, kind and namespace. What is no collection that is watched is a part of the discovery."""
        if url.path not in self._collections:
            return "discover", _DISCOVERY, None
        kind, namespace = self._collections[url.path]
        return "watch" if url.query.get("watch") == "true" else "list", kind.kind, namespace
