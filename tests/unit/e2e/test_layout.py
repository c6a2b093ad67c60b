"""Names and addresses: two clusters on one machine do not meet."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

from cluster.layout import Layout
from hypothesis import given
from hypothesis import strategies as st

DIRECTORIES = st.text("abc/", min_size=1).map(lambda text: Path("/var/lib") / text.strip("/"))


@given(DIRECTORIES, DIRECTORIES)
def test_two_directories_share_nothing(one, other):
    first, second = Layout(one), Layout(other)
    assert (first.name == second.name) == (first.link == second.link) == (one == other)


@given(DIRECTORIES)
def test_the_kernel_takes_the_link_s_name(directory):
    assert len(Layout(directory).link) <= 15


@given(DIRECTORIES)
def test_host_and_node_are_the_two_hosts_of_a_network_for_tests(directory):
    layout = Layout(directory)
    assert layout.network.subnet_of(IPv4Network("198.18.0.0/15"))
    assert list(layout.network.hosts()) == [layout.host, layout.node]


def test_addresses_are_spread():
    networks = {Layout(Path(f"/var/lib/{number}")).network for number in range(100)}
    assert len(networks) > 95
