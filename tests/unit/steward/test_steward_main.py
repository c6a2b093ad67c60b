"""The steward's socket, and that its program holds together."""

from __future__ import annotations

import socket
import stat

from shieldwall.runtime.steward.main import listen


def test_the_socket_is_for_the_owner_and_the_group_only(tmp_path):
    path = tmp_path / "sockets" / "steward.sock"
    with listen(path) as one:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert one.family == socket.AF_UNIX


def test_a_socket_left_behind_is_replaced(tmp_path):
    path = tmp_path / "steward.sock"
    listen(path).close()
    with listen(path) as again:
        again.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
