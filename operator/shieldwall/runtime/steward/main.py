"""``shieldwall-runtime steward``: the gate and the steward's API on a unix socket, beside the run's follower."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import logging
import os
import socket
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Final

import httpx
import uvicorn

from shieldwall.contract import ports
from shieldwall.contract.paths import POD_IP_VARIABLE, Paths, loopback
from shieldwall.contract.policy import RuntimePolicy
from shieldwall.runtime.fab import build_fab
from shieldwall.runtime.steward.api import Api
from shieldwall.runtime.steward.flower import Flower
from shieldwall.runtime.steward.follow import Follower
from shieldwall.runtime.steward.handshakes import read_handshakes
from shieldwall.runtime.steward.keeper import Keeper
from shieldwall.runtime.steward.office import Office

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence
    from pathlib import Path

_GROUP_ONLY: Final = 0o117


def main(argv: Sequence[str]) -> int:
    """Run the steward until it is told to stop."""
    argparse.ArgumentParser(prog="shieldwall-runtime steward", description=__doc__).parse_args(argv)
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    asyncio.run(serve(Paths.of_this_container()))
    return 0


async def serve(paths: Paths) -> None:
    """Serve the API, follow the run and keep a copy of Flower's database; the end of one ends the others."""
    content = paths.policy.read_bytes()
    policy = RuntimePolicy.from_json(content.decode())
    office = Office(policy, paths.steward_state, hashlib.sha256(content).hexdigest())
    certificate = paths.local_certificate.read_text(encoding="ascii")
    flower = Flower.at(f"{loopback()}:{ports.SUPERLINK}", certificate)
    async with httpx.AsyncClient(trust_env=False) as http:
        handshakes = partial(read_handshakes, http, f"{_metrics_host()}:{ports.METRICS}")
        follower = Follower(office, flower, build_fab(policy), handshakes, time.time)
        keeper = Keeper(office, paths.superlink_database, paths.superlink_backup, time.time)
        api = Api(office, lambda: follower.healthy, time.time)
        config = uvicorn.Config(api.app(), lifespan="off", ws="none", access_log=False, log_config=None)
        try:
            await _until_one_ends(uvicorn.Server(config), listen(paths.steward_socket), follower.run(), keeper.run())
        finally:
            flower.close()


def listen(path: Path) -> socket.socket:
    """A unix socket for the owner and the pod's group: the proxy runs under another user."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(_GROUP_ONLY)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    return listener


def _metrics_host() -> str:
    return os.environ.get(POD_IP_VARIABLE) or loopback()


async def _until_one_ends(server: uvicorn.Server, listener: socket.socket, *works: Coroutine[None, None, None]) -> None:
    working = [asyncio.create_task(work) for work in works]
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    done, _ = await asyncio.wait({*working, serving}, return_when=asyncio.FIRST_COMPLETED)
    for task in working:
        task.cancel()
    server.should_exit = True
    await asyncio.gather(*working, serving, return_exceptions=True)
    for task in done:
        task.result()  # raises what ended it
