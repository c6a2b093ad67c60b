"""``python -m cluster.provisioner --kubeconfig K --volumes D``: volumes come when claims need them, go when they do."""

from __future__ import annotations

import argparse
import asyncio
import logging
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Never

from kubernetes.aio.client import ApiException, CoreV1Api, V1PersistentVolume, V1PersistentVolumeClaim
from kubernetes.aio.config import new_client_from_config
from policy.watcher import UNREACHABLE, Watcher, brief

from .volumes import Claim, released, volume_for, waiting

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

_LOG: Final = logging.getLogger("provisioner")
_CONFLICT: Final = 409
_NOT_FOUND: Final = 404
_SECONDS: Final = 60
_PAUSE: Final = 0.2


class Provisioner:
    """Makes and removes volumes, until what is there is what claims need."""

    def __init__(self, api: CoreV1Api, volumes: Path) -> None:
        """``volumes``: the node's directory for them."""
        self._api = api
        self._volumes = volumes
        self._changed = asyncio.Event()
        self._claims: Watcher[V1PersistentVolumeClaim] = Watcher(
            "claims", api.list_persistent_volume_claim_for_all_namespaces, self._changed, _SECONDS
        )
        self._found: Watcher[V1PersistentVolume] = Watcher(
            "volumes", api.list_persistent_volume, self._changed, _SECONDS
        )

    async def run(self) -> None:
        """Follow what changes, for ever."""
        await asyncio.gather(self._claims.run(), self._found.run(), self._act())

    async def _act(self) -> Never:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self.turn(self._claims.objects(), self._found.objects())
            except UNREACHABLE as error:
                _LOG.warning("tries again: %s", brief(error))
                self._changed.set()
            await asyncio.sleep(_PAUSE)

    async def turn(self, claims: Iterable[V1PersistentVolumeClaim], volumes: Iterable[V1PersistentVolume]) -> None:
        """Do what is missing. Raises what an unreachable API server raises; safe to call again."""
        for claim in filter(None, map(waiting, claims)):
            await self._make(claim)
        for name in filter(None, map(released, volumes)):
            await self._remove(name)

    async def _make(self, claim: Claim) -> None:
        """Like a new disk it is root's: a pod needs an fsGroup to write."""
        (self._volumes / claim.volume).mkdir(mode=0o755, parents=True, exist_ok=True)
        if await _unless(_CONFLICT, self._api.create_persistent_volume(volume_for(claim, self._volumes))):
            _LOG.info("made %s for %s/%s", claim.volume, claim.reference.namespace, claim.reference.name)

    async def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            shutil.rmtree(self._volumes / name)
        if await _unless(_NOT_FOUND, self._api.delete_persistent_volume(name)):
            _LOG.info("removed %s", name)


async def _unless(status: int, request: Coroutine[None, None, object]) -> bool:
    """Whether it was done; False when the answer was ``status``: somebody did it before."""
    try:
        await request
    except ApiException as error:
        if error.status != status:
            raise
        return False
    return True


async def _serve(kubeconfig: Path, volumes: Path) -> None:
    client = await new_client_from_config(config_file=str(kubeconfig))  # type: ignore[no-untyped-call]
    await Provisioner(CoreV1Api(client), volumes).run()


def main() -> None:
    """Provision until killed."""
    parser = argparse.ArgumentParser(prog="cluster.provisioner", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--volumes", type=Path, required=True)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    asyncio.run(_serve(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
