"""Leaves read from their Secrets, of which only the certificates are kept."""

from __future__ import annotations

import asyncio
import base64
import binascii
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from shieldwall.control.cluster.errors import ApiError
from shieldwall.control.cluster.kinds import SECRET
from shieldwall.control.plan.names import Names
from shieldwall.pki.errors import MalformedPemError
from shieldwall.pki.pem import certificates_from_pem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cryptography import x509

    from shieldwall.cli.kube import Cluster
    from shieldwall.cli.seen import SeenTraining


@dataclass(frozen=True, slots=True)
class IssuedLeaf:
    """A leaf and the CA that its chain names."""

    leaf: x509.Certificate
    issuer: x509.Certificate


async def read_leaves(
    cluster: Cluster, training: SeenTraining, subjects: Sequence[str]
) -> Mapping[str, IssuedLeaf | None] | None:
    """By subject: its leaf, None where there is none; None in all when Secrets may not be read.

    One Secret after another by name: a list would bring the training's CA with its key to this machine. Raises
    ApiError and ApiUnreachableError.
    """
    if not subjects:
        return {}
    names = Names(training.name)
    try:
        first = await _read(
            cluster, _secret(names, subjects[0])
        )  # asks whether it may, before it asks a thousand times
        others = await asyncio.gather(*(_read(cluster, _secret(names, subject)) for subject in subjects[1:]))
    except ApiError as error:
        if error.status != HTTPStatus.FORBIDDEN:
            raise
        return None
    return dict(zip(subjects, (first, *others), strict=True))


def _secret(names: Names, subject: str) -> str:
    role, _, client = subject.partition("/")
    if client:
        return names.client_tls(client)
    return names.server_tls if role == "server" else names.aggregator_tls


async def _read(cluster: Cluster, secret: str) -> IssuedLeaf | None:
    try:
        body = await cluster.api.get(SECRET, cluster.namespace, secret)
        leaf, issuer = certificates_from_pem(base64.b64decode(body["data"]["tls.crt"], validate=True))
    except ApiError as error:
        if not error.missing:
            raise
        return None
    except (KeyError, TypeError, binascii.Error, ValueError, MalformedPemError):
        return None
    return IssuedLeaf(leaf, issuer)
