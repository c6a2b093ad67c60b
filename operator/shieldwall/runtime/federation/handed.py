"""What a wrapped strategy gets to see of clients' replies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flwr.app import Array, ArrayRecord, Message, RecordDict
from flwr.app.error import Error

from shieldwall.runtime.federation.forms import form_of
from shieldwall.runtime.federation.judge import Refused
from shieldwall.runtime.flower.messages import EXAMPLES_KEY, SEAL_KEY

if TYPE_CHECKING:
    from shieldwall.runtime.federation.ballot import Reply
    from shieldwall.runtime.federation.conclusion import Conclusion
    from shieldwall.runtime.federation.forms import Form
    from shieldwall.runtime.model import Model

REFUSED_CODE: Final = 100
"""Error code of a refused reply; Flower's own codes are below."""


def handed(reply: Reply, sent: Message, conclusion: Conclusion | None, form: Form | None) -> Message:
    """What the strategy gets to see of one client's reply."""
    verdict = reply.verdict
    if isinstance(verdict, Refused):
        return _error(sent, verdict.detail)
    if conclusion is not None and conclusion.model is None:
        return _error(sent, conclusion.reason)
    if conclusion is not None and (reason := conclusion.taken_away(reply.asked.client)):
        return _error(sent, reason)
    if form_of(verdict.message.content) != form:
        return _error(sent, "the reply's records are not those of the other replies")
    return _equal(verdict.message, None if conclusion is None else conclusion.model)


def keep_private(content: RecordDict) -> None:
    """Take away what clients say besides their updates: no ε covers it."""
    for name in tuple(content.config_records):
        del content[name]
    for metrics in content.metric_records.values():
        for key in metrics.keys() - {EXAMPLES_KEY}:
            del metrics[key]


def _error(sent: Message, reason: str) -> Message:
    return Message(Error(code=REFUSED_CODE, reason=f"shieldwall: {reason}"), reply_to=sent)


def _equal(message: Message, model: Model | None) -> Message:
    """The reply with the weight of every other, and the aggregate in the place of its update if there is one.

    What an evaluation sends as arrays is nobody's update and no rule has seen it, so it is left out.
    """
    content = RecordDict({key: record for key, record in message.content.items() if key != SEAL_KEY})
    for name in tuple(content.array_records):
        if model is None:
            del content[name]
        else:
            content[name] = ArrayRecord(array_dict={key: Array(array) for key, array in model.arrays.items()})
    for metrics in content.metric_records.values():
        if EXAMPLES_KEY in metrics:
            metrics[EXAMPLES_KEY] = 1
    message.content = content
    return message
