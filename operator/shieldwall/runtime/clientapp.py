"""The ClientApp that runs in a trainer: the user's own, the privacy that the policy asks for, and a seal on its answer.

A FAB of Shieldwall names ``shieldwall.runtime.clientapp:app``. The user's app is called unchanged, with its own mods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flwr.app import ConfigRecord
from flwr.clientapp import ClientApp

from shieldwall.contract.paths import Paths
from shieldwall.runtime.attestation.client import SignerClient
from shieldwall.runtime.flower.messages import (
    ROUND_KEY,
    SEAL_KEY,
    RoundFacts,
    decode_packed,
    manifest_of,
    only_arrays,
)
from shieldwall.runtime.flower.packing import pack, unpack
from shieldwall.runtime.flower.references import load
from shieldwall.runtime.flower.secure_aggregation import require_open
from shieldwall.runtime.model import model_sha256
from shieldwall.runtime.privacy.client import answer
from shieldwall.runtime.privacy.mechanism import os_generator

if TYPE_CHECKING:
    from collections.abc import Callable

    from flwr.app import Context, Message

    from shieldwall.contract.policy import RuntimePolicy
    from shieldwall.contract.privacy import PrivacyPolicy
    from shieldwall.runtime.attestation.manifest import Manifest
    from shieldwall.runtime.attestation.sign import Attestation


class UnsolicitedMessageError(ValueError):
    """A message does not come from a round of Shieldwall, or not with the model that it names."""


class SealingClientApp(ClientApp):
    """Calls ``user`` and has its reply signed by the pod's signer."""

    user: Callable[[Message, Context], Message]
    """The user's ClientApp; set once, before the first task (see the trainer)."""
    privacy: PrivacyPolicy | None = None
    """Set with it, from the pod's own policy: no message changes it."""

    def adopt(self, policy: RuntimePolicy) -> None:
        """Load the user's app by the pod's own policy; raises ReferenceNotFoundError or HiddenUpdatesError."""
        user = load("clientApp", policy.app.client_app)
        require_open(user, policy.aggregation.rule)
        self.user, self.privacy = user, policy.privacy

    def __call__(self, message: Message, context: Context) -> Message:
        """Answer one message.

        Raises UnsolicitedMessageError, NotPrivateError, DpSgdError, SignerError or what the user's app raises.
        """
        facts = take_facts(message)
        check_model(message, facts)
        reply = answer(self.user, message, context, self.privacy, os_generator())
        if reply.has_content():
            self.seal(reply, facts, context.node_id)
        return reply

    def seal(self, reply: Message, facts: RoundFacts, node_id: int) -> None:
        """Pack the reply's arrays and add the signature over everything that it carries."""
        seal(reply, facts, node_id, SignerClient(Paths.of_this_container().signer_socket).sign)


def seal(reply: Message, facts: RoundFacts, node_id: int, sign: Callable[[Manifest], Attestation]) -> None:
    """Pack the reply's arrays and add what ``sign`` says of everything that it carries; raises what ``sign`` does."""
    pack_arrays(reply)
    manifest = manifest_of(reply.content, facts, node_id, reply.metadata.reply_to_message_id)
    reply.content[SEAL_KEY] = ConfigRecord(dict(sign(manifest).to_record()))


def pack_arrays(reply: Message) -> None:
    """Put the reply's arrays into one, and take away a seal that the user's app may have made."""
    reply.content.pop(SEAL_KEY, None)
    for name, arrays in reply.content.array_records.items():
        reply.content[name] = pack(arrays)


def take_facts(message: Message) -> RoundFacts:
    """Take the round's facts out of ``message``; raises UnsolicitedMessageError."""
    record = message.content.pop(ROUND_KEY, None)
    if not isinstance(record, ConfigRecord):
        raise UnsolicitedMessageError("the message carries no round of Shieldwall")
    try:
        return RoundFacts.from_record(record)
    except (KeyError, ValueError) as error:
        raise UnsolicitedMessageError(f"the message's round cannot be read: {error}") from error


def check_model(message: Message, facts: RoundFacts) -> None:
    """Unpack the arrays of ``message`` and check that they are the model that the round names.

    Raises UnsolicitedMessageError or MalformedArraysError.
    """
    name, packed = only_arrays(message.content)
    if model_sha256(decode_packed(packed)) != facts.base_sha256:
        raise UnsolicitedMessageError("the model in the message is not the one that the round names")
    message.content[name] = unpack(packed)


app = SealingClientApp()
