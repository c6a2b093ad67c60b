"""The typed models of the official client as plain JSON: the one way in which objects are written out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubernetes.client import V1ObjectMeta

    from shieldwall.control.plan.objects import KubernetesObject


def manifest(obj: KubernetesObject | V1ObjectMeta) -> dict[str, Any]:
    """An object, or its metadata, as an API server takes it: fields without a value are left out, empty ones stay.

    The same as ``ApiClient.sanitize_for_serialization``, which takes many times as long.
    """
    plain: dict[str, Any] = obj.model_dump(mode="json", by_alias=True, exclude_none=True)
    return plain
