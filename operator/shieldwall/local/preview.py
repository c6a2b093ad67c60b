"""The objects that the operator would apply, with placeholders for what only it can make."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shieldwall.control.issuing.randomness import Randomness
from shieldwall.control.plan.build import build_plan
from shieldwall.control.plan.orders import Trust
from shieldwall.local.desk import Desk, Shelves
from shieldwall.local.planner import federation_of, leaf_lifetime, local_settings

if TYPE_CHECKING:
    from datetime import datetime

    from shieldwall.control.api.training import Training
    from shieldwall.control.plan.objects import KubernetesObject
    from shieldwall.control.plan.orders import Plan

_PASSES: Final = 4


@dataclass(frozen=True, slots=True)
class Preview:
    """A plan as people may read it: no key, no certificate."""

    secrets: tuple[tuple[str, str], ...]
    """Names of the Secrets that the operator makes besides, and what they hold."""
    objects: tuple[KubernetesObject, ...]


def preview(training: Training, now: datetime) -> Preview:
    """Plan with throw-away certificates, and leave them out of what is shown."""
    settings = local_settings()
    secrets: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="sw-") as directory:
        desk = Desk(Shelves(Path(directory)), federation_of(training), leaf_lifetime(training), Randomness())
        for _ in range(_PASSES):
            plan = build_plan(training, desk.observe(), settings, now)
            secrets |= _ordered(plan)
            if plan.complete:
                break
            desk.fill(plan, now)
        observed = desk.observe()
    placeholders = replace(
        observed,
        trust=Trust("# the training's issuing CA\n", "# its revocation list\n"),
        node_keys=dict.fromkeys(observed.node_keys, "# made by the operator\n"),
    )
    return Preview(tuple(sorted(secrets.items())), build_plan(training, placeholders, settings, now).objects)


def _ordered(plan: Plan) -> dict[str, str]:
    secrets = {order.secret: f"certificate of {order.identity.uri}" for order in plan.certificates}
    secrets |= {order.secret: f"Flower node key of client {order.client}" for order in plan.node_keys}
    secrets |= {order.secret: "32 random bytes" for order in plan.shared_secrets}
    if plan.authority is not None:
        secrets[plan.authority.secret] = "the training's issuing CA; mounted by no pod"
    return secrets
