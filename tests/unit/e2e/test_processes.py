"""Daemons: who is recorded is who is ended, and nobody else."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from cluster import processes
from cluster.processes import Process, Records, only_child, start
from harness.process import ComponentError, until

SLEEP = ["sleep", "100"]


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


@pytest.fixture
def sleeper(log):
    pid = start(SLEEP, log, os.environ)
    process = Process.of(pid)
    yield process
    process.kill()
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)


def test_a_process_is_alive_until_it_is_killed(sleeper):
    assert sleeper.alive
    sleeper.kill()
    assert not sleeper.alive  # it is a zombie now: nobody has waited for it
    sleeper.kill()


@pytest.mark.parametrize("other", [{"started": 1}, {"boot": "another"}])
def test_who_has_the_same_id_is_not_the_same_process(sleeper, other):
    stranger = replace(sleeper, **other)
    assert not stranger.alive
    stranger.kill()
    assert sleeper.alive


def test_who_takes_the_id_over_at_the_last_moment_is_not_killed(sleeper, monkeypatch):
    before = replace(sleeper, started=1)
    seen, opened = processes._stat, os.pidfd_open
    monkeypatch.setattr(processes, "_stat", lambda _: ("S", 1))  # until the id is taken hold of, it is still that one

    def take_over(pid):
        monkeypatch.setattr(processes, "_stat", seen)
        return opened(pid)

    monkeypatch.setattr(os, "pidfd_open", take_over)
    before.kill()
    assert sleeper.alive


def test_a_program_s_name_may_hold_what_separates_fields(tmp_path, log):
    program = tmp_path / "a) Z 1 (b"
    program.symlink_to("/usr/bin/sleep")
    pid = start([program, "100"], log, os.environ)
    process = Process.of(pid)
    until(lambda: b"a) Z" in (Path(f"/proc/{pid}/stat").read_bytes()), 5)
    assert process.alive
    process.kill()
    os.waitpid(pid, 0)


def test_no_process_has_no_id():
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(pid, 0)
    with pytest.raises(ProcessLookupError):
        Process.of(pid)
    assert not Process(pid, 1, "").alive


def test_records_are_found_again(tmp_path, sleeper):
    Records(tmp_path).save("one", sleeper)
    Records(tmp_path).save("two.three", sleeper)
    assert Records(tmp_path).load("one") == Records(tmp_path).load("two.three") == sleeper
    assert Records(tmp_path).load("four") is None
    assert Records(tmp_path).names() == ["one", "two.three"]


def test_a_daemon_has_a_session_of_its_own_and_a_log_that_grows(log):
    for _ in range(2):
        words = ["sh", "-c", "echo $0 >&2; exec ps -o sid= -p $$", "hello"]
        pid = start(words, log, os.environ)
        os.waitpid(pid, 0)
        assert log.read_text().split()[-2:] == ["hello", str(pid)]
    assert log.read_text().count("hello") == 2


def test_a_daemon_inherits_no_open_file(tmp_path, log):
    with (tmp_path / "lock").open("w") as held:
        pid = start(["ls", "-l", "/proc/self/fd"], log, os.environ)
        os.waitpid(pid, 0)
        assert held.name not in log.read_text()


def test_a_daemon_does_not_inherit_what_we_inherited(tmp_path, log):
    """As the lock of a flock(1) that started us."""
    with (tmp_path / "lock").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        pid = start(["ls", "-l", "/proc/self/fd"], log, os.environ)
        os.waitpid(pid, 0)
        assert held.name not in log.read_text()


def test_the_child_of_what_forks_is_found(log):
    parent = start([sys.executable, "-c", "import subprocess; subprocess.run(['sleep', '100'])"], log, os.environ)
    child = only_child(parent, "sleep", log)
    assert child.alive
    assert child.pid != parent
    child.kill()
    os.waitpid(parent, 0)


def test_what_ends_at_once_is_told_with_its_log(log):
    parent = start(["sh", "-c", "echo no such thing; exit 1"], log, os.environ)
    with pytest.raises(ComponentError, match="no such thing"):
        only_child(parent, "sh", log)
    os.waitpid(parent, 0)
