"""The last accepted spec, recorded: with it a training is kept whose spec has become one that cannot be acted on.

Source of the decision: ``docs/decisions/0009-what-keeps-a-training-with-an-invalid-spec.md``.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final

from kubernetes.client import V1ConfigMap

from shieldwall.control.plan.labels import metadata

if TYPE_CHECKING:
    from shieldwall.control.api.spec import FederatedTrainingSpec
    from shieldwall.control.api.training import Training
    from shieldwall.control.plan.names import Names

SPEC_FILE: Final = "spec.json"
SPEC_DIGEST: Final = "shieldwall.dev/accepted-spec"
"""Annotation of the StatefulSets: the digest of the spec that they were made from. It vouches for the record: whoever
may write it may run any pod anyway, and whoever may write ConfigMaps alone changes nothing."""
LARGEST_SPEC: Final = 900_000
"""Bytes; a ConfigMap holds 1 MiB. A larger spec, and none is likely, is not recorded."""


def spec_text(spec: FederatedTrainingSpec) -> str:
    """All of a spec with its defaults, as JSON; the same spec always gives the same text."""
    plain = spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))


def digest_of(text: str) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def accepted_config_map(training: Training, names: Names, text: str) -> V1ConfigMap | None:
    """The record; None when ``text`` is too large."""
    if len(text.encode()) > LARGEST_SPEC:
        return None
    return V1ConfigMap(
        api_version="v1", kind="ConfigMap", metadata=metadata(training, names.accepted), data={SPEC_FILE: text}
    )
