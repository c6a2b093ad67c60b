"""A training's Secrets as they are to be written, and what of one that is there is not so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.control.cluster.entries import secret
from shieldwall.control.plan.labels import metadata as metadata_of
from shieldwall.control.plan.names import Names
from shieldwall.control.plan.render import manifest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shieldwall.control.api.training import Training
    from shieldwall.control.cluster.api import Json
    from shieldwall.control.cluster.live import Live

INSTALLATION: Final = "shieldwall.dev/installation"
"""Annotation of the Secret of a training's CA: the operator that works on the training. POST is compare-and-swap, and
nothing else of a training is made before its CA."""


def secret_body(  # noqa: PLR0913, PLR0917  # all that a Secret is made of
    training: Training,
    name: str,
    files: Mapping[str, bytes],
    secret_type: str,
    annotations: Mapping[str, str],
    installation: str,
) -> Json:
    """A Secret of ``training`` that holds ``files``; that of its CA is claimed for ``installation``."""
    metadata = manifest(metadata_of(training, name))
    claim = {INSTALLATION: installation} if name == Names(training.name).authority else {}
    metadata["annotations"] = {**annotations, **claim}
    return secret(metadata, files, secret_type)


def untidy(live: Live, body: Json, entries: frozenset[str] | None) -> Json | None:
    """What gives back labels and claim of ``body``, and takes out what is not of ``entries``; None when all is well."""
    wanted, found = body["metadata"], live.body()["metadata"]
    change: Json = {
        "metadata": {part: _missing(wanted[part], found.get(part) or {}) for part in ("labels", "annotations")}
    }
    held = live.secret.keys if live.secret is not None else frozenset()
    foreign = held - entries if entries is not None else frozenset()
    if foreign:
        change["data"] = dict.fromkeys(sorted(foreign))
    return change if foreign or any(change["metadata"].values()) else None


def _missing(wanted: Mapping[str, str], found: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in wanted.items() if found.get(key) != value}
