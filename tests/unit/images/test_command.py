"""``python -m images``: who is told what, and what an interruption leaves."""

from __future__ import annotations

import os
import signal

import pytest
from images import __main__
from images.buildah import Buildah


@pytest.fixture
def cleared(monkeypatch):
    times = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(__main__, "which", lambda name: name)
    monkeypatch.setattr(Buildah, "clear", lambda self: times.append(self.storage))
    before = signal.getsignal(signal.SIGTERM)
    yield times
    signal.signal(signal.SIGTERM, before)


def call(tmp_path, word="build"):
    return __main__.main([word, "--output", str(tmp_path / "images")])


@pytest.mark.parametrize("word", ["build", "check"])
def test_who_is_not_root_is_told_and_nothing_is_made(tmp_path, cleared, monkeypatch, capsys, word):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert call(tmp_path, word) == os.EX_UNAVAILABLE
    assert capsys.readouterr().err.endswith("run this as root\n")
    assert list(tmp_path.iterdir()) == []


def test_programs_that_are_missing_are_named_with_what_installs_them(tmp_path, cleared, monkeypatch, capsys):
    monkeypatch.setattr(__main__, "which", lambda name: None if name == "buildah" else name)
    assert call(tmp_path) == os.EX_UNAVAILABLE
    assert capsys.readouterr().err == ("images: there is no buildah here; .ci/e2e-packages installs what is missing\n")


def test_a_folder_that_cannot_be_made_is_told_in_a_sentence(tmp_path, cleared, capsys):
    (tmp_path / "images").write_text("in the way")
    assert call(tmp_path) == 1
    assert "Not a directory" in capsys.readouterr().err


def test_what_a_killed_run_left_is_cleared_before_anything_is_made(tmp_path, cleared, monkeypatch):
    monkeypatch.setattr(__main__, "_build", lambda *_: len(cleared))
    assert call(tmp_path) == 1
    assert cleared == [tmp_path / "images" / "storage"]


def test_a_termination_is_told_and_what_it_left_is_cleared(tmp_path, cleared, monkeypatch, capsys):
    monkeypatch.setattr(__main__, "_build", lambda *_: signal.raise_signal(signal.SIGTERM))
    assert call(tmp_path) == 130
    assert len(cleared) == 2
    assert capsys.readouterr().err == "images: interrupted\n"
