"""The user's app in this process: honest copies of its modules, and copies that load poisoned data."""

from __future__ import annotations

import logging
import random
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from shieldwall.contract.policy import Mode
from shieldwall.lab.attacks import Poison
from shieldwall.lab.cohort import AppCohort
from shieldwall.lab.loaders import (
    AppCopy,
    Loaders,
    NothingToPoisonError,
    all_triggered,
    reverse_labels,
    untouched,
    with_trigger,
)
from shieldwall.lab.roster import poisoned
from shieldwall.lab.run import SUCCESS
from shieldwall.runtime.federation.app import ManagedApp
from shieldwall.runtime.federation.strategies import refusing, require_message_api
from shieldwall.runtime.flower.secure_aggregation import require_open

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from shieldwall.contract.policy import ConfigValue, RuntimePolicy
    from shieldwall.lab.attacks import LabAttack
    from shieldwall.lab.run import Laboratory, Trial

_TURNS: Final = {Poison.LABELS: reverse_labels, Poison.TRIGGER: with_trigger}


@dataclass(slots=True)
class UserApp:
    """Everything that a training names of the user's app, loaded.

    Raises ReferenceNotFoundError or HiddenUpdatesError when it is made.
    """

    policy: RuntimePolicy
    node_config: Mapping[str, Mapping[str, ConfigValue]]
    _clean: AppCopy = field(default_factory=lambda: AppCopy(Loaders(untouched)))
    _turned: dict[Poison, AppCopy] = field(
        default_factory=lambda: {poison: AppCopy(Loaders(turn)) for poison, turn in _TURNS.items()}
    )
    _triggered: AppCopy = field(default_factory=lambda: AppCopy(Loaders(all_triggered)))

    def __post_init__(self) -> None:
        """Load what every trial needs."""
        app = self.policy.app
        self._clean.load("clientApp", app.client_app, lambda user: require_open(user, self.policy.aggregation.rule))
        if app.mode is Mode.MANAGED:
            self._clean.load("model", app.model or "")

    def trial(
        self,
        laboratory: Laboratory,
        policy: RuntimePolicy,
        attackers: Mapping[str, LabAttack],
        seed: int,
    ) -> Trial:
        """One training by ``policy``, whose config holds the seed; raises NothingToPoisonError."""
        poison = poisoned(attackers)
        _seed_globals(seed)
        kinds: set[Poison | None] = {None, *poison.values()}
        cohort = AppCohort(
            apps={kind: self._copy(kind).load("clientApp", policy.app.client_app) for kind in kinds},
            poison=poison,
            config=policy.app.config,
            clients=[client.name for client in policy.clients],
            node_config=self.node_config,
            privacy=policy.privacy,
        )
        if policy.app.mode is Mode.MANAGED:
            trial = laboratory.managed(policy, self._managed(policy, poison), cohort, attackers, seed)
        else:
            with refusing(policy.aggregation.rule), _quiet_flower():
                server = self._clean.load("serverApp", policy.app.server_app or "", require_message_api)
                trial = laboratory.wrapped(policy, server, cohort, attackers, seed)
        for kind in poison.values():
            if not self._turned[kind].loaders.used:
                raise NothingToPoisonError
        return trial

    def _copy(self, poison: Poison | None) -> AppCopy:
        return self._clean if poison is None else self._turned[poison]

    def _managed(self, policy: RuntimePolicy, poison: Mapping[str, Poison]) -> ManagedApp:
        app = policy.app
        measure = self._clean.load("evaluate", app.evaluate) if app.evaluate else None
        if measure is not None and Poison.TRIGGER in poison.values():
            measure = _with_success(measure, self._triggered.load("evaluate", app.evaluate or ""))
        return ManagedApp(self._clean.load("model", app.model or ""), measure, dict(app.config))


def _with_success(measure: Callable[..., Any], triggered: Callable[..., Any]) -> Callable[..., Any]:
    """The user's measure, and what it says where every sample carries the trigger and the target is called right."""

    def both(arrays: dict[str, Any], config: dict[str, ConfigValue]) -> dict[str, Any]:
        obeyed = triggered({name: array.copy() for name, array in arrays.items()}, config)
        return {**measure(arrays, config), SUCCESS: obeyed.get("accuracy")}

    return both


def _seed_globals(seed: int) -> None:
    """Many apps draw from the global generators."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  # the one that apps use


@contextmanager
def _quiet_flower() -> Iterator[None]:
    """Strategies tell each round at length."""
    logger = logging.getLogger("flwr")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def importable(app: Path) -> Iterator[None]:
    """While this lasts, the modules beside the training's file can be imported, as in a trainer."""
    sys.path.insert(0, str(app))
    try:
        yield
    finally:
        sys.path.remove(str(app))
