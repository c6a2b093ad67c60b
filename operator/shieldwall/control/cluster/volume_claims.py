"""The volume claims that a StatefulSet takes up by their names, whoever made them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shieldwall.control.cluster.errors import ApiError, ForeignClaimError
from shieldwall.control.cluster.kinds import VOLUME_CLAIM
from shieldwall.control.plan.labels import TRAINING_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shieldwall.control.api.training import Training
    from shieldwall.control.cluster.api import Api, Json


async def require_own_claims(api: Api, training: Training, stateful_set: Json) -> None:
    """Go on only if each claim that the StatefulSet would find there is labelled as the training's.

    Those of an earlier training of the same name are, as its StatefulSets made them: a model that was kept is gone on
    with. Raises ForeignClaimError, ApiError or ApiUnreachableError.
    """
    for name in _claims(stateful_set):
        try:
            body = await api.get(VOLUME_CLAIM, training.namespace, name)
        except ApiError as error:
            if error.missing:
                continue
            raise
        if (body["metadata"].get("labels") or {}).get(TRAINING_LABEL) != training.name:
            raise ForeignClaimError(name, f"{TRAINING_LABEL}={training.name}")


def _claims(stateful_set: Json) -> Iterator[str]:
    """As the StatefulSet controller names those of its first and only pod."""
    for template in stateful_set["spec"].get("volumeClaimTemplates") or ():
        yield f"{template['metadata']['name']}-{stateful_set['metadata']['name']}-0"
