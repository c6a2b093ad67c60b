"""Clusters of tests: ended by who made them, or else by who comes later."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from cluster import __main__, strays
from cluster.layout import Layout
from harness.process import until

HOLDS_A_ROOM = """
import sys, time
from pathlib import Path
from cluster import strays
with strays.room(Path(sys.argv[1])) as room:
    (room / "node").mkdir()
    print(flush=True)
    time.sleep(100)
"""


@pytest.fixture
def ended(monkeypatch):
    """Names of the clusters that were ended, each in its room."""
    names = []

    class Ending:
        def __init__(self, directory):
            self.layout = Layout(directory)

        def down(self):
            names.append(self.layout.directory.name)

    monkeypatch.setattr(strays, "Cluster", Ending)
    return names


@pytest.fixture
def other(tmp_path):
    """Another process, with a cluster in its room."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", HOLDS_A_ROOM, tmp_path]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.kill()


def rooms(directory):
    return [each for each in (directory / strays.TESTS).iterdir() if each.is_dir()]


def kill(process):
    process.send_signal(signal.SIGKILL)
    until(lambda: process.poll() is not None, 10)


def test_who_made_a_cluster_ends_it_and_leaves_its_logs(tmp_path, ended):
    with strays.room(tmp_path) as room:
        (room / "node" / "logs").mkdir(parents=True)
        assert ended == []
    assert ended == ["node"]
    assert (room / "node" / "logs").exists()


def test_a_cluster_is_ended_though_its_tests_failed(tmp_path, ended):
    def fail(room):
        (room / "node").mkdir()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), strays.room(tmp_path) as room:
        fail(room)
    assert ended == ["node"]


def test_nobody_ends_the_clusters_of_a_process_that_lives(tmp_path, ended, other):
    strays.end(tmp_path)
    with strays.room(tmp_path):
        assert len(rooms(tmp_path)) == 2
    assert ended == []


def test_the_next_room_ends_and_removes_what_a_killed_process_left(tmp_path, ended, other):
    kill(other)
    with strays.room(tmp_path) as room:
        assert ended == ["node"]
        assert rooms(tmp_path) == [room]


def test_down_ends_what_a_killed_process_left_and_keeps_its_logs(tmp_path, ended, other, monkeypatch):
    monkeypatch.setattr(__main__, "Cluster", strays.Cluster)
    assert __main__.main(["--directory", str(tmp_path), "down"]) == 0
    assert ended == [tmp_path.name]
    kill(other)
    assert __main__.main(["--directory", str(tmp_path), "down"]) == 0
    assert ended == [tmp_path.name] * 2 + ["node"]
    assert len(rooms(tmp_path)) == 1


def test_where_no_tests_were_nothing_is_made(tmp_path, ended):
    strays.end(tmp_path)
    assert list(tmp_path.iterdir()) == []
