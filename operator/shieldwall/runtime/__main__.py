"""``shieldwall-runtime ROLE``: the program of every container that Shieldwall brings.

Each role is imported only when it is asked for, so that a proxy or a probe starts without loading Flower.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

ROLES: Final = {
    "init": "shieldwall.runtime.init",
    "proxy": "shieldwall.runtime.proxy.main",
    "superlink": "shieldwall.runtime.flower.superlink",
    "steward": "shieldwall.runtime.steward.main",
    "aggregator": "shieldwall.runtime.flower.aggregator",
    "supernode": "shieldwall.runtime.flower.supernode",
    "trainer": "shieldwall.runtime.flower.trainer",
    "alive": "shieldwall.runtime.alive",
}
"""Each module has ``main(argv) -> int``."""

EX_USAGE: Final = 64
"""sysexits(3): the command was used incorrectly."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the role named first; the rest are its arguments. Returns the exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if not arguments or arguments[0] not in ROLES:
        sys.stderr.write(f"usage: shieldwall-runtime {{{','.join(ROLES)}}} [ARGUMENT ...]\n")
        return EX_USAGE
    role = import_module(ROLES[arguments[0]])
    return int(role.main(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main())
