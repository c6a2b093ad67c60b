"""``python -m policy --kubeconfig K --netns NAME``: enforce until SIGTERM, then open everything and end."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kubernetes.aio.client import CoreV1Api, NetworkingV1Api, V1Namespace, V1NetworkPolicy, V1Pod
from kubernetes.aio.config import ConfigException, new_client_from_config

from .agent import Agent
from .node import MissingProgramError, NftError, Node, NoSuchNamespaceError
from .watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kubernetes.aio.client import ApiClient

_LOG: Final = logging.getLogger("policy")
_HOPELESS: Final = (MissingProgramError, NoSuchNamespaceError, NftError, ConfigException, ValueError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 after SIGTERM or SIGINT, 1 for what cannot go on; the ruleset in force then stays."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(_until_stopped(options))
    except _HOPELESS as error:
        _LOG.error("%s: %s", type(error).__name__, error)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="policy", description="Enforces NetworkPolicies on the node of the e2e cluster."
    )
    parser.add_argument("--kubeconfig", required=True, help="as whom to list and watch pods, namespaces and policies")
    parser.add_argument("--netns", required=True, help="the node's network namespace, as `ip netns` lists it")
    parser.add_argument("--pod-cidr", type=IPv4Network, default="10.244.0.0/24", help="closed where no pod is known")
    parser.add_argument("--ready-file", type=Path, help="written once the first ruleset is in force")
    parser.add_argument("--resync-seconds", type=int, default=60, help="how often all is listed and applied anew")
    return parser


async def _until_stopped(options: argparse.Namespace) -> None:
    node = Node(options.netns)
    _not_ready(options)
    client = await new_client_from_config(config_file=options.kubeconfig)  # type: ignore[no-untyped-call]
    enforcing = asyncio.create_task(_enforce(options, node, client))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, enforcing.cancel)
    try:
        with suppress(asyncio.CancelledError):
            await enforcing
        node.clear()
        _LOG.info("the table is removed, everything is open")
    finally:
        _not_ready(options)
        await client.close()


def _not_ready(options: argparse.Namespace) -> None:
    if options.ready_file is not None:
        options.ready_file.unlink(missing_ok=True)


async def _enforce(options: argparse.Namespace, node: Node, client: ApiClient) -> None:
    core, networking = CoreV1Api(client), NetworkingV1Api(client)
    changed, seconds = asyncio.Event(), options.resync_seconds

    async def policies_now() -> Sequence[V1NetworkPolicy]:
        answer = await networking.list_network_policy_for_all_namespaces(_request_timeout=seconds)
        return answer.items

    def ready() -> None:
        _LOG.info("ready")
        if options.ready_file is not None:
            options.ready_file.touch()

    pods: Watcher[V1Pod] = Watcher("pods", core.list_pod_for_all_namespaces, changed, seconds)
    namespaces: Watcher[V1Namespace] = Watcher("namespaces", core.list_namespace, changed, seconds)
    policies: Watcher[V1NetworkPolicy] = Watcher(
        "policies", networking.list_network_policy_for_all_namespaces, changed, seconds
    )
    agent = Agent(
        node, pods, namespaces, policies_now, changed=changed, pod_cidr=options.pod_cidr, seconds=seconds, ready=ready
    )
    agent.close()
    await asyncio.gather(pods.run(), namespaces.run(), policies.run(), agent.run())


if __name__ == "__main__":
    sys.exit(main())
