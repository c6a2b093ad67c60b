"""Who holds the node's namespaces is recorded before it holds anything."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from cluster import namespaces
from cluster.layout import Layout
from cluster.processes import Records
from cluster.processes import start as spawn

ONCE_RECORDED = 'read -r _ && test -e "$0/holder.json" && touch "$1/held" && exec sleep 100'


@pytest.fixture
def layout(tmp_path):
    made = Layout(tmp_path / "cluster")
    for directory in (made.logs, made.records):
        directory.mkdir(parents=True)
    return made


@pytest.fixture
def started(layout, monkeypatch):
    """Stands in for namespaces: a parent with a child that says whether it was recorded when it was told to go on."""
    pids = []

    def start(command, log, environment, given):
        words = ["sh", "-c", ONCE_RECORDED, str(layout.records), str(layout.state)]
        pids.append(
            spawn([sys.executable, "-c", f"import subprocess; subprocess.run({words})"], log, environment, given)
        )
        return pids[-1]

    monkeypatch.setattr(namespaces, "start", start)
    return pids


def test_it_goes_on_once_it_is_recorded(layout, started):
    holder = namespaces.hold(layout)
    assert Records(layout.records).load(namespaces.HOLDER) == holder
    assert holder.alive
    holder.kill()
    os.waitpid(started[0], 0)


def test_it_ends_when_it_cannot_be_recorded(layout, started, monkeypatch):
    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(Records, "save", full)
    with pytest.raises(OSError, match="no space"):
        namespaces.hold(layout)
    os.waitpid(started[0], 0)
    assert not (layout.state / "held").exists()


def test_it_does_nothing_when_who_started_it_has_gone(tmp_path):
    words = ["sh", "-c", namespaces._PREPARE, "holder", tmp_path, "name", "/never"]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode
    assert list(tmp_path.iterdir()) == []
