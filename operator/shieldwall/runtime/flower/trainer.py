"""Role ``trainer``: where the user's ClientApp runs. It holds no key and its way out is the pod's own SuperNode."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from shieldwall.contract import ports
from shieldwall.contract.paths import Paths, loopback
from shieldwall.contract.policy import RuntimePolicy
from shieldwall.runtime.flower.environment import become, enter

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Warm up, then fork a child for each task until told to stop."""
    # Its default of 1 s is half a second lost in each round; shorter costs the SuperNode more than it saves.
    os.environ.setdefault("FLWR_SUPEREXEC_TASK_POLL_INTERVAL", "0.5")
    paths = Paths.of_this_container()
    enter(paths.home)
    become(
        "flower-superexec",
        "--insecure",  # loopback within the pod, behind the SuperExec secret
        *("--runtime-api-address", f"{loopback()}:{ports.SUPERNODE}"),
        *("--superexec-auth-secret-file", str(paths.superexec_secret)),
        *argv,
    )
    # Flower reads its environment when it is imported.
    from flwr.supercore.cli import flower_superexec
    from flwr.supernode.cli import flwr_clientapp

    from shieldwall.runtime import clientapp
    from shieldwall.runtime.fab import fab_sha256
    from shieldwall.runtime.flower.pin import pin_app
    from shieldwall.runtime.flower.warm import WarmParent

    policy = RuntimePolicy.from_json(paths.policy.read_text())
    pin_app(fab_sha256(policy))
    clientapp.app.adopt(policy)
    return WarmParent(paths.home / "warm", flower_superexec, {"flwr-clientapp": flwr_clientapp}).run()
