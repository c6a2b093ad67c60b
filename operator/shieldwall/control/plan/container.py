"""One container: the program, its image, environment and resources, and as few rights as there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kubernetes.client import (
    V1Capabilities,
    V1Container,
    V1ContainerPort,
    V1EnvVar,
    V1EnvVarSource,
    V1ObjectFieldSelector,
    V1ResourceRequirements,
    V1SecurityContext,
    V1VolumeMount,
)

from shieldwall.contract import paths
from shieldwall.control.api.quantities import canonical_list
from shieldwall.control.plan.probes import NO_PROBES, Probes
from shieldwall.control.plan.volumes import TEMPORARY_DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shieldwall.control.api.resources import Resources
    from shieldwall.control.api.training import Training
    from shieldwall.control.plan.settings import ContainerResources, PlanSettings

PROXY_USER: Final = 65532
FLOWER_USER: Final = 65533
TRAINER_USER: Final = 65534

_FLOWER: Final = {
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_HOME": f"/{paths.HOME_DIR}",
    "FLWR_TELEMETRY_ENABLED": "0",
    "HOME": f"/{paths.HOME_DIR}",
    "NO_COLOR": "1",
    "TMPDIR": TEMPORARY_DIRECTORY,
}
_PYTHON: Final = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True, slots=True)
class Image:
    """An image and when nodes fetch it."""

    name: str
    pull_policy: str


def runtime_image(settings: PlanSettings) -> Image:
    """Ours, without user code."""
    return Image(settings.runtime_image, settings.runtime_image_pull_policy)


def user_image(training: Training) -> Image:
    """The user's, with the app in it."""
    return Image(training.spec.app.image, training.spec.app.image_pull_policy.value)


def flower_env(**more: str) -> dict[str, str]:
    """The environment of a container with a home of its own."""
    return _FLOWER | more


def container(  # noqa: PLR0913  # a container has that many sides, all named
    name: str,
    arguments: Sequence[str],
    *,
    image: Image,
    user: int,
    mounts: Sequence[V1VolumeMount],
    resources: V1ResourceRequirements,
    env: Mapping[str, str],
    probes: Probes = NO_PROBES,
    container_ports: Mapping[str, int] | None = None,
    sidecar: bool = False,
) -> V1Container:
    """A container that runs ``shieldwall-runtime`` with as few rights as there are."""
    return V1Container(
        name=name,
        image=image.name,
        image_pull_policy=image.pull_policy,
        command=["shieldwall-runtime", *arguments],
        env=_env(env),
        ports=[V1ContainerPort(name=each, container_port=port) for each, port in (container_ports or {}).items()]
        or None,
        resources=resources,
        restart_policy="Always" if sidecar else None,
        security_context=_container_security(user),
        startup_probe=probes.startup,
        readiness_probe=probes.readiness,
        liveness_probe=probes.liveness,
        volume_mounts=list(mounts),
    )


def _env(values: Mapping[str, str]) -> list[V1EnvVar]:
    address = V1EnvVarSource(field_ref=V1ObjectFieldSelector(api_version="v1", field_path="status.podIP"))
    fixed = [V1EnvVar(name=name, value=value) for name, value in sorted((_PYTHON | dict(values)).items())]
    return [V1EnvVar(name=paths.POD_IP_VARIABLE, value_from=address), *fixed]


def _container_security(user: int) -> V1SecurityContext:
    return V1SecurityContext(
        allow_privilege_escalation=False,
        capabilities=V1Capabilities(drop=["ALL"]),
        privileged=False,
        read_only_root_filesystem=True,
        run_as_non_root=True,
        run_as_user=user,
    )


def resources_of(wanted: ContainerResources) -> V1ResourceRequirements:
    """Of a container of ours."""
    requests = canonical_list({"cpu": wanted.cpu, "memory": wanted.memory})
    return V1ResourceRequirements(requests=requests, limits=canonical_list({"memory": wanted.memory_limit}))


def user_resources(wanted: Resources | None, settings: PlanSettings) -> V1ResourceRequirements:
    """Of the container with the user's code."""
    if wanted is None:
        return resources_of(settings.user_resources)
    return V1ResourceRequirements(
        requests=canonical_list(wanted.requests) or None, limits=canonical_list(wanted.limits) or None
    )
