import hashlib

import pytest
from flwr.supernode.runtime import run_clientapp

from shieldwall.runtime.flower.pin import UnknownAppError, pin_app


@pytest.fixture
def unpacked(monkeypatch):
    done = []
    monkeypatch.setattr(run_clientapp, "install_from_fab", lambda content, **options: done.append((content, options)))
    return done


def test_the_policys_app_is_unpacked(unpacked):
    pin_app(hashlib.sha256(b"ours").hexdigest())
    run_clientapp.install_from_fab(b"ours", skip_prompt=True)
    assert unpacked == [(b"ours", {"skip_prompt": True})]


def test_another_app_is_refused_before_it_is_unpacked(unpacked):
    pin_app(hashlib.sha256(b"ours").hexdigest())
    with pytest.raises(UnknownAppError):
        run_clientapp.install_from_fab(b"theirs", skip_prompt=True)
    assert unpacked == []
