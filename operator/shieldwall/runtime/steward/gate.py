"""The gate: may this request pass? Asked by the proxy about every request of a client, on every connection.

TLS has checked the chain, the client's role and the CRL when the connection was opened. The gate checks what TLS
cannot, on each request: one identity, not expired since, not denied, the node key that is registered for it, and
replies in the sender's own name only. That last one is Flower's gap: it checks the request's node, not the source
of the messages inside. For all other calls Flower itself ties the node id to the node key (``node_auth.py``), and
the gate ties the node key to the certificate.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from flwr.proto.fleet_pb2 import PushMessagesRequest
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # it brings no types

from shieldwall.contract.routes import FLEET_CALLS, FLEET_PUSH_MESSAGES, NODE_KEY_HEADER, SIGNER_NODE, SIGNER_PREFIX
from shieldwall.runtime.steward.certificates import (
    CertificateFacts,
    NoCertificateError,
    UnreadableCertificateError,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shieldwall.contract.records import DenyList
    from shieldwall.runtime.steward.registry import Member, Registry


class Reason(StrEnum):
    """Why a request did not pass. One word each, stable: they are metric labels."""

    NO_CERTIFICATE = "no-certificate"
    MALFORMED_CERTIFICATE = "malformed-certificate"
    NOT_ONE_IDENTITY = "not-one-identity"
    """The certificate carries no URI name, or several."""
    UNKNOWN_CLIENT = "unknown-client"
    EXPIRED = "expired"
    """Since the connection was opened."""
    DENIED_CLIENT = "denied-client"
    DENIED_SERIAL = "denied-serial"
    DENIED_NODE_KEY = "denied-node-key"
    UNKNOWN_PATH = "unknown-path"
    NO_NODE_KEY = "no-node-key"
    WRONG_NODE_KEY = "wrong-node-key"
    """Another key than the one registered for the certificate's identity."""
    MALFORMED_PUSH = "malformed-push"
    FOREIGN_SOURCE = "foreign-source"
    """A reply in the name of another node."""
    NOT_READY = "not-ready"
    """The node is not registered with the SuperLink yet: try again."""
    INTERNAL_ERROR = "internal-error"


@dataclass(frozen=True, slots=True)
class Allow:
    """Pass, as this client, with this certificate."""

    member: Member
    certificate: CertificateFacts


@dataclass(frozen=True, slots=True)
class Deny:
    """Do not pass. ``identity`` is None unless it belongs to a client of the policy."""

    reason: Reason
    identity: str | None = None

    @property
    def retry(self) -> bool:
        """Whether the same request may pass later (503); otherwise a SuperNode should give up (401).

        A client whose leaf has ended gets a new one without asking: on its next connection it may pass.
        """
        return self.reason in {Reason.NOT_READY, Reason.INTERNAL_ERROR, Reason.EXPIRED}


Decision = Allow | Deny


class _Denied(Exception):  # noqa: N818  # not an error: the way out of the checks below, caught in decide
    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


def decide(  # noqa: PLR0913, PLR0917  # a pure function of all that a decision depends on
    headers: Sequence[tuple[bytes, bytes]],
    path: str,
    body: bytes,
    registry: Registry,
    deny: DenyList,
    now: float,
) -> Decision:
    """Decide about one request.

    Args:
        headers: raw, names in lower case, as ASGI gives them.
        path: raw and normalised by the proxy, without query.
        body: the whole body for push-messages, empty for all other calls.
        registry: the policy's clients.
        deny: who may not pass.
        now: Unix seconds.
    """
    try:
        certificate = _certificate(headers)
        member = _member(certificate, registry)
    except _Denied as denied:
        return Deny(denied.reason)
    try:
        _require_valid(certificate, now)
        _require_not_denied(member, certificate, deny)
        _require_path(path)
        if path == SIGNER_NODE or not path.startswith(SIGNER_PREFIX):
            _require_node_key(headers, member)
            node_id = _require_registered(member)
            if path == FLEET_PUSH_MESSAGES:
                _require_own_name(body, node_id)
    except _Denied as denied:
        return Deny(denied.reason, member.identity)
    return Allow(member, certificate)


def _certificate(headers: Sequence[tuple[bytes, bytes]]) -> CertificateFacts:
    try:
        return shown(headers)
    except NoCertificateError as error:
        raise _Denied(Reason.NO_CERTIFICATE) from error
    except UnreadableCertificateError as error:
        raise _Denied(Reason.MALFORMED_CERTIFICATE) from error


def _member(certificate: CertificateFacts, registry: Registry) -> Member:
    if len(certificate.uris) != 1:
        raise _Denied(Reason.NOT_ONE_IDENTITY)
    member = registry.members.get(certificate.uris[0])
    if member is None:
        raise _Denied(Reason.UNKNOWN_CLIENT)
    return member


def _require_valid(certificate: CertificateFacts, now: float) -> None:
    if now >= certificate.not_after:
        raise _Denied(Reason.EXPIRED)


def _require_not_denied(member: Member, certificate: CertificateFacts, deny: DenyList) -> None:
    if member.identity in deny.clients:
        raise _Denied(Reason.DENIED_CLIENT)
    if certificate.serial in deny.serials:
        raise _Denied(Reason.DENIED_SERIAL)
    if member.key_sha256 in deny.node_keys:
        raise _Denied(Reason.DENIED_NODE_KEY)


def _require_path(path: str) -> None:
    if path not in FLEET_CALLS and not path.startswith(SIGNER_PREFIX):
        raise _Denied(Reason.UNKNOWN_PATH)


def _require_node_key(headers: Sequence[tuple[bytes, bytes]], member: Member) -> None:
    keys = _all(headers, NODE_KEY_HEADER)
    if len(keys) != 1:
        raise _Denied(Reason.NO_NODE_KEY)
    try:
        key = base64.b64decode(keys[0], validate=True)
    except binascii.Error as error:
        raise _Denied(Reason.NO_NODE_KEY) from error
    if key != member.public_key:
        raise _Denied(Reason.WRONG_NODE_KEY)


def _require_registered(member: Member) -> int:
    if member.node_id is None:
        raise _Denied(Reason.NOT_READY)
    return member.node_id


def _require_own_name(body: bytes, node_id: int) -> None:
    try:
        push = PushMessagesRequest.FromString(body)
    except DecodeError as error:
        raise _Denied(Reason.MALFORMED_PUSH) from error
    if not push.messages_list:
        raise _Denied(Reason.MALFORMED_PUSH)
    sources = {message.metadata.src_node_id for message in push.messages_list}
    if sources != {node_id} or push.node.node_id != node_id:
        raise _Denied(Reason.FOREIGN_SOURCE)


def _all(headers: Sequence[tuple[bytes, bytes]], name: str) -> list[bytes]:
    wanted = name.encode()
    return [value for key, value in headers if key == wanted]
