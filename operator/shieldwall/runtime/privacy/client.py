"""What stands between the user's ClientApp and the seal in the modes in which the client adds the noise.

Nothing leaves but arrays with noise in them, under the question's name, how many records there were, and what was done.
No ε covers metrics of a client's data, counters in the model, an evaluation, or the app's own words: what goes wrong is
told in sentences of this module alone, and the pod's log has the rest.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from flwr.app import Array as FlowerArray
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from shieldwall.contract.privacy import PRIVACY_KEY, PrivacyMode
from shieldwall.runtime.aggregation.vectors import is_finite
from shieldwall.runtime.flower.messages import EXAMPLES_KEY, only_arrays
from shieldwall.runtime.model import InvalidModelError, Model, Schema, step, update_of
from shieldwall.runtime.privacy.attestation import attested, shortfall
from shieldwall.runtime.privacy.dp_sgd import SENSITIVITY, DpSgd, DpSgdError, TooFewRecordsError, session
from shieldwall.runtime.privacy.errors import NotPrivateError
from shieldwall.runtime.privacy.mechanism import add_noise, clip

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from flwr.app import Context

    from shieldwall.contract.privacy import PrivacyPolicy
    from shieldwall.runtime.model import Array

    App = Callable[[Message, Context], Message]

_TRAIN: Final = "train"
_METRICS: Final = "metrics"
_LOG: Final = logging.getLogger(__name__)


def answer(
    user: App, message: Message, context: Context, policy: PrivacyPolicy | None, generator: np.random.Generator
) -> Message:
    """The user's reply as the policy lets it leave the client; as it is where the client adds no noise.

    ``message`` holds one model, arrays by name. Raises NotPrivateError.
    """
    if policy is None or policy.mode is PrivacyMode.CLIENT_LEVEL_CENTRAL:
        return user(message, context)
    if message.metadata.message_type.partition(".")[0] != _TRAIN:
        raise NotPrivateError(f"under {policy.mode} clients answer to train only: no ε covers anything else")
    name, arrays = only_arrays(message.content)
    base = Model.of({key: array.numpy() for key, array in arrays.items()})
    reply = Message(RecordDict(), reply_to=message)  # before the app is called: it chooses no time, no type, no group
    if policy.mode is PrivacyMode.CLIENT_LEVEL_LOCAL:
        model = _noised(_model(_called(user, message, context), base), base, policy, generator)
        reply.content = _leaving(name, model, 1, attested(policy, None))
        return reply
    with session(DpSgd.of(policy, generator)) as private:
        found = _called(user, message, context)
    if not private.taken:
        raise NotPrivateError(
            "the app took no private step: under RecordLevel gradients are shieldwall.runtime.privacy.dp_sgd's"
        )
    values = attested(policy, private)
    if reason := shortfall(values, policy):
        raise NotPrivateError(f"the app trained by other parameters than the policy's: {reason}")
    reply.content = _leaving(name, _model(found, base), private.own_records or 0, values)
    return reply


def _called(user: App, message: Message, context: Context) -> dict[str, Array]:
    """The arrays of the app's reply; raises NotPrivateError, which tells nothing that the app chose."""
    try:
        return _arrays_of(user(message, context))
    except Exception as error:  # noqa: BLE001  # the user's code may raise anything
        _LOG.exception("the app failed")
        raise NotPrivateError(f"{_told(error)}; this client's log says more") from None


def _told(error: Exception) -> str:
    if isinstance(error, TooFewRecordsError):
        return "this client has fewer records than spec.privacy.records"
    return "the app does not train as dp_sgd asks" if isinstance(error, DpSgdError) else "the app failed"


def _arrays_of(reply: Message) -> dict[str, Array]:
    """Raises RuntimeError for an error, and what Flower does for a reply that is none."""
    if reply.has_error():
        raise RuntimeError(f"the app answered with error {reply.error.code}: {reply.error.reason}")
    return {key: array.numpy() for key, array in only_arrays(reply.content)[1].items()}


def _model(arrays: dict[str, Array], base: Model) -> Model:
    """The app's model, with counters as in ``base``; raises NotPrivateError for what is no update of ``base``.

    An update that is not finite becomes none: to tell of it would tell of the data.
    """
    try:
        if Schema.of(arrays) != base.schema:
            raise NotPrivateError("the app answers with other arrays than the model's")
        return Model.of({key: base.arrays[key] if key in _counters(base) else arrays[key] for key in arrays})
    except InvalidModelError:
        return base


def _counters(model: Model) -> frozenset[str]:
    return frozenset(spec.name for spec in model.schema.counters)


def _noised(model: Model, base: Model, policy: PrivacyPolicy, generator: np.random.Generator) -> Model:
    """``base`` with the model's update, clipped and with noise for its replacement by any other."""
    update = update_of(model.arrays, base)
    if not is_finite(update):
        update[:] = 0.0
    clip(update, policy.clip)
    add_noise(update, policy.noise_multiplier * SENSITIVITY * policy.clip, generator)
    return step(base, update, base.arrays)


def _leaving(name: str, model: Model, examples: int, values: dict[str, str | float | int]) -> RecordDict:
    """All that may leave."""
    arrays = ArrayRecord(array_dict={key: FlowerArray(array) for key, array in model.arrays.items()})
    metrics = MetricRecord({EXAMPLES_KEY: examples})
    return RecordDict({name: arrays, _METRICS: metrics, PRIVACY_KEY: ConfigRecord({**values})})
