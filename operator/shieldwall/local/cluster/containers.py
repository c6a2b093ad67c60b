"""Turns one container of a template into the start of a program on this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from shieldwall.contract import paths
from shieldwall.local.cluster.processes import Launch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kubernetes.client import V1Container, V1EnvVar, V1PodSpec

    from shieldwall.local.cluster.users import Users

Disguise = Callable[[str, list[str], dict[str, str]], tuple[list[str], dict[str, str]]]
"""(container, command, environment) → the same, for another program: how an attacker takes a client's place."""

_RUNTIME: Final = "shieldwall-runtime"
_PYTHONS: Final = frozenset({"python", "python3"})
_DEFAULT_UID: Final = 65534
_INHERITED: Final = ("LANG", "LC_ALL", "LC_CTYPE", "TZ")
_ONE_THREAD: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""A dozen pods share this machine: each computes with one thread unless the caller says otherwise."""


class UnsupportedContainerError(ValueError):
    """A template asks for something that this miniature does not know; ``container`` names it."""

    def __init__(self, container: str, reason: str) -> None:
        super().__init__(f"Container {container!r} cannot run on this machine: {reason}.")
        self.container = container


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pod is."""

    pod: str
    namespace: str
    address: str
    server: str
    """The server pod's address."""
    root: Path
    """The containers' root directories lie below. Short: paths of Unix sockets end at 107 bytes."""
    logs: Path
    volumes: Mapping[str, Path]
    """By the volume's name in the template."""
    users: Users
    base_env: Mapping[str, str]
    """See ``base_environment``."""


def build_root(container: V1Container, place: Place) -> Path:
    """Make the directory that stands for ``/``: it shows the volumes that the container mounts, and nothing else."""
    root = place.root / container.name
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o755)
    for mount in container.volume_mounts or ():
        if mount.sub_path or mount.sub_path_expr:
            raise UnsupportedContainerError(container.name, f"{mount.mount_path} mounts a part of a volume")
        link = root / mount.mount_path.lstrip("/")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(place.volumes[mount.name])
    return root


def environment(container: V1Container, place: Place) -> dict[str, str]:
    """The container's environment: the place's, the template's, then what local mode adds.

    Values of the template that are paths below one of its mounts point into the container's root.
    """
    root = place.root / container.name
    mounts = [PurePosixPath(mount.mount_path) for mount in container.volume_mounts or ()]
    own = {item.name: _value(container.name, item, place) for item in container.env or ()}
    mapped = {name: _into_root(value, root, mounts) for name, value in own.items()}
    temporary = {"TMPDIR": str(root / "tmp")} if PurePosixPath("/tmp") in mounts else {}  # noqa: S108  # the pod's own
    return {
        **place.base_env,
        **temporary,
        **mapped,
        paths.ROOT_VARIABLE: str(root),
        paths.LOOPBACK_VARIABLE: place.address,
        paths.SERVER_ADDRESS_VARIABLE: place.server,
    }


def _value(container: str, item: V1EnvVar, place: Place) -> str:
    if item.value_from is None:
        return item.value or ""
    known = {"status.podIP": place.address, "metadata.name": place.pod, "metadata.namespace": place.namespace}
    reference = item.value_from.field_ref
    if reference is None or reference.field_path not in known:
        raise UnsupportedContainerError(container, f"{item.name} refers to something else than the pod's own fields")
    return known[reference.field_path]


def _into_root(value: str, root: Path, mounts: list[PurePosixPath]) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() and any(path.is_relative_to(mount) for mount in mounts):
        return str(root / value.lstrip("/"))
    return value


def base_environment(app: Path, own: Mapping[str, str]) -> dict[str, str]:
    """What every program gets: this interpreter's programs first on PATH, and the user's app importable."""
    programs = str(Path(sys.executable).parent)
    return {
        "PATH": os.pathsep.join((programs, own.get("PATH", os.defpath))),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(app), own.get("PYTHONPATH")))),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        **{name: own.get(name, "1") for name in _ONE_THREAD},
        **{name: own[name] for name in _INHERITED if name in own},
    }


def resolve(words: Sequence[str]) -> list[str]:
    """A command of the image as a command of this machine: this interpreter for Python and for our own programs."""
    if words[0] == _RUNTIME:
        return [sys.executable, "-m", "shieldwall.runtime", *words[1:]]
    return [sys.executable, *words[1:]] if words[0] in _PYTHONS else list(words)


def command(container: V1Container) -> list[str]:
    """The program and its arguments."""
    words = [*(container.command or ()), *(container.args or ())]
    if not words:
        raise UnsupportedContainerError(container.name, "it has no command, and there is no image to take one from")
    return resolve(words)


def run_as(container: V1Container, spec: V1PodSpec) -> int:
    """The uid that the template asks for."""
    for context in (container.security_context, spec.security_context):
        if context is not None and context.run_as_user is not None:
            return int(context.run_as_user)
    return _DEFAULT_UID


def launch(container: V1Container, spec: V1PodSpec, place: Place, disguise: Disguise | None) -> Launch:
    """Everything to start ``container`` with; raises UnsupportedContainerError."""
    root = build_root(container, place)
    argv, env = command(container), environment(container, place)
    if disguise is not None:
        argv, env = disguise(container.name, argv, env)
    groups = [place.users.group(place.volumes[mount.name]) for mount in container.volume_mounts or ()]
    return Launch(
        argv=tuple(argv),
        env=env,
        cwd=root,
        log=place.logs / f"{container.name}.log",
        user=place.users.user(place.pod, run_as(container, spec)),
        groups=tuple(sorted({group for group in groups if group is not None})),
    )
