"""Role ``aggregator``: where rounds are run. It reaches the server's runtime listener only, through its proxy."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from shieldwall.contract import ports
from shieldwall.contract.paths import Paths, loopback
from shieldwall.runtime.flower.environment import become, enter

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Warm up, then fork a child for each run until told to stop."""
    paths = Paths.of_this_container()
    enter(paths.model / "workdir")
    become(
        "flower-superexec",
        *("--runtime-api-address", f"{loopback()}:{ports.PROXY}"),
        *("--root-certificates", str(paths.local_certificate)),
        *("--superexec-auth-secret-file", str(paths.superexec_secret)),
        *argv,
    )
    # Flower reads its environment when it is imported.
    from flwr.supercore.cli import flower_superexec
    from flwr.superlink.cli import flwr_serverapp

    from shieldwall.runtime.flower.warm import WarmParent

    import_module("shieldwall.runtime.serverapp")  # once, for every run
    return WarmParent(paths.home / "warm", flower_superexec, {"flwr-serverapp": flwr_serverapp}).run()
