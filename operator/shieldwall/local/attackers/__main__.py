"""``python -m shieldwall.local.attackers CONTAINER KIND``: run a container's role, turned."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from shieldwall.local.attackers.kinds import AttackKind, turned_container

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Run the role ``argv[0]`` with the attack ``argv[1]``."""
    container, kind = argv[0], AttackKind(argv[1])
    if container != turned_container(kind):
        raise ValueError(f"{kind} turns the {turned_container(kind)}, not the {container}")
    # Imported by role: a turned proxy starts without loading Flower.
    if container == "proxy":
        from shieldwall.local.attackers.proxy import run_proxy

        return run_proxy(kind)
    if container == "supernode":
        from shieldwall.local.attackers.supernode import run_supernode

        return run_supernode()
    from shieldwall.local.attackers.trainer import run_trainer

    return run_trainer(kind)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
