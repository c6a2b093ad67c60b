"""Real packets need root, and nft; root never skips."""

from __future__ import annotations

import os

import pytest
from integration.e2e_policy.network import Network
from policy.node import Node


@pytest.fixture(scope="module")
def network():
    if os.geteuid():
        pytest.skip("network namespaces need root")
    with Network() as made:
        yield made


@pytest.fixture
def node(network):
    found = Node(network.node)
    yield found
    found.clear()
