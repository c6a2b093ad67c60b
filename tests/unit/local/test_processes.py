import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shieldwall.local.cluster.processes import (
    Entry,
    Launch,
    Programs,
    adopt_orphans,
    descendants,
    parse_stat,
    snapshot,
    strays,
)

FORKING = """
exec 3>"$1"
setsid sh -c 'sleep 1000 & sleep 1000' &
sleep 1000 &
echo up >&3
trap '' TERM
while :; do sleep 1000; done
"""


@contextlib.asynccontextmanager
async def reading(fifo):
    """What is written to the pipe; it ends when the last program that holds it is gone."""
    reader = asyncio.StreamReader()
    pipe = os.fdopen(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK), "rb")
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        yield reader
    finally:
        transport.close()


def launch(tmp_path, *argv):
    return Launch(argv=argv, env={"PATH": os.environ["PATH"]}, cwd=tmp_path, log=tmp_path / "log")


@given(name=st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=15))
def test_the_process_table_is_read_whatever_a_program_calls_itself(name):
    assert parse_stat(f"42 ({name}) S 7 42 41 0 -1 4194304") == Entry(pid=42, state="S", parent=7, session=41)


def test_descendants_and_strays():
    table = [Entry(2, "S", 1, 2), Entry(3, "S", 2, 2), Entry(4, "S", 3, 4), Entry(5, "S", 9, 5), Entry(6, "Z", 1, 6)]
    assert [entry.pid for entry in descendants(1, table)] == [2, 6, 3, 4]
    assert [entry.pid for entry in strays(1, [2], table)] == [6]


async def test_a_program_ends_with_its_code_and_leaves_its_output(tmp_path):
    programs = Programs()
    program = programs.start(launch(tmp_path, "sh", "-c", "echo out; echo err >&2; exit 7"))
    assert await program.wait() == 7
    assert (tmp_path / "log").read_text().split() == ["out", "err"]


async def test_a_stopped_program_leaves_nothing_behind(tmp_path, fifo):
    """Neither a program that ignores SIGTERM, nor its children, nor those who left its session."""
    adopt_orphans()
    before = descendants(os.getpid(), snapshot())  # another test's servers
    programs = Programs()
    program = programs.start(launch(tmp_path, "sh", "-c", FORKING, "sh", str(fifo)))
    async with reading(fifo) as pipe:
        assert await pipe.readline() == b"up\n"
        assert await program.stop(grace=0.1) == -signal.SIGKILL
        while programs.end_strays():
            pass
        assert await pipe.read() == b""
    known = {entry.pid for entry in before}
    assert not [entry for entry in descendants(os.getpid(), snapshot()) if entry.alive and entry.pid not in known]


async def test_a_child_that_was_there_before_is_no_stray(tmp_path):
    with subprocess.Popen(["sleep", "1000"]) as before:
        try:
            programs = Programs()
            program = programs.start(launch(tmp_path, "true"))
            await program.wait()
            assert programs.end_strays() == 0
            assert before.poll() is None
        finally:
            before.kill()


async def test_children_of_a_stopped_program_end_with_it(tmp_path, fifo):
    program = Programs().start(launch(tmp_path, "sh", "-c", 'exec 3>"$0"; sleep 1000 & echo up >&3; wait', str(fifo)))
    async with reading(fifo) as pipe:
        await pipe.readline()
        await program.stop(grace=60)
        assert await pipe.read() == b""


async def test_a_program_that_obeys_is_not_killed(tmp_path, fifo):
    program = Programs().start(
        launch(tmp_path, "sh", "-c", 'trap "exit 3" TERM; echo up > "$1"; read x < "$1"', "sh", str(fifo))
    )
    async with reading(fifo) as pipe:
        await pipe.readline()
    begin = time.monotonic()
    assert await program.stop(grace=60) in {3, -signal.SIGTERM}
    assert time.monotonic() - begin < 30


RUNNER = """
import pathlib, sys, time
from shieldwall.local.cluster.processes import Launch, Programs
here = pathlib.Path(sys.argv[1])
Programs().start(Launch(("sh", "-c", "exec 3>$0; echo $$ >&3; exec sleep 1000", sys.argv[2]), {}, here, here / "log"))
time.sleep(1000)
"""


async def test_programs_die_with_a_runner_that_is_killed(tmp_path, fifo):
    runner = await asyncio.create_subprocess_exec(sys.executable, "-c", RUNNER, str(tmp_path), str(fifo))
    async with reading(fifo) as pipe:
        assert int(await pipe.readline()) > 0
        runner.kill()
        assert await pipe.read() == b""  # the program's end of the pipe is closed: it is gone
    await runner.wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give programs other users")
async def test_a_program_has_the_users_and_groups_it_was_given_and_no_others(tmp_path):
    tmp_path.chmod(0o755)
    start = Launch(
        ("sh", "-c", "id -u; id -G"), {"PATH": os.environ["PATH"]}, tmp_path, tmp_path / "log", 23456, (34567, 34568)
    )
    assert await Programs().start(start).wait() == 0
    assert (tmp_path / "log").read_text().splitlines() == ["23456", "23456 34567 34568"]
