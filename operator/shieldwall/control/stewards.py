"""The stewards that are followed: one for each training whose server runs, with the operator's own leaf for it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from shieldwall.contract.identity import Federation
from shieldwall.control.cluster.errors import ApiError, ApiUnreachableError
from shieldwall.control.issuing.contents import certificate_files
from shieldwall.control.issuing.trust import is_of
from shieldwall.control.nudges import Nudges
from shieldwall.control.plan.names import Names
from shieldwall.control.plan.services import server_host
from shieldwall.control.steward.api import StewardUnreachableError, Whereabouts
from shieldwall.control.steward.credentials import Credentials
from shieldwall.control.steward.watches import StewardWatches
from shieldwall.pki.leaf import LeafRequest
from shieldwall.pki.pem import certificates_from_pem
from shieldwall.pki.renewal import renewal_time
from shieldwall.pki.serials import serial_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from shieldwall.control.api.training import Training
    from shieldwall.control.cluster.store import Key
    from shieldwall.control.cluster.vault import Vault
    from shieldwall.control.issuing.randomness import Randomness
    from shieldwall.control.plan.orders import Observed
    from shieldwall.control.plan.settings import PlanSettings
    from shieldwall.control.steward.sight import StewardSight

_LOG: Final = logging.getLogger(__name__)
_LEAF_LIFETIME: Final = timedelta(hours=24)
_PATIENCE: Final = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class _Followed:
    training: Training
    observed: Observed
    nudges: Nudges
    running_since: datetime | None = None


class Stewards:
    """Follows stewards and remembers what they said last.

    Args:
        jitter: a number in [0, 1) for each call.
        changed: hears of a training whose steward said something new.
        locate: where a training's steward is; its Service, unless a test says otherwise.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # what it works with
        self,
        vault: Vault,
        settings: PlanSettings,
        random: Randomness,
        clock: Callable[[], datetime],
        jitter: Callable[[], float],
        changed: Callable[[Key], None],
        locate: Callable[[Training, Whereabouts], Whereabouts] = lambda _, usual: usual,
    ) -> None:
        self._vault = vault
        self._settings = settings
        self._random = random
        self._clock = clock
        self._changed = changed
        self._locate = locate
        self._followed: dict[Key, _Followed] = {}
        self._sights: dict[Key, StewardSight] = {}
        self._own: dict[Key, Credentials] = {}
        self._watches: StewardWatches[Key] = StewardWatches(
            resolve=self._whereabouts,
            credentials=self._credentials,
            report=self._saw,
            current=self._is_current,
            reinstatements=lambda key: self._followed[key].training.reinstatements.nonces,
            group=lambda key: key[0],
            clock=clock,
            jitter=jitter,
        )

    def follow(self, training: Training, observed: Observed, *, running: bool) -> None:
        """Follow the steward while its server runs; keep what it said when it does not."""
        key = (training.namespace, training.name)
        known = self._followed.get(key)
        if known is not None and known.training.uid != training.uid:
            self.stop(key)
            known = None
        since = known.running_since if known is not None and known.running_since is not None else self._clock()
        nudges = known.nudges if known is not None else Nudges()
        self._followed[key] = _Followed(training, observed, nudges, since if running else None)
        if running and observed.trust is not None and observed.issuer is not None:
            self._watches.start(key)
            if known is not None and _server_serial(known) != _server_serial(self._followed[key]):
                self._watches.nudge(key)
        else:
            self._watches.stop(key)
            sight = self._sights.get(key)
            if sight is not None and sight.reachable:
                self._sights[key] = replace(sight, reachable=False)

    def stop(self, key: Key) -> None:
        """Forget a training that has gone."""
        self._watches.stop(key)
        self._followed.pop(key, None)
        self._sights.pop(key, None)
        self._own.pop(key, None)

    async def close(self) -> None:
        """Stop following all."""
        await self._watches.close()

    def sight(self, key: Key) -> StewardSight | None:
        """What was last seen; None before the first answer."""
        return self._sights.get(key)

    def settling(self, key: Key, now: datetime) -> bool:
        """Whether a steward that runs may well answer soon: right after the operator's own start it is not down."""
        followed = self._followed.get(key)
        since = followed.running_since if followed is not None else None
        return key not in self._sights and since is not None and now < since + _PATIENCE

    def behind(self, key: Key, now: datetime) -> frozenset[str]:
        """Secrets that pods do not serve yet, and which kubelets that missed a nudge are to be told of again."""
        followed, sight = self._followed.get(key), self._sights.get(key)
        if followed is None or sight is None or not sight.reachable:
            return frozenset()
        leaves, served = followed.observed.leaves, _served(followed.training, sight)
        wanted = {name: serial_text(leaves[name].serial_number) for name in served if name in leaves}
        return followed.nudges.due({name: serial for name, serial in wanted.items() if serial != served[name]}, now)

    def _whereabouts(self, key: Key) -> Whereabouts:
        training = self._followed[key].training
        host = server_host(training, self._settings, Names(training.name))
        return self._locate(training, Whereabouts(host, host, self._federation(training).server()))

    def _is_current(self, key: Key, serial: str) -> bool:
        return _server_serial(self._followed[key]) in {None, serial}

    def _federation(self, training: Training) -> Federation:
        return Federation(self._settings.trust_domain, training.namespace, training.name)

    async def _credentials(self, key: Key) -> Credentials:
        """The operator's leaf for a training, made anew when it is due or another CA signs; never stored."""
        followed = self._followed[key]
        observed, now = followed.observed, self._clock()
        if observed.trust is None or observed.issuer is None or not is_of(observed.issuer, observed.trust):
            raise StewardUnreachableError("there is no trust bundle of the training's CA")
        ca, crl = observed.trust.ca.encode(), observed.trust.crl.encode()
        own = self._own.get(key)
        if own is None or own.ca != ca or now >= renewal_time(certificates_from_pem(own.chain)[0]):
            request = LeafRequest(self._federation(followed.training).operator(), (), _LEAF_LIFETIME)
            try:
                issuer = await self._vault.issuer(followed.training)
            except (ApiError, ApiUnreachableError) as error:
                raise StewardUnreachableError(f"no certificate for the operator: {error}") from error
            files = certificate_files(issuer, request, now, self._random)
            own = Credentials(files["tls.crt"], files["tls.key"], ca, crl)
        self._own[key] = own = replace(own, crl=crl)
        return own

    def _saw(self, key: Key, sight: StewardSight) -> None:
        if key in self._followed:
            self._sights[key] = sight
            self._changed(key)


def _server_serial(followed: _Followed) -> str | None:
    """Serial number of the server's leaf in its Secret."""
    leaf = followed.observed.leaves.get(Names(followed.training.name).server_tls)
    return serial_text(leaf.serial_number) if leaf is not None else None


def _served(training: Training, sight: StewardSight) -> dict[str, str]:
    """By Secret: the serial number of the certificate that was seen in use."""
    names = Names(training.name)
    served = {names.server_tls: sight.server_serial}
    if sight.status.aggregator_serial is not None:
        served[names.aggregator_tls] = sight.status.aggregator_serial
    for client in sight.status.clients:
        if client.serial is not None:
            served[names.client_tls(client.name)] = client.serial
    return served
