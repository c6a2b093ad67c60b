"""Turns the volumes of a pod's template into directories."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from shieldwall.local.cluster import projection
from shieldwall.local.cluster.projection import File

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from kubernetes.client import V1KeyToPath, V1ProjectedVolumeSource, V1Volume

    from shieldwall.local.cluster.users import Users

_DEFAULT_MODE: Final = 0o644


class UnsupportedVolumeError(ValueError):
    """A template asks for a kind of volume that this miniature does not know; ``volume`` names it."""

    def __init__(self, volume: str, reason: str) -> None:
        super().__init__(f"Volume {volume!r} cannot be made on this machine: {reason}.")
        self.volume = volume


@dataclass(frozen=True, slots=True)
class Contents:
    """What ConfigMaps and Secrets hold, by their names."""

    config_maps: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    secrets: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Directories:
    """Where the volumes of a run lie."""

    pods: Path
    """``<pods>/<pod>/<volume>``: what lives as long as the pod."""
    claims: Path
    """``<claims>/<claim>``: what outlives it."""
    data: Path
    """``<data>/<claim>``: claims that the user brings, beside the training's file."""

    def brought(self, volume: V1Volume) -> Path | None:
        """The user's own directory behind a claim, if there is one; it is never changed."""
        claim = volume.persistent_volume_claim
        own = self.data / claim.claim_name if claim is not None else None
        return own if own is not None and own.is_dir() else None

    def of(self, pod: str, volume: V1Volume) -> Path:
        """The directory of ``volume`` in ``pod``."""
        claim = volume.persistent_volume_claim
        if claim is None:
            return self.pods / pod / volume.name
        return self.brought(volume) or self.claims / claim.claim_name


def projected_files(volume: V1Volume, contents: Contents) -> dict[str, File] | None:
    """The files of a ConfigMap, Secret or projected volume; None for volumes that programs fill.

    Raises UnsupportedVolumeError, also when an object that the volume names is missing.
    """
    if volume.config_map is not None:
        source = volume.config_map
        mode = source.default_mode or _DEFAULT_MODE
        return _select(volume.name, contents.config_maps, source.name, source.items, mode)
    if volume.secret is not None:
        secret = volume.secret
        mode = secret.default_mode or _DEFAULT_MODE
        return _select(volume.name, contents.secrets, secret.secret_name, secret.items, mode)
    if volume.projected is not None:
        return _merge(volume.name, volume.projected, contents)
    if volume.empty_dir is None and volume.persistent_volume_claim is None:
        raise UnsupportedVolumeError(volume.name, "only ConfigMap, Secret, projected, emptyDir and claims are")
    return None


def _merge(volume: str, projected: V1ProjectedVolumeSource, contents: Contents) -> dict[str, File]:
    mode = projected.default_mode or _DEFAULT_MODE
    files: dict[str, File] = {}
    for source in projected.sources or ():
        if source.config_map is not None:
            part = source.config_map
            files |= _select(volume, contents.config_maps, part.name, part.items, mode)
        elif source.secret is not None:
            secret = source.secret
            files |= _select(volume, contents.secrets, secret.name, secret.items, mode)
        else:
            raise UnsupportedVolumeError(volume, "only ConfigMaps and Secrets can be projected")
    return files


def _select(
    volume: str,
    objects: Mapping[str, Mapping[str, bytes]],
    name: str | None,
    items: Iterable[V1KeyToPath] | None,
    mode: int,
) -> dict[str, File]:
    content = objects.get(name or "")
    if content is None:
        raise UnsupportedVolumeError(volume, f"{name!r} does not exist")
    if not items:
        return {key: File(value, mode) for key, value in content.items()}
    missing = [item.key for item in items if item.key not in content]
    if missing:
        raise UnsupportedVolumeError(volume, f"{name!r} has no {missing[0]!r}")
    return {item.path: File(content[item.key], item.mode or mode) for item in items}


def prepare(directory: Path, group: int | None) -> None:
    """Make ``directory`` a volume of its group: nobody else gets in, and new files in it belong to the group."""
    directory.mkdir(parents=True, exist_ok=True)
    if group is None:
        directory.chmod(0o700)
        return
    os.chown(directory, -1, group)
    directory.chmod(0o2770)


def adopt(directory: Path, group: int) -> None:
    """Hand everything in a kept volume to its group of this run, as ``fsGroup`` does."""
    for path in (directory, *directory.rglob("*")):
        if not path.is_symlink():
            os.chown(path, -1, group)
            path.chmod(0o2770 if path.is_dir() else path.stat().st_mode | 0o060)


def materialise(directory: Path, volume: V1Volume, contents: Contents, users: Users, now: datetime) -> bool:
    """Bring one volume's directory up to date; says whether files were replaced. Safe to call again."""
    group = users.group(directory)
    files = projected_files(volume, contents)
    if files is None:
        if not directory.is_dir():
            prepare(directory, group)
        elif group is not None and directory.stat().st_gid != group:
            adopt(directory, group)
        return False
    prepare(directory, group)
    return projection.write(directory, files, now, group)
