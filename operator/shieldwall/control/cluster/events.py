"""Events on trainings and budgets: what happened, in stable reasons, for ``kubectl describe``."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

from shieldwall.control.cluster.errors import ApiError, ApiUnreachableError
from shieldwall.control.cluster.kinds import EVENT, TRAINING
from shieldwall.control.cluster.live import EVENT_MANAGER

if TYPE_CHECKING:
    from datetime import datetime

    from shieldwall.control.cluster.api import Api, Json
    from shieldwall.control.cluster.kinds import Kind

_LOG: Final = logging.getLogger(__name__)
_LONGEST_NOTE: Final = 1024
_BURST: Final = 25
_EVERY: Final = timedelta(minutes=5)
"""As client-go's spam filter has it (tools/record, EventCorrelator): so many at once, and then one in each interval."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What an event is about."""

    namespace: str
    name: str
    uid: str
    kind: Kind = TRAINING


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One thing that happened."""

    reason: str
    """Why, in one stable CamelCase word."""
    action: str
    """What was done or tried, in one CamelCase word."""
    note: str
    """A sentence for people."""
    type: Literal["Normal", "Warning"] = "Normal"
    facts: str = ""
    """What else tells it from another that reads the same, such as serial numbers; it is not shown."""


@dataclass(frozen=True, slots=True)
class _Bucket:
    """How many events one object may still cause: what it says may depend on what its owner writes all day."""

    tokens: float
    counted: datetime

    def at(self, now: datetime) -> _Bucket:
        return _Bucket(min(self.tokens + max((now - self.counted) / _EVERY, 0.0), _BURST), now)


class Recorder:
    """Posts events. The same event within an hour is posted once, whoever posts it: its name says what it holds.

    What happens twice is two events only if note or facts say what differs.

    Of one object it posts 25 at once at the most, and then one in five minutes.
    """

    def __init__(self, api: Api, instance: str) -> None:
        """``instance``: the operator's pod."""
        self._api = api
        self._instance = instance
        self._posted: dict[str, int] = {}
        self._buckets: dict[str, _Bucket] = {}
        """By the object's uid; none for a full one."""

    async def record(self, subject: Subject, what: Occurrence, now: datetime) -> None:
        """Post one event; an event that cannot be posted is logged and never stands in the way."""
        hour = int(now.timestamp()) // 3600
        text = "\0".join([subject.uid, what.type, what.reason, what.note, what.facts, str(hour)])
        name = f"{subject.name}.{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        if self._posted.get(f"{subject.namespace}/{name}") == hour:
            return
        if not self._spend(subject, now):
            return
        try:
            await self._api.create(EVENT, self._body(subject, what, name, now), EVENT_MANAGER)
        except ApiError as error:
            if not error.conflict:
                _LOG.warning("event %s on %s/%s: %s", what.reason, subject.namespace, subject.name, error)
        except ApiUnreachableError as error:
            _LOG.warning("event %s on %s/%s: %s", what.reason, subject.namespace, subject.name, error)
            return
        self._posted = {known: when for known, when in self._posted.items() if when == hour}
        self._posted[f"{subject.namespace}/{name}"] = hour

    def _spend(self, subject: Subject, now: datetime) -> bool:
        """Whether the object may cause one more event."""
        self._buckets = {
            uid: bucket for uid, bucket in self._buckets.items() if bucket.at(now).tokens < _BURST or uid == subject.uid
        }
        bucket = self._buckets.get(subject.uid, _Bucket(_BURST, now)).at(now)
        left = bucket.tokens - 1
        if left < 0:
            _LOG.debug("event on %s/%s: it has caused too many", subject.namespace, subject.name)
            self._buckets[subject.uid] = bucket
            return False
        if left < 1:
            _LOG.warning(
                "%s/%s has caused many events: only one in %s is posted", subject.namespace, subject.name, _EVERY
            )
        self._buckets[subject.uid] = _Bucket(left, now)
        return True

    def _body(self, subject: Subject, what: Occurrence, name: str, now: datetime) -> Json:
        return {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.kind,
            "metadata": {"name": name, "namespace": subject.namespace},
            "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": "shieldwall.dev/operator",
            "reportingInstance": self._instance[:128],
            "action": what.action,
            "reason": what.reason,
            "type": what.type,
            "note": what.note[:_LONGEST_NOTE],
            "regarding": {
                "apiVersion": subject.kind.api_version,
                "kind": subject.kind.kind,
                "namespace": subject.namespace,
                "name": subject.name,
                "uid": subject.uid,
            },
        }
