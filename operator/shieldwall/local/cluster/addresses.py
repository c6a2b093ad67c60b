"""An address of its own for every pod, out of 127.0.0.0/8: pods use the same ports side by side.

A run takes one block of 1,020 addresses and holds it by a bound socket, so that two runs never share one;
the kernel gives the block back however the run ends.
"""

from __future__ import annotations

import ipaddress
import socket
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCKS: Final = 4096
"""Blocks of 127.64.0.0/10."""
_FIRST: Final = int(ipaddress.IPv4Address("127.64.0.0"))
_SIZE: Final = 1024
_LOCK_PORT: Final = 47009


class NoFreeBlockError(RuntimeError):
    """Every block is taken, or 127.0.0.0/8 cannot be bound here (as on macOS); ``reason`` is the system's word."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"No free block of loopback addresses below 127.64.0.0/10: {reason}.")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Block:
    """The addresses of one run."""

    index: int

    def address(self, pod: int) -> str:
        """The address of the ``pod``-th pod, from 0; raises IndexError beyond 1,020."""
        if not 0 <= pod < _SIZE - 4:
            raise IndexError(pod)
        return str(ipaddress.IPv4Address(_FIRST + self.index * _SIZE + 2 + pod))

    @property
    def lock(self) -> tuple[str, int]:
        """What a run binds to as long as the block is its own."""
        return str(ipaddress.IPv4Address(_FIRST + self.index * _SIZE + 1)), _LOCK_PORT


def _bind(block: Block) -> socket.socket | OSError:
    holder = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        holder.bind(block.lock)
    except OSError as error:
        holder.close()
        return error
    return holder


@contextmanager
def reserve(first: int) -> Iterator[Block]:
    """Hold the first free block, counting from ``first`` (any number); raises NoFreeBlockError."""
    reason = ""
    for step in range(BLOCKS):
        block = Block((first + step) % BLOCKS)
        holder = _bind(block)
        if isinstance(holder, OSError):
            reason = holder.strerror or str(holder)
            continue
        with holder:
            yield block
        return
    raise NoFreeBlockError(reason)
