"""A proxy that was killed comes back with what its sockets' directory still holds."""

from __future__ import annotations

import signal

import pytest

from shieldwall.contract import ports
from shieldwall.runtime.proxy.settings import Side

pytestmark = pytest.mark.slow


def test_a_killed_proxy_starts_again(make, federations, tmp_path):
    lab = make.prepare(tmp_path, make.address(21))
    berlin = make.leaf(lab.issuer, federations[0].client("berlin").uri)
    with make.running_envoy(Side.SERVER, lab.settings, lab.log) as first:
        first.send_signal(signal.SIGKILL)
        first.wait(20)
        assert lab.settings.paths.admin_socket.exists()
        with make.running_envoy(Side.SERVER, lab.settings, tmp_path / "second.log"):
            assert lab.ask(ports.FLEET, berlin, "/v1/fleet/pull-messages").status == 503  # there is no gate here
