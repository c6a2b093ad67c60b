"""A turned SuperNode: it answers in another node's name (flower.md: stock Flower would average it)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flwr.supernode import fleet_http_connection

from shieldwall.runtime.flower import supernode

if TYPE_CHECKING:
    from flwr.app import Message
    from flwr.proto.message_pb2 import Message as MessageProto

_ANOTHER: Final = 1
"""Xored into the node id: some other node's."""
_SERIALISE: Final = "message_to_proto"
"""The name by which the connection calls what makes a message ready to send."""


def run_supernode() -> int:
    """The role ``supernode``, with every message it pushes in another node's name."""
    honest = getattr(fleet_http_connection, _SERIALISE)

    def in_another_name(message: Message) -> MessageProto:
        proto: MessageProto = honest(message)
        proto.metadata.src_node_id ^= _ANOTHER
        return proto

    setattr(fleet_http_connection, _SERIALISE, in_another_name)
    return supernode.main([])
