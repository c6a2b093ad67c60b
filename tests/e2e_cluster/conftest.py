"""A real node, in a directory of its own; needs root, the packages of .ci/e2e-packages, the programs of .ci/tools."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp

import pytest
from cluster import Cluster, strays
from harness.tools import binary

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def command():
    """Runs ``python -m cluster`` as a user does; returns what it has said, or the process with ``wait=False``."""
    if os.geteuid():
        pytest.skip("a node needs root")
    environment = os.environ | {"PYTHONPATH": f"{REPOSITORY / 'e2e'}:{REPOSITORY / 'tests'}"}

    def call(directory, *words, wait=True):
        line = [sys.executable, "-m", "cluster", "--directory", directory, *words]
        if not wait:
            return subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return subprocess.run(line, env=environment, capture_output=True, text=True, check=False)

    return call


def settings():
    """Of the kernel, two of those that kubelets like to change."""
    return [Path(f"/proc/sys/{name}").read_text().strip() for name in ("vm/overcommit_memory", "kernel/panic")]


@pytest.fixture(scope="session")
def settings_before():
    return settings()


@pytest.fixture(scope="session")
def room(command):
    """Where `down` finds the clusters of tests that were killed."""
    with strays.room() as own:
        yield own


@pytest.fixture
def directory(room):
    """Of a cluster of the test's own."""
    return Path(mkdtemp(dir=room))


@pytest.fixture(scope="module")
def cluster(room, command, settings_before):
    directory = room / "node"
    started = command(directory, "up")
    assert started.returncode == 0, started.stderr
    yield Cluster(directory)
    assert command(directory, "down").returncode == 0


@pytest.fixture(scope="module")
def kubectl(cluster, tmp_path_factory):
    """Runs kubectl; by default as the administrator."""
    cache = tmp_path_factory.mktemp("kubectl")

    def call(*words, given=None, check=True, kubeconfig=None):
        line = [binary("kubectl"), f"--kubeconfig={kubeconfig or cluster.kubeconfig}", f"--cache-dir={cache}", *words]
        answer = subprocess.run(line, input=given, capture_output=True, text=True, check=False)
        assert not check or answer.returncode == 0, answer.stderr
        return answer if not check else answer.stdout

    return call
