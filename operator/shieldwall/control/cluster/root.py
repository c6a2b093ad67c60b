"""The root CA of this installation, and what it has issued."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from shieldwall.control.cluster.entries import TLS, plain, secret
from shieldwall.control.cluster.errors import ApiError, UnreadableRootError
from shieldwall.control.cluster.kinds import SECRET
from shieldwall.control.cluster.live import MANAGER
from shieldwall.control.issuing.contents import root_files
from shieldwall.control.issuing.facts import authority_of
from shieldwall.pki.pem import certificates_from_pem, certificates_to_pem
from shieldwall.pki.verify import is_issued_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography import x509

    from shieldwall.control.cluster.api import Api
    from shieldwall.control.issuing.randomness import Randomness
    from shieldwall.pki.authority import Authority

_LOG: Final = logging.getLogger(__name__)
FORMER: Final = "former.crt"
"""Entry of the root's Secret: the roots before it, PEM. What they have issued stays good."""
_KNOWN_FOR: Final = timedelta(minutes=1)
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


class RootCa:
    """A Secret of the operator's namespace that belongs to no training."""

    def __init__(self, api: Api, namespace: str, name: str, random: Randomness, clock: Callable[[], datetime]) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._random = random
        self._clock = clock
        self._known: tuple[x509.Certificate, ...] = ()
        """The root that was last read, and those before it."""
        self._read_at = _NEVER
        self._readable = True

    @property
    def installation(self) -> str:
        """What tells this installation from others: they share no root."""
        return f"{self._namespace}/{self._name}"

    async def get(self) -> Authority:
        """The root with its key; made at first need. Raises UnreadableRootError."""
        found = await self._read()
        if found is not None:
            return found
        await self._make(self._clock())
        found = await self._read()  # whoever was first
        if found is None:
            raise UnreadableRootError(self._namespace, self._name)
        return found

    async def has_issued(self, certificate: x509.Certificate) -> bool:
        """Whether the root, or one before it, has issued ``certificate``. Asks once a minute, and before it says no.

        A root that has become unreadable or has gone is remembered as it was. Raises UnreadableRootError.
        """
        if self._clock() >= self._read_at + _KNOWN_FOR:
            await self._look()
        if not self._issued(certificate) and self._clock() > self._read_at:
            await self._look()
        return self._issued(certificate)

    def require_readable(self) -> None:
        """Raises UnreadableRootError when the root was, when last looked at."""
        if not self._readable:
            raise UnreadableRootError(self._namespace, self._name)

    def _issued(self, certificate: x509.Certificate) -> bool:
        return any(is_issued_by(certificate, root) for root in self._known)

    async def _look(self) -> None:
        try:
            await self._read()
        except UnreadableRootError:
            if not self._known:
                raise

    async def _make(self, now: datetime) -> None:
        files = root_files(f"Shieldwall root of {self._namespace}", now, self._random)
        former = [each for each in self._known if each.not_valid_after_utc > now]
        if former:
            files[FORMER] = certificates_to_pem(former).encode()
        metadata = {
            "name": self._name,
            "namespace": self._namespace,
            "labels": {"app.kubernetes.io/name": "shieldwall", "app.kubernetes.io/managed-by": "shieldwall"},
        }
        try:
            await self._api.create(SECRET, secret(metadata, files, TLS), MANAGER)
        except ApiError as error:
            if not error.conflict:
                raise
        else:
            _LOG.info("made a root CA, Secret %s", self.installation)

    async def _read(self) -> Authority | None:
        try:
            body = await self._api.get(SECRET, self._namespace, self._name)
        except ApiError as error:
            if not error.missing:
                raise
            self._read_at, self._readable = self._clock(), True
            return None
        data = plain(body)
        authority = authority_of(data)
        self._read_at, self._readable = self._clock(), authority is not None
        if authority is None:
            raise UnreadableRootError(self._namespace, self._name)
        former: tuple[x509.Certificate, ...] = ()
        with suppress(ValueError):
            former = certificates_from_pem(data.get(FORMER, b""))
        self._known = (authority.certificate, *former)
        return authority
