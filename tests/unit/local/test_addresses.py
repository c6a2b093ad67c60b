import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shieldwall.local.cluster import addresses
from shieldwall.local.cluster.addresses import BLOCKS, Block, NoFreeBlockError, reserve

BLOCK = st.integers(0, BLOCKS - 1)
POD = st.integers(0, 1019)


@given(one=st.tuples(BLOCK, POD), other=st.tuples(BLOCK, POD))
def test_every_pod_of_every_block_has_a_loopback_address_of_its_own(one, other):
    first, second = (ipaddress.IPv4Address(Block(block).address(pod)) for block, pod in (one, other))
    assert first in ipaddress.IPv4Network("127.64.0.0/10")
    assert (first == second) == (one == other)


def test_runs_side_by_side_never_share_a_block():
    with reserve(7) as one, reserve(7) as other, reserve(BLOCKS - 1) as last, reserve(BLOCKS - 1) as wrapped:
        assert [one.index, other.index, last.index, wrapped.index] == [7, 8, BLOCKS - 1, 0]
    with reserve(7) as again:
        assert again.index == 7


def test_a_machine_without_a_free_block_is_told(monkeypatch):
    monkeypatch.setattr(addresses, "BLOCKS", 1)
    with reserve(0), pytest.raises(NoFreeBlockError, match="Address already in use"), reserve(0):
        pass


def test_there_are_no_more_addresses_than_there_are():
    with pytest.raises(IndexError):
        Block(0).address(1020)
