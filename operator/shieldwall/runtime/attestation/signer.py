"""The signer's judgement: what it signs, and what it refuses whoever asks.

Who asks is the trainer, in which the user's code runs. It may lie about its own reply, which no signature can help;
it must not get a signature for another round, nor two for one.
"""

from __future__ import annotations

import hashlib
import threading
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Final

from shieldwall.runtime.attestation.leaf_files import NoLeafError
from shieldwall.runtime.attestation.manifest import Manifest, encode
from shieldwall.runtime.attestation.sign import Attestation, sign

if TYPE_CHECKING:
    from collections.abc import Callable

    from shieldwall.contract.identity import Identity
    from shieldwall.contract.records import OpenRound
    from shieldwall.runtime.attestation.leaf_files import Leaf

_REMEMBERED: Final = 4096


class Refusal(StrEnum):
    """Why the signer did not sign; one stable word each."""

    MALFORMED = "malformed"
    ROUND_NOT_OPEN = "round-not-open"
    ALREADY_SIGNED = "already-signed"
    NO_LEAF = "no-leaf"
    STEWARD_UNREACHABLE = "steward-unreachable"
    STEWARD_REFUSED = "steward-refused"


class SignerError(Exception):
    """The signer did not sign."""

    refusal: ClassVar[Refusal]


class RoundNotOpenError(SignerError):
    """The manifest is not for the round that is open for this client; ``fields`` names what differs."""

    refusal = Refusal.ROUND_NOT_OPEN

    def __init__(self, *fields: str) -> None:
        super().__init__(f"not the open round: {', '.join(fields)} differs" if fields else "no round is open")
        self.fields = fields


class AlreadySignedError(SignerError):
    """Another manifest was signed for this attempt."""

    refusal = Refusal.ALREADY_SIGNED

    def __init__(self, round_: int, attempt: int) -> None:
        super().__init__(f"another reply was signed for round {round_}, attempt {attempt}")


class LeafMissingError(SignerError):
    """There is no leaf to sign with, yet."""

    refusal = Refusal.NO_LEAF


class StewardUnreachableError(SignerError):
    """The steward could not be asked which round is open; it may be later."""

    refusal = Refusal.STEWARD_UNREACHABLE


class StewardRefusedError(SignerError):
    """The gate does not let this client through."""

    refusal = Refusal.STEWARD_REFUSED


class Signer:
    """Signs at most one manifest for each attempt at a round, while the steward says that it is open."""

    def __init__(
        self,
        identity: Identity,
        federation_uid: str,
        load_leaf: Callable[[], Leaf],
        fetch_open_round: Callable[[], OpenRound | None],
    ) -> None:
        self._identity = identity
        self._federation_uid = federation_uid
        self._load_leaf = load_leaf
        self._fetch_open_round = fetch_open_round
        self._signed: dict[tuple[int, int, int], bytes] = {}
        self._lock = threading.Lock()

    def leaf(self) -> Leaf:
        """The leaf that would sign now; raises LeafMissingError."""
        try:
            return self._load_leaf()
        except NoLeafError as error:
            raise LeafMissingError(str(error)) from error

    def sign(self, manifest: Manifest) -> Attestation:
        """Attest ``manifest``; the very same one again is answered again. Raises SignerError."""
        with self._lock:
            self._require_open(manifest)
            leaf = self.leaf()
            self._remember(manifest)
            return sign(manifest, leaf.key, leaf.chain)

    def _require_open(self, manifest: Manifest) -> None:
        open_round = self._fetch_open_round()
        if open_round is None:
            raise RoundNotOpenError
        agreed = {
            "federation": manifest.federation_uid == self._federation_uid,
            "run": str(manifest.run_id) == open_round.run_id,
            "round": manifest.round == open_round.round,
            "attempt": manifest.attempt == open_round.attempt,
            "nonce": manifest.nonce.hex() == open_round.nonce,
            "base model": manifest.base_sha256.hex() == open_round.base_sha256,
            "clients asked": self._identity.client in open_round.clients,
        }
        if not all(agreed.values()):
            raise RoundNotOpenError(*(field for field, agrees in agreed.items() if not agrees))

    def _remember(self, manifest: Manifest) -> None:
        attempt = (manifest.run_id, manifest.round, manifest.attempt)
        digest = hashlib.sha256(encode(manifest)).digest()
        if self._signed.setdefault(attempt, digest) != digest:
            raise AlreadySignedError(manifest.round, manifest.attempt)
        while len(self._signed) > _REMEMBERED:  # the oldest: its round closed thousands of rounds ago
            del self._signed[next(iter(self._signed))]
