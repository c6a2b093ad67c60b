"""Objects as they were last seen, as little of each as is needed: never a private key."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from shieldwall.control.api.training import GROUP, KIND
from shieldwall.control.cluster.claims import Purpose, may_own, purpose_of
from shieldwall.control.cluster.kinds import SECRET
from shieldwall.control.issuing.facts import (
    LARGEST_ENTRY,
    authority_of,
    leaf_of,
    node_key_of,
    root_of,
    shared_secret_in,
)
from shieldwall.control.plan.certificates import SUPEREXEC_KEY
from shieldwall.control.plan.labels import TRAINING_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cryptography import x509

    from shieldwall.control.cluster.api import Json
    from shieldwall.control.cluster.kinds import Kind

MANAGER: Final = "shieldwall"
"""The field manager of all that the operator applies."""
STATUS_MANAGER: Final = "shieldwall-status"
EVENT_MANAGER: Final = "shieldwall-events"

_OWN: Final = f"{GROUP}/"
_CONTENT: Final = frozenset({"f:spec", "f:data", "f:binaryData", "f:automountServiceAccountToken", "f:immutable"})
_IDENTITY: Final = (
    "namespace",
    "name",
    "uid",
    "resourceVersion",
    "generation",
    "deletionTimestamp",
    "ownerReferences",
)
_MOST_ENTRIES: Final = 16
"""Four is the most that a Secret of ours has."""
_LONGEST_TEXT: Final = (LARGEST_ENTRY + 2) // 3 * 4
"""Of ``LARGEST_ENTRY`` bytes in base64."""
_TOO_LARGE: Final = "AA=="
"""Stands for what is too large to be anything of ours: it is there, and is nothing."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The controller of an object."""

    kind: str
    name: str
    uid: str
    ours: bool
    """Whether it is a FederatedTraining."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class SecretFacts:
    """What a Secret of ours holds; None for what is absent, malformed or does not fit together."""

    authority: x509.Certificate | None = None
    root: x509.Certificate | None = None
    """The CA that issued ``authority``."""
    leaf: x509.Certificate | None = None
    node_key: str | None = None
    """Public, SubjectPublicKeyInfo PEM."""
    shared_secret: bool = False
    """Whether it holds a shared secret, 32 bytes in hexadecimal."""
    keys: frozenset[str] = frozenset()
    """Names of the entries that are not empty."""


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Live:
    """One object as it was last seen. Another sight of it is another Live."""

    kind: Kind
    namespace: str
    name: str
    uid: str
    resource_version: int
    training: str | None
    """The training that its label names."""
    owner: Owner | None
    leaving: bool
    """Whether it is being deleted."""
    immutable: bool
    """Whether nobody can change its data any more, nor that: it can only be deleted and made anew."""
    strangers: tuple[str, ...]
    """Field managers besides ours that own a part of its content."""
    applied: bytes | None
    """What of its content was written under our name, as ``managedFields`` has it (JSON, deflated); None where nothing
    was applied under it, and of a Secret."""
    annotations: Mapping[str, str]
    """Its annotations."""
    content: bytes
    """JSON without managedFields, and without a Secret's data; of what no training may own, hardly more than a name."""
    secret: SecretFacts | None
    """None also for a Secret that no training may own."""

    def written(self) -> list[Json]:
        """Field sets (``fieldsV1``), one for each way in which somebody wrote under our name; empty where none did."""
        parsed: list[Json] = json.loads(zlib.decompress(self.applied)) if self.applied is not None else []
        return parsed

    def body(self) -> Json:
        """The object; a copy of one's own."""
        parsed: Json = json.loads(self.content)
        return parsed


def live_of(kind: Kind, body: Mapping[str, Any]) -> Live:
    """Read an object as the API server gives it."""
    kept = trimmed(kind, body)
    metadata = kept["metadata"]
    owner = _owner(metadata)
    purpose = purpose_of(owner.name, metadata["name"]) if kind is SECRET and owner is not None and owner.ours else None
    data = kept.pop("data", None) if kind is SECRET else None
    managed = metadata.pop("managedFields", None)
    return Live(
        kind=kind,
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=int(metadata["resourceVersion"]),
        training=(metadata.get("labels") or {}).get(TRAINING_LABEL),
        owner=owner,
        leaving="deletionTimestamp" in metadata,
        immutable=kept.get("immutable") is True,
        strangers=_strangers(managed) if kind is not SECRET else (),
        applied=_applied(managed) if kind is not SECRET else None,
        annotations=dict(metadata.get("annotations") or {}),
        content=json.dumps(kept, separators=(",", ":")).encode(),
        secret=secret_facts(data or {}, purpose) if purpose is not None else None,
    )


def trimmed(kind: Kind, body: Mapping[str, Any]) -> Json:
    """As much of an object as is of use: anybody can give our label to anything, of any size."""
    metadata = body["metadata"]
    if not _claimed(kind, metadata):
        labels = metadata.get("labels") or {}
        kept = {key: metadata[key] for key in _IDENTITY if key in metadata}
        kept["ownerReferences"] = [each for each in metadata.get("ownerReferences") or () if each.get("controller")]
        kept["labels"] = {TRAINING_LABEL: labels[TRAINING_LABEL]} if TRAINING_LABEL in labels else {}
        return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": kept, "spec": {}}
    if kind is not SECRET:
        return {**body, "metadata": dict(metadata)}
    own = {key: value for key, value in (metadata.get("annotations") or {}).items() if key.startswith(_OWN)}
    kept = {key: value for key, value in metadata.items() if key != "managedFields"}
    kept["annotations"] = own  # kubectl apply writes the whole data into an annotation of its own
    data = {
        key: text if len(text) <= _LONGEST_TEXT else _TOO_LARGE
        for key, text in islice((body.get("data") or {}).items(), _MOST_ENTRIES)
    }
    return {**body, "metadata": kept, "data": data}


def secret_facts(data: Mapping[str, str], purpose: Purpose) -> SecretFacts:
    """Read the ``data`` (base64) of a Secret: only what one for that purpose holds is looked at."""
    plain = {}
    for key, text in data.items():
        try:
            plain[key] = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            continue
    authority = authority_of(plain) if purpose is Purpose.AUTHORITY else None
    return SecretFacts(
        authority=authority.certificate if authority is not None else None,
        root=root_of(plain) if authority is not None else None,
        leaf=leaf_of(plain) if purpose is Purpose.LEAF else None,
        node_key=node_key_of(plain) if purpose is Purpose.NODE_KEY else None,
        shared_secret=purpose is Purpose.SHARED and shared_secret_in(plain, SUPEREXEC_KEY),
        keys=frozenset(key for key, value in plain.items() if value),
    )


def _claimed(kind: Kind, metadata: Mapping[str, Any]) -> bool:
    """Whether a training is said to own the object, and may."""
    owner = _owner(metadata)
    return owner is not None and owner.ours and may_own(owner.name, kind, metadata["name"])


def _owner(metadata: Mapping[str, Any]) -> Owner | None:
    for reference in metadata.get("ownerReferences") or ():
        if reference.get("controller"):
            ours = reference["kind"] == KIND and reference["apiVersion"].partition("/")[0] == GROUP
            return Owner(reference["kind"], reference["name"], reference["uid"], ours)
    return None


def _strangers(managed: Sequence[Mapping[str, Any]] | None) -> tuple[str, ...]:
    """Status and scale are subresources: what controllers write there is theirs."""
    managers = {
        entry.get("manager", "unknown")
        for entry in managed or ()
        if not entry.get("subresource")
        and entry.get("manager") != MANAGER
        and not _CONTENT.isdisjoint(entry.get("fieldsV1") or {})
    }
    return tuple(sorted(managers))


def _applied(managed: Sequence[Mapping[str, Any]] | None) -> bytes | None:
    own = [entry for entry in managed or () if entry.get("manager") == MANAGER and not entry.get("subresource")]
    if not any(entry.get("operation") == "Apply" for entry in own):
        return None
    fields = [
        {name: inner for name, inner in (entry.get("fieldsV1") or {}).items() if name in _CONTENT} for entry in own
    ]
    return zlib.compress(json.dumps(fields, separators=(",", ":")).encode())
