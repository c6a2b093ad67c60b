"""The API server's audit log, read back: who asked for what, how it ended, and which RBAC rule let it through."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})

# Health probes would drown the rest; everything else is kept, watches from the moment they are open.
POLICY: dict[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*"]}, {"level": "Metadata"}],
}


@dataclass(frozen=True)
class Request:
    """One request as audited (audit.k8s.io/v1 Event). Fields that it lacks are empty."""

    time: dt.datetime
    user: str
    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    """HTTP status."""
    uri: str
    user_agent: str
    reason: str
    """Why authorization allowed it, as in ``RBAC: allowed by RoleBinding "b/ns" of Role "r" to User "u"``."""

    @property
    def writes(self) -> bool:
        """Whether it asked for a change."""
        return self.verb in WRITES


@dataclass(frozen=True)
class Audit:
    """The log file. An entry may come some milliseconds after the answer to its request."""

    path: Path

    def requests(self, user: str | None = None, since: dt.datetime | None = None) -> list[Request]:
        """Every request so far in the order of the log, of ``user`` only, received at ``since`` or later only."""
        return [
            request
            for request in self._read()
            if (user is None or request.user == user) and (since is None or request.time >= since)
        ]

    def _read(self) -> Iterator[Request]:
        seen: set[str] = set()
        lines = self.path.read_bytes().splitlines(keepends=True) if self.path.exists() else []
        for line in lines:
            if not line.endswith(b"\n"):
                return  # being written
            event = json.loads(line)
            if event["auditID"] not in seen:  # a watch is there twice: when it opens and when it ends
                seen.add(event["auditID"])
                yield _request(event)


def _request(event: dict[str, Any]) -> Request:
    target = event.get("objectRef", {})
    return Request(
        time=dt.datetime.fromisoformat(event["requestReceivedTimestamp"]),
        user=event["user"].get("username", ""),
        verb=event["verb"],
        group=target.get("apiGroup", ""),
        resource=target.get("resource", ""),
        subresource=target.get("subresource", ""),
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0),
        uri=event["requestURI"],
        user_agent=event.get("userAgent", ""),
        reason=event.get("annotations", {}).get("authorization.k8s.io/reason", ""),
    )
