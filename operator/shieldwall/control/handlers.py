"""What kopf calls: every event goes into the store, and its training into the queue. Nothing is decided here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import kopf

from shieldwall.control.budgets.sights import drawn_on
from shieldwall.control.cluster.kinds import BUDGET, OWNED, TRAINING
from shieldwall.control.persistence import NoDiffBase, NoProgress
from shieldwall.control.plan.labels import TRAINING_LABEL

if TYPE_CHECKING:
    from collections.abc import Callable

    from shieldwall.control.cluster.kinds import Kind
    from shieldwall.control.cluster.kopf_session import KopfLogin
    from shieldwall.control.cluster.store import Key, Store
    from shieldwall.control.workqueue import WorkQueue

_DELETED: Final = "DELETED"
_FIRST_LISTS: Final = 10.0
"""Seconds in which watches begin; longer ones cost a list more."""
_BACKOFFS: Final = (1, 1, 2, 3, *[5] * 20)
"""Seconds between tries of a watch; kopf's own grow to 21, in which nothing is seen of a server that is back."""


def registry_of(way: KopfLogin, store: Store, queue: WorkQueue[Key], budgets: WorkQueue[Key]) -> kopf.OperatorRegistry:
    """The handlers, in a registry of their own."""
    registry = kopf.OperatorRegistry()
    doubt = _doubting(store)

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.AiohttpSession:  # noqa: ANN401  # kopf's keyword arguments
        return await way.session()

    # on.event writes nothing to the object; all else of kopf's does.
    @kopf.on.event(TRAINING.group, TRAINING.version, TRAINING.plural, registry=registry)
    async def training(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002, ANN401
        doubt(type)
        raw = dict(body)
        queue.add(store.remove_training(raw) if type == _DELETED else store.put_training(raw))
        budget = drawn_on(raw)
        if budget is not None:
            budgets.add_soon(budget)

    @kopf.on.event(BUDGET.group, BUDGET.version, BUDGET.plural, registry=registry)
    async def budget(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002, ANN401
        doubt(type)
        raw = {**body, "apiVersion": BUDGET.api_version, "kind": BUDGET.kind}
        key = store.budgets.remove(raw) if type == _DELETED else store.budgets.put(raw)
        budgets.add_soon(key)
        for each in store.trainings(key[0]):
            if drawn_on(each) == key:
                queue.add_soon((key[0], each["metadata"]["name"]))

    for kind in OWNED:
        _watch(registry, kind, store, queue, doubt)
    return registry


def _doubting(store: Store) -> Callable[[str | None], None]:
    """Hears of every event's type. None is an item of a list: after the first ones, of a watch that began anew.

    kopf tells of no deletion that happened in between.
    """
    began = time.monotonic()

    def doubt(type: str | None) -> None:  # noqa: A002  # kopf's name
        if type is None and time.monotonic() - began > _FIRST_LISTS:
            store.doubted.set()

    return doubt


def _watch(
    registry: kopf.OperatorRegistry,
    kind: Kind,
    store: Store,
    queue: WorkQueue[Key],
    doubt: Callable[[str | None], None],
) -> None:
    @kopf.on.event(
        kind.group, kind.version, kind.plural, registry=registry, id=kind.plural, labels={TRAINING_LABEL: kopf.PRESENT}
    )
    async def owned(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002, ANN401
        doubt(type)
        raw = {**body, "apiVersion": kind.api_version, "kind": kind.kind}
        if type == _DELETED:
            key = store.remove(kind, raw)
            if key is not None:
                queue.add_soon(key)
            return
        before = store.holder(kind, raw)
        live = store.put(kind, raw)
        if live is not None and live.training is not None:
            queue.add_soon((live.namespace, live.training))
            if before is not None:  # whose it was, when somebody changed its label
                queue.add_soon(before)


def settings_of() -> kopf.OperatorSettings:
    """What kopf does for us: watching, and nothing else."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.persistence.progress_storage = NoProgress()
    settings.watching.chunk_size = 500
    settings.watching.inactivity_timeout = 70
    settings.networking.error_backoffs = _BACKOFFS
    for kind in OWNED:
        settings.watching.label_selectors[kind.group, kind.version, kind.plural] = TRAINING_LABEL
    return settings
