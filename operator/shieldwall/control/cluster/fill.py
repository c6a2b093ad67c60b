"""Fills a plan's orders as Secrets.

A Secret is made by a create, which refuses a name that is taken: what nobody had seen is never written over.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from shieldwall.contract.identity import Federation
from shieldwall.control.cluster.apply import Repair, require_ours
from shieldwall.control.cluster.entries import OPAQUE, TLS, plain
from shieldwall.control.cluster.errors import ApiError, ForeignAuthorityError, OtherOperatorError
from shieldwall.control.cluster.kinds import SECRET
from shieldwall.control.cluster.live import MANAGER, live_of
from shieldwall.control.cluster.removal import remove
from shieldwall.control.cluster.secret_bodies import INSTALLATION, secret_body, untidy
from shieldwall.control.issuing.contents import (
    authority_files,
    certificate_files,
    node_key_files,
    shared_secret_files,
)
from shieldwall.control.issuing.facts import authority_of
from shieldwall.control.plan.certificates import entries_of, usable_issuer
from shieldwall.control.plan.names import Names
from shieldwall.pki.leaf import LeafRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping
    from datetime import datetime

    from shieldwall.control.api.training import Training
    from shieldwall.control.cluster.api import Api, Json
    from shieldwall.control.cluster.brake import Brake
    from shieldwall.control.cluster.holds import Holds
    from shieldwall.control.cluster.live import Live, SecretFacts
    from shieldwall.control.cluster.root import RootCa
    from shieldwall.control.cluster.store import Key, Store
    from shieldwall.control.issuing.randomness import Randomness
    from shieldwall.control.plan.orders import CertificateOrder, Plan
    from shieldwall.control.plan.settings import PlanSettings
    from shieldwall.pki.authority import Authority

RENEWED_FOR: Final = "shieldwall.dev/renewed-for"
"""Annotation of a leaf's Secret: the request for renewal that it answered."""


class Filler:
    """Writes the Secrets that a plan orders.

    Args:
        issued: hears of each leaf: the training, the order, and until when it is valid.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # what it works with
        self,
        api: Api,
        store: Store,
        root: RootCa,
        settings: PlanSettings,
        random: Randomness,
        brake: Brake,
        issued: Callable[[Training, CertificateOrder], None],
    ) -> None:
        self._api = api
        self._store = store
        self._root = root
        self._settings = settings
        self._random = random
        self._brake = brake
        self._issued = issued
        self._refused: set[tuple[str, str]] = set()
        """Namespaces and names of Secrets that were there though nobody had seen them."""
        self._tidy: WeakSet[Live] = WeakSet()
        """Sights of Secrets with nothing in them that is not ours; go when the store drops the sight."""
        self._repairs: dict[Key, list[Repair]] = {}

    async def fill(self, training: Training, plan: Plan, now: datetime, holds: Holds) -> frozenset[str]:
        """Fill every order, the authority's first. Returns the names of the Secrets that were written.

        What holds up one Secret goes to ``holds``. Raises HeldError for the authority, ApiError (a conflict: look
        again) or ApiUnreachableError.
        """
        written: set[str] = set()
        if plan.authority is not None:
            name = plan.authority.secret
            await self._unless_braked(training, name, written, partial(self._authority, training, name, now))
            return frozenset(written)  # what hangs on it is ordered anew when it is seen
        for name, files, good in self._random_secrets(plan):
            with holds.one():
                await self._unless_braked(training, name, written, partial(self._make, training, name, files, good))
        if plan.certificates:
            issuer = await self.issuer(training)
            for order in plan.certificates:
                with holds.one():
                    leaf = partial(self._leaf, training, issuer, order, now)
                    await self._unless_braked(training, order.secret, written, leaf)
        return frozenset(written)

    async def _unless_braked(
        self, training: Training, secret: str, written: set[str], write: Callable[[], Awaitable[bool]]
    ) -> None:
        """Write a Secret, unless that was done again and again within the last minute."""
        key, itself = (training.namespace, training.name), (SECRET.kind, secret)
        if self._brake.allows_making(key, itself) and await write():
            self._brake.made(key, itself)
            written.add(secret)

    async def vouch(self, training: Training) -> None:
        """Go on only if the training's CA, where it has one, is of our root, and its other objects are ours to write.

        Raises HeldError, ApiError or ApiUnreachableError.
        """
        owned = self._store.owned((training.namespace, training.name))
        live = owned.get((SECRET.kind, Names(training.name).authority))
        if live is not None:
            await self._vouch(training, live)

    def repairs(self, key: Key) -> list[Repair]:
        """What of somebody else's doing was mended since this was asked last."""
        return self._repairs.pop(key, [])

    def require_root(self) -> None:
        """Raises UnreadableRootError, though whatever is there already can go on without the root."""
        self._root.require_readable()

    async def tidy(self, training: Training, holds: Holds) -> frozenset[str]:
        """Take back labels of Secrets, and entries that others put in. Returns the names of those that were changed.

        What holds up one Secret goes to ``holds``. Raises ApiError (a conflict: look again) or ApiUnreachableError.
        """
        changed = set()
        owned = self._store.owned((training.namespace, training.name))
        for name, entries in entries_of(training, Names(training.name)).items():
            live = owned.get((SECRET.kind, name))
            if live is None or live.leaving:
                continue
            if live in self._tidy:
                self._brake.calm((training.namespace, training.name), live)
                continue
            with holds.one():
                if await self._tidied(training, live, entries):
                    changed.add(name)
        return frozenset(changed)

    async def _tidied(self, training: Training, live: Live, entries: frozenset[str]) -> bool:
        require_ours(live, training)
        if live.immutable:
            return self._brake.allows((training.namespace, training.name), live) and await self._thaw(
                training, entries, live
            )
        key, change = (training.namespace, training.name), self._untidy(training, live, entries)
        if change is None:
            self._tidy.add(live)
            self._brake.calm(key, live)
        elif self._brake.allows(key, live):
            await self._merge(live, change)
            return True
        return False

    async def _thaw(self, training: Training, entries: frozenset[str], live: Live) -> bool:
        """The same Secret, made anew without being immutable: a key that is good goes on to serve."""
        body = await self._api.get(SECRET, live.namespace, live.name)
        seen, files = live_of(SECRET, body), plain(body)
        require_ours(seen, training)
        own = {name: content for name, content in files.items() if name in entries}
        await self._anew(training, seen, self._body(training, live.name, own, body["type"], seen.annotations))
        return True

    async def _anew(self, training: Training, frozen: Live, body: Json) -> None:
        await remove(self._api, self._store, frozen)
        self._take(await self._api.create(SECRET, body, MANAGER))
        repair = Repair(SECRET.kind, frozen.name, "was changed (immutable)", frozen=True)
        self._repairs.setdefault((training.namespace, training.name), []).append(repair)

    async def issuer(self, training: Training) -> Authority:
        """The training's CA with its key, read now.

        Raises HeldError, and ApiError when there is none or an unreadable one.
        """
        name = Names(training.name).authority
        body = await self._api.get(SECRET, training.namespace, name)
        live = live_of(SECRET, body)
        await self._vouch(training, live)
        authority = authority_of(plain(body))
        if authority is None:
            raise ApiError(409, "Conflict", f"Secret {name} holds no CA any more")
        return authority

    async def _authority(self, training: Training, name: str, now: datetime) -> bool:
        federation = Federation(self._settings.trust_domain, training.namespace, training.name)
        root = await self._root.get()
        return await self._make(
            training,
            name,
            lambda: authority_files(root, federation, training.spec.identity.lifetime, now, self._random),
            lambda facts: usable_issuer(federation, facts.authority, now) is not None,
            secret_type=TLS,
        )

    def _random_secrets(
        self, plan: Plan
    ) -> Iterator[tuple[str, Callable[[], dict[str, bytes]], Callable[[SecretFacts], bool]]]:
        """Name, new files, and what tells that there is a good one already."""
        for shared in plan.shared_secrets:
            yield shared.secret, partial(shared_secret_files, shared, self._random), lambda facts: facts.shared_secret
        for node in plan.node_keys:
            yield node.secret, partial(node_key_files, self._random), lambda facts: facts.node_key is not None

    async def _vouch(self, training: Training, authority: Live) -> None:
        require_ours(authority, training)
        claim = authority.annotations.get(INSTALLATION, self._root.installation)
        if claim != self._root.installation:
            raise OtherOperatorError(authority.name, claim, self._root.installation)
        certificate = authority.secret.authority if authority.secret is not None else None
        if certificate is not None and not await self._root.has_issued(certificate):
            raise ForeignAuthorityError(authority.name, self._root.installation)

    async def _make(
        self,
        training: Training,
        name: str,
        files: Callable[[], dict[str, bytes]],
        good: Callable[[SecretFacts], bool],
        secret_type: str = OPAQUE,
    ) -> bool:
        """Make what is not there. What is there and good is kept, whatever the store believed."""
        # What nobody has seen is most likely not there; a create never writes over what is.
        if not self._seen(training, name) and await self._created(self._body(training, name, files(), secret_type)):
            return True
        current = await self._look(training, name)
        if current is None:
            self._take(await self._api.create(SECRET, self._body(training, name, files(), secret_type), MANAGER))
            return True
        facts = current.secret
        if facts is not None and good(facts):
            change = self._untidy(training, current)
            if change is not None:  # a Secret that lost its label is on no watch
                await self._merge(current, change)
            else:
                self._take(await self._api.get(SECRET, current.namespace, current.name))
            return False
        await self._replace(training, current, files(), {})
        return True

    async def _leaf(self, training: Training, issuer: Authority, order: CertificateOrder, now: datetime) -> bool:
        request = LeafRequest(order.identity, order.dns_names, order.lifetime)
        files = certificate_files(issuer, request, now, self._random)
        annotations = {RENEWED_FOR: order.request} if order.request else {}
        body = self._body(training, order.secret, files, TLS, annotations)
        if self._seen(training, order.secret) or not await self._created(body):
            current = self._store.owned((training.namespace, training.name)).get((SECRET.kind, order.secret))
            current = current or await self._look(training, order.secret)
            if current is None:
                self._take(await self._api.create(SECRET, body, MANAGER))
            else:
                require_ours(current, training)
                await self._replace(training, current, files, annotations)
        self._issued(training, order)
        return True

    def _seen(self, training: Training, name: str) -> bool:
        """Whether there is such a Secret, for all that is known."""
        owned = self._store.owned((training.namespace, training.name))
        return (SECRET.kind, name) in owned or (training.namespace, name) in self._refused

    async def _created(self, body: Json) -> bool:
        """Make a Secret; False when there is one of that name already, which is remembered: the next time, look."""
        name = body["metadata"]["namespace"], body["metadata"]["name"]
        try:
            self._take(await self._api.create(SECRET, body, MANAGER))
        except ApiError as error:
            if not error.conflict:
                raise
            self._refused.add(name)
            return False
        return True

    async def _look(self, training: Training, name: str) -> Live | None:
        try:
            live = live_of(SECRET, await self._api.get(SECRET, training.namespace, name))
        except ApiError as error:
            if error.missing:
                return None
            raise
        if name == Names(training.name).authority:
            await self._vouch(training, live)
        require_ours(live, training)
        return live

    async def _replace(
        self, training: Training, current: Live, files: Mapping[str, bytes], annotations: Mapping[str, str]
    ) -> None:
        old = current.body()
        body = self._body(training, current.name, files, old.get("type", OPAQUE), annotations)
        if current.immutable:
            await self._anew(training, current, body)
            return
        body["metadata"] |= {"uid": current.uid, "resourceVersion": str(current.resource_version)}
        self._take(await self._api.replace(SECRET, body, MANAGER))

    async def _merge(self, live: Live, change: Json) -> None:
        change["metadata"]["resourceVersion"] = str(live.resource_version)
        self._take(await self._api.merge(SECRET, live.namespace, live.name, change, MANAGER))

    def _take(self, answer: Json) -> None:
        self._store.put(SECRET, answer)

    def _body(
        self,
        training: Training,
        name: str,
        files: Mapping[str, bytes],
        secret_type: str,
        annotations: Mapping[str, str] | None = None,
    ) -> Json:
        return secret_body(training, name, files, secret_type, annotations or {}, self._root.installation)

    def _untidy(self, training: Training, live: Live, entries: frozenset[str] | None = None) -> Json | None:
        return untidy(live, self._body(training, live.name, {}, OPAQUE), entries)
