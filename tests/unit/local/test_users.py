import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shieldwall.local.cluster import users
from shieldwall.local.cluster.users import OneUser, UserEach, choose, id_base, id_capacity


@given(one=st.integers(0, 4095), other=st.integers(0, 4095))
def test_runs_side_by_side_have_ids_of_their_own(one, other):
    first, second = id_base(one, 2**32), id_base(other, 2**32)
    assert abs(first - second) >= 65536 or one == other
    assert max(first, second) + 65536 < 2**31


def test_a_small_id_space_is_respected():
    assert id_capacity("         0     100000      65536\n") == 65536
    assert id_capacity("0 0 1\n1 100000 65536\n") == 65537
    assert id_base(4000, 65536) + 6000 < 65536


def test_without_root_users_are_not_switched_and_it_is_said(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    chosen = choose(0, (), (), {})
    assert isinstance(chosen, OneUser)
    assert "Not started as root" in chosen.reason


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can switch users")
def test_an_unreadable_app_keeps_users_from_being_switched(tmp_path):
    closed = tmp_path / "app"
    closed.mkdir(mode=0o700)
    chosen = choose(0, (closed,), (), {})
    assert isinstance(chosen, OneUser)
    assert str(closed) in chosen.reason


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can switch users")
def test_readable_programs_let_users_be_switched():
    if users.trouble_for_others(id_base(0, 2**32), (), (), {}) is not None:
        pytest.skip(f"{sys.executable} is not readable for others here")
    assert isinstance(choose(0, (Path("/"),), (), {}), UserEach)
