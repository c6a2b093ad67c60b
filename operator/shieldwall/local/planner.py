"""Plans a training until nothing is withheld: plan, fill the orders, look again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.contract.identity import Federation, Role
from shieldwall.control.plan.build import build_plan
from shieldwall.control.plan.settings import PlanSettings
from shieldwall.local.baseline import without_protection
from shieldwall.local.cluster.templates import config_maps
from shieldwall.local.cluster.volumes import Contents
from shieldwall.pki.verify import dns_names_of, identity_of

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from shieldwall.control.api.training import Training
    from shieldwall.control.plan.orders import Plan
    from shieldwall.local.desk import Desk

_PASSES: Final = 6


class UnfinishedPlanError(RuntimeError):
    """The plan keeps asking for what it was given: a mistake in the plan or in the desk."""


class Planner:
    """Plans one training for this machine."""

    def __init__(self, training: Training, settings: PlanSettings, desk: Desk, *, protected: bool) -> None:
        """``protected`` False takes all protection away, for a baseline."""
        self._training = training
        self._settings = settings
        self._desk = desk
        self._protected = protected

    def plan(self, now: datetime) -> Plan:
        """A plan in which nothing is withheld; its orders were filled. Raises UnfinishedPlanError."""
        for _ in range(_PASSES):
            plan = build_plan(self._training, self._desk.observe(), self._settings, now)
            if plan.complete:
                self._desk.refresh_crl(now)
                return plan if self._protected else without_protection(plan)
            self._desk.fill(plan, now)
        raise UnfinishedPlanError(f"After {_PASSES} passes the plan still wants keys or certificates.")

    def contents(self, plan: Plan) -> Contents:
        """What the volumes of the plan's pods are filled with."""
        return Contents(config_maps(plan.objects), self._desk.shelves.mountable())

    def server_name(self) -> str:
        """A DNS name that the server's certificate is valid for."""
        for leaf in self._desk.leaves().values():
            if identity_of(leaf).role is Role.SERVER:
                return min(dns_names_of(leaf))
        raise KeyError(Role.SERVER)


def federation_of(training: Training) -> Federation:
    """Which identities the training's pods have on this machine."""
    return Federation(local_settings().trust_domain, training.namespace, training.name)


def leaf_lifetime(training: Training) -> timedelta:
    """How long its certificates live."""
    return training.spec.identity.lifetime


def local_settings() -> PlanSettings:
    """What a plan for this machine goes by."""
    return PlanSettings()
