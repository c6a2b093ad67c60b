"""ServiceAccounts: one for each kind of pod, none with a token or a right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubernetes.client import V1ServiceAccount

from shieldwall.control.plan.labels import Component, metadata

if TYPE_CHECKING:
    from shieldwall.control.api.training import Training
    from shieldwall.control.plan.names import Names


def service_accounts(training: Training, names: Names) -> tuple[V1ServiceAccount, ...]:
    """So that no pod runs under the namespace's default account, to which people give rights."""
    wanted = {
        names.server: Component.SERVER,
        names.aggregator: Component.AGGREGATOR,
        names.clients: Component.CLIENT,
    }
    return tuple(
        V1ServiceAccount(
            api_version="v1",
            kind="ServiceAccount",
            metadata=metadata(training, name, component),
            automount_service_account_token=False,
        )
        for name, component in wanted.items()
    )
