"""What an attacker sees of one client in one round: in each mode of privacy what leaves, by the pods' own code."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict

from shieldwall.contract.policy import AggregationPolicy, Rule
from shieldwall.contract.privacy import PrivacyMode
from shieldwall.lab.grid import RUN_ID
from shieldwall.lab.tasks import NETWORK
from shieldwall.runtime.aggregation import Updates, aggregate
from shieldwall.runtime.flower.messages import ARRAYS_KEY, only_arrays
from shieldwall.runtime.privacy.central import CentralNoise
from shieldwall.runtime.privacy.client import answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from shieldwall.contract.privacy import PrivacyPolicy
    from shieldwall.lab.privacy.clients import Pupil
    from shieldwall.lab.privacy.learners import Vector

    App = Callable[[Message, Context], Message]


def replied(app: App, parameters: Vector, privacy: PrivacyPolicy | None, generator: np.random.Generator) -> Vector:
    """The update in the client's reply, (d,), asked with ``parameters``: what the aggregator and its disk see."""
    content = RecordDict({ARRAYS_KEY: ArrayRecord(array_dict={NETWORK: Array(parameters)})})
    question = Message(content, dst_node_id=1, message_type="train")
    context = Context(RUN_ID, 1, {"partition-id": 0}, RecordDict(), {})
    reply = answer(app, question, context, privacy, generator)
    update: NDArray[Any] = only_arrays(reply.content)[1][NETWORK].numpy() - parameters
    return update


def single_step(
    pupil: Pupil, parameters: Vector, privacy: PrivacyPolicy | None, clients: int, generator: np.random.Generator
) -> Vector:
    """What can be seen of the mean gradient of a client's records, (d,), in the round that tells most: one step.

    Under ClientLevelCentral only the release is seen, and of it all that other clients sent is known and taken away.
    """
    count = len(pupil.records[0])
    once = replace(pupil, recipe=replace(pupil.recipe, steps=1))
    if privacy is not None and privacy.mode is PrivacyMode.RECORD_LEVEL:
        whole = privacy.model_copy(update={"records": count, "batch_size": count, "steps": 1})
        return replied(once, parameters, whole, generator) * -(whole.clip / pupil.recipe.private_rate)
    update = replied(once, parameters, privacy, generator)
    if privacy is not None and privacy.mode is PrivacyMode.CLIENT_LEVEL_CENTRAL:
        update = _released(update, privacy, clients, generator) * clients
    return update / -pupil.recipe.rate


def _released(update: Vector, privacy: PrivacyPolicy, clients: int, generator: np.random.Generator) -> Vector:
    """The round's release where all others sent nothing; of the mean, the rule with the least noise."""
    noise = CentralNoise(privacy, privacy.clip, generator)
    policy = noise.clipping(AggregationPolicy(rule=Rule.CLIPPED_MEAN))
    updates = Updates.of([update, *[np.zeros_like(update)] * (clients - 1)])
    delta = aggregate(updates, policy).delta
    noise.noise(delta, updates.norms, policy)
    return delta
