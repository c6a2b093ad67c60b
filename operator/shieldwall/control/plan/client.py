"""A client pod: proxy, SuperNode with its signer, and the trainer with the user's code and the client's data."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from kubernetes.client import V1Container, V1Deployment, V1DeploymentSpec, V1DeploymentStrategy

from shieldwall.contract import paths
from shieldwall.control.plan import volumes
from shieldwall.control.plan.container import (
    FLOWER_USER,
    TRAINER_USER,
    container,
    flower_env,
    resources_of,
    runtime_image,
    user_image,
    user_resources,
)
from shieldwall.control.plan.labels import Component, label_selector, metadata
from shieldwall.control.plan.pod import init_container, pod_template, proxy_container, replicas
from shieldwall.control.plan.policy import client_policy_hash
from shieldwall.control.plan.probes import alive_probes
from shieldwall.control.plan.services import server_host

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kubernetes.client import V1Volume

    from shieldwall.contract.policy import ConfigValue, RuntimePolicy
    from shieldwall.control.api.clients import Client
    from shieldwall.control.api.training import Training
    from shieldwall.control.plan.names import Names
    from shieldwall.control.plan.settings import PlanSettings

_NOT_BARE: Final = re.compile(r"[^A-Za-z0-9_-]")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
REGION_LABEL: Final = "topology.kubernetes.io/region"


def client_deployment(
    training: Training, settings: PlanSettings, names: Names, policy: RuntimePolicy, index: int
) -> V1Deployment:
    """The pod of the client at place ``index`` in the spec. Never two at once: they would share one node key."""
    client = training.spec.clients[index]
    template = pod_template(
        training,
        settings,
        Component.CLIENT,
        account=names.clients,
        policy_hash=client_policy_hash(policy),
        init_containers=[
            init_container(settings, superexec=True),
            proxy_container(
                settings,
                Component.CLIENT,
                env={
                    paths.SERVER_VARIABLE: server_host(training, settings, names),
                    paths.CLIENT_VARIABLE: client.name,
                },
                container_ports={},
            ),
        ],
        containers=[_supernode(training, settings, client, index), _trainer(training, settings, client)],
        pod_volumes=_volumes(names, client),
        placement=training.spec.client_template,
        node_selector=_node_selector(training, client),
        client=client.name,
    )
    return V1Deployment(
        api_version="apps/v1",
        kind="Deployment",
        metadata=metadata(training, names.client(client.name), Component.CLIENT, client.name),
        spec=V1DeploymentSpec(
            replicas=replicas(training),
            revision_history_limit=2,
            selector=label_selector(training, Component.CLIENT, client.name),
            strategy=V1DeploymentStrategy(type="Recreate"),
            template=template,
        ),
    )


def _supernode(training: Training, settings: PlanSettings, client: Client, index: int) -> V1Container:
    own: dict[str, ConfigValue] = {"partition-id": index, "num-partitions": len(training.spec.clients)}
    node_config = node_config_text(own | client.node_config)
    return container(
        "supernode",
        ["supernode"],
        image=runtime_image(settings),
        user=FLOWER_USER,
        mounts=[
            volumes.mount(volumes.POLICY),
            volumes.mount(volumes.TLS),
            volumes.mount(volumes.NODE),
            volumes.mount(volumes.LOCAL_TRUST),
            volumes.mount(volumes.SUPEREXEC),
            volumes.mount(volumes.SIGNER, writable=True),
            *volumes.scratch_mounts("supernode"),
        ],
        resources=resources_of(settings.supernode_resources),
        env=flower_env(**{paths.CLIENT_VARIABLE: client.name, paths.NODE_CONFIG_VARIABLE: node_config}),
        probes=alive_probes("supernode"),
    )


def node_config_text(config: Mapping[str, ConfigValue]) -> str:
    """Flower's ``--node-config``: ``key=value`` in TOML.

    The values that the API allows look the same in JSON. A key may be any text: one that is not bare is quoted, with
    all else that Flower takes pairs apart by escaped. A dollar is escaped too: a kubelet replaces ``$(NAME)``.
    """
    pairs = (f"{_key(key)}={json.dumps(value, ensure_ascii=False)}" for key, value in sorted(config.items()))
    return " ".join(pairs).replace("$", r"\u0024")


def _key(text: str) -> str:
    if _BARE.fullmatch(text):
        return text
    return '"' + _NOT_BARE.sub(lambda found: f"\\U{ord(found[0]):08x}", text) + '"'


def _trainer(training: Training, settings: PlanSettings, client: Client) -> V1Container:
    data = [volumes.mount(volumes.DATA)] if client.data is not None else []
    return container(
        "trainer",
        ["trainer"],
        image=user_image(training),
        user=TRAINER_USER,
        mounts=[
            volumes.mount(volumes.POLICY),
            volumes.mount(volumes.SUPEREXEC),
            # A Unix socket is connected to by writing to it, which a read-only mount allows; nothing else is there.
            volumes.mount(volumes.SIGNER),
            *data,
            *volumes.scratch_mounts("trainer"),
        ],
        resources=user_resources(client.resources or training.spec.client_template.resources, settings),
        env=flower_env(**{paths.CLIENT_VARIABLE: client.name}),
    )


def _node_selector(training: Training, client: Client) -> dict[str, str]:
    """The region comes last: no selector takes a client out of it."""
    own = client.node_selector if client.node_selector is not None else training.spec.client_template.node_selector
    return own | ({REGION_LABEL: client.region} if client.region is not None else {})


def _volumes(names: Names, client: Client) -> list[V1Volume]:
    claim = client.data.persistent_volume_claim.claim_name if client.data is not None else None
    return [
        volumes.config_map(volumes.POLICY, names.client_policy),
        volumes.secret(volumes.TLS, names.client_tls(client.name), "tls.crt", "tls.key"),
        volumes.config_map(volumes.TRUST, names.trust),
        volumes.secret(volumes.NODE, names.client_node(client.name), "node.key"),
        *volumes.memory(volumes.SUPEREXEC, volumes.LOCAL_TLS, volumes.LOCAL_TRUST, volumes.SOCKETS, volumes.SIGNER),
        *volumes.scratch("supernode", "trainer"),
        *([volumes.claimed(volumes.DATA, claim)] if claim is not None else []),
    ]
