"""What stands between the user's ClientApp and the seal in the modes in which the client adds the noise.

Nothing leaves but arrays with noise in them, how many examples there were, and what was done: no ε covers metrics of a
client's data, counters in the model, an evaluation, or the words of an exception.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from shieldwall.contract.privacy import PRIVACY_KEY, PrivacyMode
from shieldwall.runtime.aggregation.vectors import is_finite
from shieldwall.runtime.flower.messages import EXAMPLES_KEY, claimed_examples, only_arrays
from shieldwall.runtime.model import InvalidModelError, Model, Schema, step, update_of
from shieldwall.runtime.privacy.attestation import attested, shortfall
from shieldwall.runtime.privacy.dp_sgd import SENSITIVITY, DpSgd, DpSgdError, session
from shieldwall.runtime.privacy.errors import NotPrivateError
from shieldwall.runtime.privacy.mechanism import add_noise, clip

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from flwr.app import Context, Message

    from shieldwall.contract.privacy import PrivacyPolicy

    App = Callable[[Message, Context], Message]

_TRAIN: Final = "train"
_METRICS: Final = "metrics"
_LOG: Final = logging.getLogger(__name__)


def answer(
    user: App, message: Message, context: Context, policy: PrivacyPolicy | None, generator: np.random.Generator
) -> Message:
    """The user's reply as the policy lets it leave the client; as it is where the client adds no noise.

    ``message`` holds one model, arrays by name. Raises NotPrivateError, DpSgdError.
    """
    if policy is None or policy.mode is PrivacyMode.CLIENT_LEVEL_CENTRAL:
        return user(message, context)
    if message.metadata.message_type.partition(".")[0] != _TRAIN:
        raise NotPrivateError(f"under {policy.mode} clients answer to train only: no ε covers anything else")
    _, arrays = only_arrays(message.content)
    base = Model.of({name: array.numpy() for name, array in arrays.items()})
    if policy.mode is PrivacyMode.CLIENT_LEVEL_LOCAL:
        reply = _called(user, message, context)
        name, model = _model(reply, base)
        _leave(reply, name, _noised(model, base, policy, generator), 1, attested(policy, None))
        return reply
    with session(DpSgd.of(policy, generator)) as private:
        reply = _called(user, message, context)
    if not private.taken:
        raise NotPrivateError(
            "the app took no private step: under RecordLevel gradients are shieldwall.runtime.privacy.dp_sgd's"
        )
    values = attested(policy, private)
    if reason := shortfall(values, policy):
        raise NotPrivateError(f"the app trained by other parameters than the policy's: {reason}")
    name, model = _model(reply, base)
    _leave(reply, name, model, claimed_examples(reply.content), values)
    return reply


def _called(user: App, message: Message, context: Context) -> Message:
    """The app's reply; what it raises is told by its kind alone, and whole in this pod's log."""
    try:
        reply = user(message, context)
    except DpSgdError:
        raise
    except Exception as error:  # noqa: BLE001  # the user's code may raise anything
        _LOG.exception("the app failed")
        raise NotPrivateError(f"the app raised {type(error).__name__}; this client's log says more") from None
    if reply.has_error():
        _LOG.error("the app answered with error %s: %s", reply.error.code, reply.error.reason)
        raise NotPrivateError(f"the app answered with error {reply.error.code}; this client's log says more")
    return reply


def _model(reply: Message, base: Model) -> tuple[str, Model]:
    """The reply's arrays, with counters as in ``base``; raises NotPrivateError for what is no update of ``base``.

    An update that is not finite becomes none: to tell of it would tell of the data.
    """
    name, record = only_arrays(reply.content)
    arrays = {key: array.numpy() for key, array in record.items()}
    try:
        if Schema.of(arrays) != base.schema:
            raise NotPrivateError("the app answers with other arrays than the model's")
        return name, Model.of({key: base.arrays[key] if key in _counters(base) else arrays[key] for key in arrays})
    except InvalidModelError:
        return name, base


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


def _leave(reply: Message, name: str, model: Model, examples: int, values: dict[str, str | float | int]) -> None:
    """Make the reply's content what may leave, and nothing else."""
    arrays = ArrayRecord(array_dict={key: Array(array) for key, array in model.arrays.items()})
    metrics = MetricRecord({EXAMPLES_KEY: examples})
    reply.content = RecordDict({name: arrays, _METRICS: metrics, PRIVACY_KEY: ConfigRecord({**values})})
