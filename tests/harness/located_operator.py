"""The operator where no Service has a name, as with the pods of a LocalNode.

It is ``shieldwall-operator``, with the same arguments; only the address of a steward is taken from its pod's status.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from unittest.mock import patch

import httpx

from shieldwall.control import main as program
from shieldwall.control.plan.names import Names
from shieldwall.control.wiring import wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shieldwall.control.api.training import Training
    from shieldwall.control.cluster.connection import Connection
    from shieldwall.control.config import OperatorConfig
    from shieldwall.control.steward.api import Whereabouts
    from shieldwall.control.wiring import Wiring


@asynccontextmanager
async def wire_locally(
    config: OperatorConfig, connection: Connection, identity: str, *, patience: float
) -> AsyncIterator[Wiring]:
    """A replica that asks the API server for the address of each server pod."""
    with httpx.Client(base_url=connection.server, verify=connection.ssl_context, trust_env=False, timeout=3) as http:

        def locate(training: Training, usual: Whereabouts) -> Whereabouts:
            pod = f"/api/v1/namespaces/{training.namespace}/pods/{Names(training.name).server}-0"
            status = http.get(pod).raise_for_status().json()["status"]
            return replace(usual, address=status["podIP"])

        async with wire(config, connection, identity, locate=locate, patience=patience) as parts:
            yield parts


def main() -> int:
    """Run the operator."""
    with patch.object(program, "wire", wire_locally):
        return program.main()
