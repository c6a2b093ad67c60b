"""A training as it stands in a cluster: as much of it as commands need, whatever version wrote the rest."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from pydantic import ValidationError

from shieldwall.cli.exit_codes import ExitCode
from shieldwall.cli.kube import ClusterError
from shieldwall.control.api.fields import TRAINING_NAME
from shieldwall.control.api.requests import RenewalRequests, is_paused, renewal_requests
from shieldwall.control.api.status import (
    WORST_CERTIFICATES,
    CertificateReport,
    Condition,
    ConditionStatus,
    PkiStatus,
)
from shieldwall.control.cluster.errors import ApiError
from shieldwall.control.cluster.kinds import TRAINING
from shieldwall.control.status.sight import INVALID_SPEC

if TYPE_CHECKING:
    from shieldwall.cli.kube import Cluster
    from shieldwall.control.cluster.api import Json

_CERTIFICATES: Final = "Certificates"
_STALLED: Final = "Stalled"
_WATCHED: Final = frozenset({"NotServed", "Renewing"})
"""Reasons of the condition that only somebody who looks can give."""


@dataclass(frozen=True, slots=True)
class SeenTraining:
    """A FederatedTraining, read once."""

    name: str
    namespace: str
    uid: str
    clients: tuple[str, ...]
    leaving: bool
    """Whether it is being deleted."""
    suspended: bool
    paused: bool
    requests: RenewalRequests
    pki: PkiStatus
    condition: Condition | None
    """The condition Certificates."""
    stalled: Condition | None = None
    """The condition Stalled, while it is true."""

    @classmethod
    def of(cls, body: Json) -> Self:
        """Read an object as the API server gives it; raises ClusterError when its status is of another kind."""
        metadata, spec, status = body["metadata"], body["spec"], body.get("status") or {}
        clients = tuple(str(client["name"]) for client in spec["clients"])
        annotations = metadata.get("annotations") or {}
        conditions = status.get("conditions") or ()
        found = [each for each in conditions if each.get("type") == _CERTIFICATES]
        stalled = [each for each in conditions if each.get("type") == _STALLED and each.get("status") == "True"]
        try:
            pki = PkiStatus.model_validate_json(json.dumps(status.get("pki") or {}), extra="ignore")
            condition = _condition(found[0]) if found else None
            held_up = _condition(stalled[0]) if stalled else None
        except ValidationError as error:
            sentence = f"The status of {metadata['name']} is not understood: another version of Shieldwall wrote it."
            raise ClusterError(sentence) from error
        return cls(
            name=metadata["name"],
            namespace=metadata["namespace"],
            uid=metadata["uid"],
            clients=clients,
            leaving="deletionTimestamp" in metadata,
            suspended=spec.get("suspend", False),
            paused=is_paused(annotations),
            requests=renewal_requests(annotations, clients),
            pki=pki,
            condition=condition,
            stalled=held_up,
        )

    @property
    def subjects(self) -> tuple[str, ...]:
        """Whose leaves are wanted, the server's first; as status names them."""
        return ("server", "aggregator", *(f"client/{client}" for client in self.clients))

    @property
    def told(self) -> bool:
        """Whether status tells which leaves were issued.

        Not before an operator has reported, nor of an invalid spec where the operator knows no accepted one.
        """
        return self.condition is not None and self.condition.reason != INVALID_SPEC

    @property
    def full(self) -> bool:
        """Whether status may have left leaves out for want of room."""
        return len(self.pki.certificates) >= WORST_CERTIFICATES

    @property
    def untold(self) -> tuple[str, ...]:
        """Subjects of the leaves that status may have left out."""
        told = {each.subject for each in self.pki.certificates}
        whole = self.told and not self.full
        return () if whole else tuple(subject for subject in self.subjects if subject not in told)

    @property
    def watched(self) -> bool:
        """Whether anybody looks which leaves are in use."""
        if self.condition is None or self.condition.status is ConditionStatus.UNKNOWN:
            return False
        return self.pki.served > 0 or self.condition.reason in _WATCHED

    @property
    def pending(self) -> tuple[str, ...]:
        """Subjects of requests, as annotations name them, that were not carried out.

        Status tells of the latest only: where it may have left requests out, those that it calls pending.
        """
        handled = {(request.subject, request.nonce) for request in self.pki.requests}
        untold = {subject for subject, nonce in self.requests.nonces.items() if (subject, nonce) not in handled}
        return tuple(sorted(untold & set(self.pki.pending) if self.crowded else untold))

    @property
    def crowded(self) -> bool:
        """Whether status may have left requests out for want of room."""
        return len(self.pki.requests) >= WORST_CERTIFICATES

    def report(self, subject: str) -> CertificateReport | None:
        """What status says of one leaf; it tells of twenty at most."""
        return next((each for each in self.pki.certificates if each.subject == subject), None)

    def served(self, subject: str) -> bool | None:
        """Whether a leaf that was issued is in use; None when nobody knows.

        Status ranks those not in use first: if it tells of one in use, so are all that it leaves out.
        """
        if not self.watched:
            return None
        report = self.report(subject)
        if report is not None:
            return report.served
        return True if self.full and any(each.served for each in self.pki.certificates) else None


def _condition(found: Json) -> Condition:
    return Condition.model_validate_json(json.dumps(found), extra="ignore")


async def see(cluster: Cluster, name: str) -> SeenTraining:
    """The training of that name; raises ClusterError when there is none, ApiError and ApiUnreachableError."""
    if re.fullmatch(TRAINING_NAME, name) is None:
        raise ClusterError(f"{name} cannot be the name of a training.", ExitCode.BAD_INPUT)
    try:
        body = await cluster.api.get(TRAINING, cluster.namespace, name)
    except ApiError as error:
        if not error.missing or error.message.startswith("404 page"):
            raise
        sentence = f"There is no training {name} in namespace {cluster.namespace}."
        raise ClusterError(sentence, ExitCode.BAD_INPUT) from error
    return SeenTraining.of(body)
