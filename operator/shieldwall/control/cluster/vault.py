"""The Secrets of trainings on the API server: read when they are needed, and never written over unseen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shieldwall.control.cluster.apply import Repair, require_ours
from shieldwall.control.cluster.entries import OPAQUE, plain
from shieldwall.control.cluster.errors import ApiError, ForeignAuthorityError, OtherOperatorError
from shieldwall.control.cluster.kinds import SECRET
from shieldwall.control.cluster.live import MANAGER, live_of
from shieldwall.control.cluster.removal import remove
from shieldwall.control.cluster.secret_bodies import INSTALLATION, secret_body, untidy
from shieldwall.control.issuing.facts import authority_of
from shieldwall.control.plan.names import Names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shieldwall.control.api.training import Training
    from shieldwall.control.cluster.api import Api, Json
    from shieldwall.control.cluster.live import Live
    from shieldwall.control.cluster.root import RootCa
    from shieldwall.control.cluster.store import Key, Store
    from shieldwall.pki.authority import Authority


class Vault:
    """Writes single Secrets, and vouches for the CAs among them."""

    def __init__(self, api: Api, store: Store, root: RootCa) -> None:
        self._api = api
        self._store = store
        self._root = root
        self._taken: dict[Key, set[str]] = {}
        """By training: names of Secrets that were there though nobody had seen them."""
        self._repairs: dict[Key, list[Repair]] = {}

    def forget(self, key: Key) -> None:
        """A training has gone."""
        self._taken.pop(key, None)
        self._repairs.pop(key, None)

    def owned(self, training: Training, name: str) -> Live | None:
        """A training's Secret as the store has it."""
        return self._store.owned((training.namespace, training.name)).get((SECRET.kind, name))

    def seen(self, training: Training, name: str) -> bool:
        """Whether there is such a Secret, for all that is known."""
        return self.owned(training, name) is not None or name in self._taken.get(
            (training.namespace, training.name), ()
        )

    async def look(self, training: Training, name: str) -> Live | None:
        """A Secret as it is now; None when there is none. Raises HeldError for one that is not ours, or ApiError."""
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

    async def refresh(self, live: Live) -> None:
        """Let the store see a Secret as it is now."""
        self._take(await self._api.get(SECRET, live.namespace, live.name))

    async def create(self, body: Json) -> None:
        """Make a Secret; a conflict is an ApiError."""
        self._take(await self._api.create(SECRET, body, MANAGER))

    async def created(self, training: Training, body: Json) -> bool:
        """Make a Secret; False when there is one of that name already, which is remembered: the next time, look."""
        try:
            await self.create(body)
        except ApiError as error:
            if not error.conflict:
                raise
            self._taken.setdefault((training.namespace, training.name), set()).add(body["metadata"]["name"])
            return False
        return True

    async def replace(
        self, training: Training, current: Live, files: Mapping[str, bytes], annotations: Mapping[str, str]
    ) -> None:
        """Other files in a Secret, if it is still as it was seen. Raises ApiError."""
        old = current.body()
        body = self.body(training, current.name, files, old.get("type", OPAQUE), annotations)
        if current.immutable:
            await self._anew(training, current, body)
            return
        body["metadata"] |= {"uid": current.uid, "resourceVersion": str(current.resource_version)}
        self._take(await self._api.replace(SECRET, body, MANAGER))

    async def merge(self, live: Live, change: Json) -> None:
        """A change to a Secret, if it is still as it was seen. Raises ApiError."""
        change["metadata"]["resourceVersion"] = str(live.resource_version)
        self._take(await self._api.merge(SECRET, live.namespace, live.name, change, MANAGER))

    async def thaw(self, training: Training, entries: frozenset[str], live: Live) -> None:
        """The same Secret, made anew without being immutable: a key that is good goes on to serve."""
        body = await self._api.get(SECRET, live.namespace, live.name)
        seen, files = live_of(SECRET, body), plain(body)
        require_ours(seen, training)
        own = {name: content for name, content in files.items() if name in entries}
        await self._anew(training, seen, self.body(training, live.name, own, body["type"], seen.annotations))

    async def vouch(self, training: Training) -> None:
        """Go on only if the training's CA, where it has one, is of our root, and its other objects are ours to write.

        Raises HeldError, ApiError or ApiUnreachableError.
        """
        live = self.owned(training, Names(training.name).authority)
        if live is not None:
            await self._vouch(training, live)

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

    def repairs(self, key: Key) -> list[Repair]:
        """What of somebody else's doing was mended since this was asked last."""
        return self._repairs.pop(key, [])

    def body(
        self,
        training: Training,
        name: str,
        files: Mapping[str, bytes],
        secret_type: str,
        annotations: Mapping[str, str] | None = None,
    ) -> Json:
        """A Secret with these files."""
        return secret_body(training, name, files, secret_type, annotations or {}, self._root.installation)

    def untidy(self, training: Training, live: Live, entries: frozenset[str] | None = None) -> Json | None:
        """The change that gives back lost labels, and takes away what is none of ``entries``; None when all is well."""
        return untidy(live, self.body(training, live.name, {}, OPAQUE), entries)

    async def _anew(self, training: Training, frozen: Live, body: Json) -> None:
        await remove(self._api, self._store, frozen)
        await self.create(body)
        repair = Repair(SECRET.kind, frozen.name, "was changed (immutable)", frozen=True)
        self._repairs.setdefault((training.namespace, training.name), []).append(repair)

    async def _vouch(self, training: Training, authority: Live) -> None:
        require_ours(authority, training)
        claim = authority.annotations.get(INSTALLATION, self._root.installation)
        if claim != self._root.installation:
            raise OtherOperatorError(authority.name, claim, self._root.installation)
        certificate = authority.secret.authority if authority.secret is not None else None
        if certificate is not None and not await self._root.has_issued(certificate):
            raise ForeignAuthorityError(authority.name, self._root.installation)

    def _take(self, answer: Json) -> None:
        self._store.put(SECRET, answer)
