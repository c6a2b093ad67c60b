"""The trust that is published for each training: what others write into its ConfigMap never becomes the operator's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from shieldwall.control.issuing.trust import newest, trust_due, trust_of

if TYPE_CHECKING:
    from datetime import datetime

    from shieldwall.control.api.training import Training
    from shieldwall.control.cluster.store import Key
    from shieldwall.control.cluster.vault import Vault
    from shieldwall.control.plan.orders import Observed, Trust


class PublishedTrust:
    """Remembers what was published last, so that an older list, which is signed as well, does not come back."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._last: dict[Key, tuple[str | None, Trust]] = {}
        """By training: its uid, and its trust."""

    def forget(self, key: Key) -> None:
        """A training has gone."""
        self._last.pop(key, None)

    async def wanted(self, training: Training, observed: Observed, now: datetime) -> Observed:
        """``observed`` with the bundle and the CRL that are to be there, and none without a CA.

        Signed anew when they are due: only then is the CA's key read. Raises HeldError, ApiError or
        ApiUnreachableError.
        """
        issuer = observed.issuer
        if issuer is None:
            return replace(observed, trust=None)
        trust = newest(issuer, self._known(training), observed.trust)
        if trust is None or trust_due(issuer, trust) <= now:
            trust = trust_of(await self._vault.issuer(training), trust, now)
        self._last[training.namespace, training.name] = training.uid, trust
        return replace(observed, trust=trust)

    def kept(self, training: Training, observed: Observed) -> Observed:
        """``observed`` with what was published last, where nobody can sign any more; as found by an operator anew."""
        return replace(observed, trust=self._known(training) or observed.trust)

    def _known(self, training: Training) -> Trust | None:
        uid, trust = self._last.get((training.namespace, training.name), (None, None))
        return trust if uid == training.uid else None
