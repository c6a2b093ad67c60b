"""Whether one reply may enter a round, judged alone: identity and signature first, content after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flwr.app import ArrayRecord, ConfigRecord

from shieldwall.contract.privacy import PRIVACY_KEY, PrivacyMode
from shieldwall.contract.records import Fate
from shieldwall.pki.verify import VerificationError
from shieldwall.runtime.admission import Refusal, Update, check_update
from shieldwall.runtime.attestation.manifest import ManifestError
from shieldwall.runtime.attestation.sign import (
    AttestationError,
    StaleError,
    TamperedError,
    WrongSignerError,
    check,
)
from shieldwall.runtime.flower.messages import (
    RoundFacts,
    claimed_examples,
    decode_packed,
    manifest_of,
    only_arrays,
    sealed,
)
from shieldwall.runtime.flower.packing import MalformedArraysError
from shieldwall.runtime.privacy.attestation import shortfall
from shieldwall.runtime.privacy.dp_sgd import SENSITIVITY
from shieldwall.runtime.privacy.mechanism import noised_norm

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from cryptography import x509
    from flwr.app import Message

    from shieldwall.contract.policy import RuntimePolicy
    from shieldwall.runtime.flower.inbox import Arrival
    from shieldwall.runtime.model import Model


_LONGEST_DETAIL: Final = 300


@dataclass(frozen=True, slots=True)
class Asked:
    """Who was asked by a message."""

    node_id: int
    client: str


@dataclass(frozen=True, slots=True)
class Genuine:
    """A reply that is what its client sent for this round."""

    message: Message
    serial: str | None
    """Of the certificate that signed, lower-case hex; None where signatures are not required."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A reply that takes part in the aggregate."""

    message: Message
    """Without the values of its arrays."""
    serial: str | None
    update: Update
    num_examples: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A reply that does not, and why."""

    fate: Fate
    detail: str
    """One sentence. Parts of it may be a client's own words, so it is made fit for logs and terminals here."""

    def __post_init__(self) -> None:
        """Keep ``detail`` short and without control characters, which would forge lines of a log."""
        shown = "".join(
            character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in self.detail
        )
        object.__setattr__(self, "detail", shown[:_LONGEST_DETAIL])


@dataclass(frozen=True, slots=True)
class Court:
    """What replies of one attempt at a round are judged by."""

    policy: RuntimePolicy
    facts: RoundFacts
    issuers: Sequence[x509.Certificate]
    denied: frozenset[str]

    def identify(self, arrival: Arrival, asked: Asked, now: datetime) -> Genuine | Refused:
        """Check that the reply was made for this round by the client that was asked, and not altered since."""
        if asked.client in self.denied:
            return Refused(Fate.DENIED, "the client is on the deny list")
        if arrival.message is None:
            return Refused(Fate.NO_REPLY if arrival.lost else Fate.MALFORMED, arrival.problem)
        message = arrival.message
        if message.has_error():
            return Refused(Fate.CLIENT_ERROR, f"error {message.error.code}: {message.error.reason}")
        if not self.policy.require_signatures:
            return Genuine(message, None)
        return self._verify(message, asked, now)

    def _verify(self, message: Message, asked: Asked, now: datetime) -> Genuine | Refused:
        if message.metadata.src_node_id != asked.node_id:
            return Refused(Fate.WRONG_SIGNER, "the reply names another node than the one that was asked")
        expected = self.policy.federation.id.client(asked.client)
        try:
            attestation = sealed(message.content)
            if attestation is None:
                return Refused(Fate.UNSIGNED, "the reply carries no signature")
            manifest = manifest_of(message.content, self.facts, asked.node_id, message.metadata.reply_to_message_id)
            certificate = check(attestation, manifest, self.issuers, now, expected)
        except (AttestationError, VerificationError, ManifestError) as error:
            return Refused(_fate(error), str(error))
        return Genuine(message, format(certificate.serial_number, "x"))

    def judge(self, arrival: Arrival, asked: Asked, base: Model | None, now: datetime) -> Admitted | Genuine | Refused:
        """The verdict on one reply; ``base`` is None where replies hold no update.

        Whatever a client sends, and whatever that sets off in the libraries that read it, costs its own reply only.
        """
        try:
            verdict = self.identify(arrival, asked, now)
            if isinstance(verdict, Genuine) and base is not None:
                return self.admit(verdict, base)
        except Exception as error:  # noqa: BLE001  # the content is hostile, and nobody can list all it may raise
            return Refused(Fate.MALFORMED, f"the reply cannot be read: {type(error).__name__}: {error}")
        return verdict

    def admit(self, reply: Genuine, base: Model) -> Admitted | Refused:
        """Check that the reply holds an update of ``base`` that may be aggregated."""
        try:
            name, record = only_arrays(reply.message.content)
            arrays = decode_packed(record)
        except MalformedArraysError as error:
            return Refused(Fate.MALFORMED, str(error))
        if self.policy.privacy is not None and (short := shortfall(_attested(reply.message), self.policy.privacy)):
            return Refused(Fate.NOT_PRIVATE, short)
        update = check_update(arrays, base, self._largest_norm(base))
        if isinstance(update, Refusal):
            return Refused(update.fate, update.detail)
        examples = claimed_examples(reply.message.content)
        reply.message.content[name] = ArrayRecord()  # the update holds all that is needed of it: half the memory
        return Admitted(reply.message, reply.serial, update, examples)

    def _largest_norm(self, base: Model) -> float:
        """``reject_norm``; where clients must add noise, what that may come to if it is more."""
        bound, privacy = self.policy.aggregation.reject_norm, self.policy.privacy
        if privacy is None or privacy.mode is not PrivacyMode.CLIENT_LEVEL_LOCAL:
            return bound
        deviation = privacy.noise_multiplier * SENSITIVITY * privacy.clip
        return max(bound, noised_norm(privacy.clip, deviation, base.schema.size))


def _attested(message: Message) -> Mapping[str, object] | None:
    record = message.content.get(PRIVACY_KEY)
    return record if isinstance(record, ConfigRecord) else None


def _fate(error: AttestationError | VerificationError | ManifestError) -> Fate:
    match error:
        case WrongSignerError():
            return Fate.WRONG_SIGNER
        case StaleError():
            return Fate.STALE
        case TamperedError():
            return Fate.TAMPERED
        case ManifestError():
            return Fate.MALFORMED
        case _:
            return Fate.BAD_SIGNATURE
