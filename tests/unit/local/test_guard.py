import os
import signal
import subprocess
import sys

import pytest

WORKER = """
import os, subprocess, sys, time
from shieldwall.local.guard import guarded

def work():
    script = 'exec 3>"$0"; setsid sh -c "sleep 1000 & sleep 1000" & sleep 1000 & echo $PPID >&3; exec sleep 1000'
    child = subprocess.Popen(["sh", "-c", script, sys.argv[1]])
    try:
        time.sleep(1000)
    except KeyboardInterrupt:
        print("in order", flush=True)
        child.kill()
        return 130
    return 0

sys.exit(guarded(work))
"""


@pytest.fixture
def started(fifo):
    outer = subprocess.Popen([sys.executable, "-c", WORKER, str(fifo)], stdout=subprocess.PIPE, text=True)
    with fifo.open() as pipe, outer:
        inner = int(pipe.readline())
        yield outer, inner, pipe
        outer.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_in_order_and_leaves_nothing_behind(started, number):
    outer, _, pipe = started
    outer.send_signal(number)
    assert outer.wait() == 130
    assert outer.stdout.read() == "in order\n"
    assert pipe.read() == ""


def test_a_killed_inner_process_takes_everything_with_it(started):
    outer, inner, pipe = started
    os.kill(inner, signal.SIGKILL)
    assert outer.wait() == 137
    assert pipe.read() == ""


def test_a_killed_outer_process_ends_the_run_in_order(started):
    outer, _, pipe = started
    outer.kill()
    outer.wait()
    assert outer.stdout.read() == "in order\n"
    assert pipe.read() == ""


@pytest.mark.parametrize(
    ("body", "code"), [("return 5", 5), ("raise SystemExit(6)", 6), ("raise KeyboardInterrupt", 130), ("1 / 0", 1)]
)
def test_the_exit_code_is_the_works(body, code):
    program = (
        f"import sys\nfrom shieldwall.local.guard import guarded\ndef work():\n    {body}\nsys.exit(guarded(work))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert ("ZeroDivisionError" in done.stderr) == ("1 / 0" in body)
