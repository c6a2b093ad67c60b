import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest

# A parent of its own process: forking pytest itself would fork its threads too.
DRIVER = textwrap.dedent("""
    import json, os, random, subprocess, sys, threading
    from pathlib import Path
    import numpy
    from shieldwall.runtime.flower.warm import WarmParent

    directory = Path(sys.argv[1])
    MEMORY = []

    def superexec():
        {superexec}

    def task():
        MEMORY.append(os.getpid())
        (directory / ("task-" + sys.argv[2])).write_text(json.dumps({{
            "argv": sys.argv[1:], "numpy": int(numpy.random.randint(2**31)), "random": random.random(),
            "memory": len(MEMORY), "parent": os.getppid(), "threads": threading.active_count()}}))
        {task}

    sys.exit(WarmParent(directory / "warm", superexec, {{"flwr-clientapp": task}}).run())
""")
TWO_TASKS = 'sys.exit(max(subprocess.run(["flwr-clientapp", "--token", name]).returncode for name in "ab"))'


def run(tmp_path, superexec, task="pass"):
    program = tmp_path / "driver.py"
    program.write_text(DRIVER.format(superexec=superexec, task=task))
    return subprocess.run([sys.executable, program, tmp_path], check=False, capture_output=True, text=True, timeout=60)


def results(tmp_path):
    return [json.loads((tmp_path / f"task-{name}").read_text()) for name in "ab"]


def test_each_task_is_a_fork_with_the_commands_arguments_and_its_own_memory(tmp_path):
    done = run(tmp_path, TWO_TASKS)
    assert done.returncode == 0, done.stderr
    first, second = results(tmp_path)
    assert first["argv"] == ["--token", "a"]
    assert second["argv"] == ["--token", "b"]
    assert first["parent"] == second["parent"]
    assert first["memory"] == second["memory"] == 1
    assert first["threads"] == 1


def test_tasks_draw_different_random_numbers(tmp_path):
    run(tmp_path, TWO_TASKS)
    first, second = results(tmp_path)
    assert first["numpy"] != second["numpy"]
    assert first["random"] != second["random"]


@pytest.mark.parametrize(("task", "code"), [("sys.exit(7)", 7), ("raise ValueError('x')", 1), ("os.abort()", 1)])
def test_a_tasks_failure_is_its_own(tmp_path, task, code):
    done = run(tmp_path, TWO_TASKS, task)
    assert done.returncode == code
    assert len(results(tmp_path)) == 2


def test_the_end_of_superexec_ends_the_container_with_its_code(tmp_path):
    assert run(tmp_path, "sys.exit(3)").returncode == 3


def test_a_request_that_is_none_does_not_stop_the_parent(tmp_path):
    garbage = (
        "import socket; s = socket.socket(socket.AF_UNIX);"
        "s.connect(os.environ['SHIELDWALL_WARM_DIRECTORY'] + '/warm.sock');"
        "s.sendall(b'not json'); s.recv(1); " + TWO_TASKS
    )
    assert run(tmp_path, garbage).returncode == 0
    assert len(results(tmp_path)) == 2


def test_a_signal_ends_superexec_and_its_tasks(tmp_path):
    program = tmp_path / "driver.py"
    waiting = "print(os.getpid(), flush=True); import signal; signal.pause()"
    program.write_text(DRIVER.format(superexec='subprocess.run(["flwr-clientapp", "--token", "a"])', task=waiting))
    with subprocess.Popen([sys.executable, program, tmp_path], stdout=subprocess.PIPE, text=True) as parent:
        task = int(parent.stdout.readline())
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(timeout=30) != 0
    with pytest.raises(ProcessLookupError):
        os.kill(task, 0)
