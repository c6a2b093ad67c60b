"""What is started here ends with us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from harness.process import until
from images.children import Children, StoppedError

STUBBORN = "trap '' TERM; echo $$ > {}; while :; do sleep 0.1; done"


def runs(pid):
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as made:
        yield made


def begun(path):
    until(lambda: path.exists() and path.read_text().strip(), 10)
    return int(path.read_text())


def test_what_a_program_says_and_ends_with_is_told(tmp_path):
    answer = Children().run(["sh", "-c", "echo $WORD; echo wrong >&2; exit 3"], {"WORD": "hello"})
    assert (answer.returncode, answer.stdout, answer.stderr) == (3, "hello\n", "wrong\n")
    with (tmp_path / "log").open("wb") as log:
        Children().run(["sh", "-c", "echo hello; echo wrong >&2"], output=log)
    assert (tmp_path / "log").read_text() == "hello\nwrong\n"


def test_stopping_ends_what_runs_and_what_it_has_started(tmp_path, pool):
    children, pid = Children(), tmp_path / "pid"
    running = pool.submit(children.run, ["sh", "-c", f"sleep 100 & echo $! > {pid}; wait"])
    below = begun(pid)
    children.stop()
    assert running.result(5).returncode == -signal.SIGTERM
    until(lambda: not runs(below), 5)


def test_what_does_not_heed_a_termination_is_killed(tmp_path, pool, monkeypatch):
    monkeypatch.setattr("images.children._SECONDS", 0.5)
    children, pid = Children(), tmp_path / "pid"
    running = pool.submit(children.run, ["sh", "-c", STUBBORN.format(pid)])
    begun(pid)
    children.stop()
    assert running.result(5).returncode == -signal.SIGKILL


def test_after_stopping_nothing_is_started():
    children = Children()
    children.stop()
    with pytest.raises(StoppedError):
        children.run(["true"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_what_runs_ends_with_who_started_it(tmp_path, number):
    pid = tmp_path / "pid"
    code = f"from images.children import Children; Children().run(['sh', '-c', 'echo $$ > {pid}; exec sleep 100'])"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL) as us:
        child = begun(pid)
        us.send_signal(number)
        us.wait(15)
        until(lambda: not runs(child), 5)
