"""Role ``supernode``: Flower's SuperNode, unmodified, and our signer in a thread beside it.

Both may use the client's keys; the trainer, where the user's code runs, is another container and may not.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from shieldwall.contract import ports
from shieldwall.contract.paths import CLIENT_VARIABLE, NODE_CONFIG_VARIABLE, Paths, loopback
from shieldwall.contract.policy import RuntimePolicy
from shieldwall.pki.node_key import node_key_from_openssh
from shieldwall.runtime.attestation.server import start_signer
from shieldwall.runtime.flower.environment import become

if TYPE_CHECKING:
    from collections.abc import Sequence


def arguments(paths: Paths, address: str, node_config: str) -> list[str]:
    """The command line: out through the local proxy only, the Runtime API on loopback behind a secret."""
    return [
        *("--superlink", f"{address}:{ports.PROXY}", "--root-certificates", str(paths.local_certificate)),
        *("--auth-supernode-private-key", str(paths.node_key)),
        *("--isolation", "process"),
        *("--host", address, "--port", str(ports.SUPERNODE)),
        *("--superexec-auth-secret-file", str(paths.superexec_secret)),
        *(("--node-config", node_config) if node_config else ()),
    ]


def main(argv: Sequence[str]) -> int:
    """Run signer and SuperNode until told to stop; a SuperNode that gives up ends the container."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # else ignored by a container's first process
    paths = Paths.of_this_container()
    become("flower-supernode", *arguments(paths, loopback(), os.environ.get(NODE_CONFIG_VARIABLE, "")), *argv)
    start_signer(paths, RuntimePolicy.from_json(paths.policy.read_text()), os.environ[CLIENT_VARIABLE])
    # Flower reads its environment when it is imported.
    from flwr.supernode.cli import flower_supernode

    from shieldwall.runtime.flower.predecessor import take_off_line

    key = node_key_from_openssh(paths.node_key.read_bytes())
    take_off_line(f"https://{loopback()}:{ports.PROXY}", paths.local_certificate, key)
    flower_supernode()
    return 0
