"""An object of a plan as it is to be written, stamped with a hash of itself."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shieldwall.control.cluster.kinds import BY_NAME
from shieldwall.control.plan.render import manifest

if TYPE_CHECKING:
    from shieldwall.control.cluster.api import Json
    from shieldwall.control.cluster.kinds import Kind
    from shieldwall.control.plan.objects import KubernetesObject

MANIFEST_HASH: Final = "shieldwall.dev/manifest-hash"
"""Annotation: of what was applied, so that a field that is no longer wanted is noticed too."""

_HASH_CHARACTERS: Final = 16


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an object is to be."""

    kind: Kind
    name: str
    content: bytes
    """JSON, with the annotation of its hash: a tenth of the memory that the object takes."""
    digest: str

    def body(self) -> Json:
        """The object; a copy of one's own."""
        parsed: Json = json.loads(self.content)
        return parsed


def wanted_of(obj: KubernetesObject) -> Wanted:
    """Render and stamp ``obj``."""
    plain = manifest(obj)
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()[:_HASH_CHARACTERS]
    metadata = plain["metadata"]
    annotations = {**(metadata.get("annotations") or {}), MANIFEST_HASH: digest}
    body = {**plain, "metadata": {**metadata, "annotations": annotations}}
    content = json.dumps(body, separators=(",", ":")).encode()
    return Wanted(BY_NAME[plain["kind"]], metadata["name"], content, digest)
