"""Fills a plan's orders as Secrets.

A Secret is made by a create, which refuses a name that is taken: what nobody had seen is never written over.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from shieldwall.contract.identity import Federation
from shieldwall.control.cluster.apply import require_ours
from shieldwall.control.cluster.entries import OPAQUE, TLS
from shieldwall.control.cluster.kinds import SECRET
from shieldwall.control.issuing.contents import (
    authority_files,
    certificate_files,
    node_key_files,
    shared_secret_files,
)
from shieldwall.control.plan.certificates import usable_issuer
from shieldwall.pki.leaf import LeafRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from datetime import datetime

    from shieldwall.control.api.training import Training
    from shieldwall.control.cluster.brake import Brake
    from shieldwall.control.cluster.holds import Holds
    from shieldwall.control.cluster.live import SecretFacts
    from shieldwall.control.cluster.root import RootCa
    from shieldwall.control.cluster.vault import Vault
    from shieldwall.control.issuing.randomness import Randomness
    from shieldwall.control.plan.orders import CertificateOrder, Plan
    from shieldwall.control.plan.settings import PlanSettings
    from shieldwall.pki.authority import Authority

RENEWED_FOR: Final = "shieldwall.dev/renewed-for"
"""Annotation of a leaf's Secret: the request for renewal that it answered."""


class Filler:
    """Writes the Secrets that a plan orders.

    Args:
        issued: hears of each leaf: the training and the order.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # what it works with
        self,
        vault: Vault,
        root: RootCa,
        settings: PlanSettings,
        random: Randomness,
        brake: Brake,
        issued: Callable[[Training, CertificateOrder], None],
    ) -> None:
        self._vault = vault
        self._root = root
        self._settings = settings
        self._random = random
        self._brake = brake
        self._issued = issued

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
            issuer = await self._vault.issuer(training)
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

    async def _make(
        self,
        training: Training,
        name: str,
        files: Callable[[], dict[str, bytes]],
        good: Callable[[SecretFacts], bool],
        secret_type: str = OPAQUE,
    ) -> bool:
        """Make what is not there. What is there and good is kept, whatever the store believed."""
        vault = self._vault
        # What nobody has seen is most likely not there; a create never writes over what is.
        if not vault.seen(training, name) and await vault.created(
            training, vault.body(training, name, files(), secret_type)
        ):
            return True
        current = await vault.look(training, name)
        if current is None:
            await vault.create(vault.body(training, name, files(), secret_type))
            return True
        facts = current.secret
        if facts is not None and good(facts):
            change = vault.untidy(training, current)
            if change is not None:  # a Secret that lost its label is on no watch
                await vault.merge(current, change)
            else:
                await vault.refresh(current)
            return False
        await vault.replace(training, current, files(), {})
        return True

    async def _leaf(self, training: Training, issuer: Authority, order: CertificateOrder, now: datetime) -> bool:
        vault, request = self._vault, LeafRequest(order.identity, order.dns_names, order.lifetime)
        files = certificate_files(issuer, request, now, self._random)
        annotations = {RENEWED_FOR: order.request} if order.request else {}
        body = vault.body(training, order.secret, files, TLS, annotations)
        if vault.seen(training, order.secret) or not await vault.created(training, body):
            current = vault.owned(training, order.secret)
            current = current or await vault.look(training, order.secret)
            if current is None:
                await vault.create(body)
            else:
                require_ours(current, training)
                await vault.replace(training, current, files, annotations)
        self._issued(training, order)
        return True
