""".ci/e2e with stand-ins for what it calls: what comes in which order, and what is left when it is interrupted."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from pathlib import Path

import pytest
from harness.process import until

SCRIPT = Path(__file__).parents[3] / ".ci" / "e2e"
STAND_IN = r"""#!/usr/bin/env bash
line="$(basename "$0") $*"
echo "${line//$HERE/.}" >> "$HERE/calls"
echo "says $line"
if [[ "$line" == *"kubeconfig"* ]]; then echo /the/kubeconfig; fi
if [[ "$line" == *"cluster up"* ]]; then setsid sleep 10 >/dev/null 2>&1 & fi
if [[ -n "${FAILS:-}" && "$line" == *"$FAILS"* ]]; then exit "${CODE:-1}"; fi
if [[ -n "${HANGS:-}" && "$line" == *"$HANGS"* ]]; then
  trap 'sleep 0.3; echo "ended $0" >> "$HERE/calls"; exit 1' INT
  sleep 100 &
  echo $! > "$HERE/below"
  wait
fi
"""
UP = [
    "python -m images build --output ./home/images",
    "python -m images check --output ./home/images",
    "python -m cluster up",
    "python -m cluster load ./home/images/one.tar",
]
DOWN = "python -m cluster down"
PREPARED = ["python -m cluster check", "tools --check", "e2e-packages ", "tools"]


@pytest.fixture
def here(tmp_path):
    """A repository with the script, and a folder for the cluster."""
    for name in (".ci/e2e-packages", ".ci/tools", ".venv/bin/python", ".venv/bin/pytest"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(STAND_IN)
        path.chmod(0o755)
    script = tmp_path / ".ci" / "e2e"
    script.write_text(SCRIPT.read_text().replace("/var/lib/shieldwall-e2e", f"{tmp_path}/home"))
    script.chmod(0o755)
    (tmp_path / "home" / "images").mkdir(parents=True)
    (tmp_path / "home" / "images" / "one.tar").touch()
    return tmp_path


@pytest.fixture
def start(here):
    def started(*words, **variables):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("E2E_")}
        return subprocess.Popen(
            [here / ".ci" / "e2e", *words],
            env=kept | {"HERE": str(here)} | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return started


@pytest.fixture
def call(start):
    def called(*words, **variables):
        with start(*words, **variables) as process:
            out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    return called


def calls(here):
    lines = (here / "calls").read_text().splitlines()
    return [line.partition(" etcd ")[0] for line in lines]  # the names of tools are its own matter


def test_a_suite_takes_down_what_is_there_makes_a_cluster_and_takes_it_down(here, call):
    assert call("-k", "renewal")[0] == 0
    suite = ["pytest tests/e2e_cluster -m cluster --timeout 300", *UP, "pytest e2e/suite --durations 20 -k renewal"]
    assert calls(here) == [*PREPARED, DOWN, *suite, DOWN]


def test_who_wants_to_keep_the_cluster_gets_the_one_that_is_there(here, call):
    assert call(E2E_KEEP="1")[0] == 0
    assert DOWN not in calls(here)
    assert set(UP) <= set(calls(here))


def test_in_another_cluster_nothing_is_made(here, call):
    assert call(E2E_KUBECONFIG="/other")[0] == 0
    assert calls(here) == ["tools kubectl helm", "pytest e2e/suite --durations 20"]


def test_up_prints_the_kubeconfig_last_and_nothing_before(here, call):
    code, out, err = call("up")
    assert code == 0
    assert out == "says python -m cluster kubeconfig\n/the/kubeconfig\n"
    assert "says python -m images build" in err
    assert calls(here) == [*PREPARED, *UP, "python -m cluster kubeconfig"]


def test_down_takes_it_down(here, call):
    assert call("down")[0] == 0
    assert calls(here) == [DOWN]


@pytest.mark.parametrize("words", [(), ("up",)])
@pytest.mark.parametrize("lack", ["cluster check", "tools --check"])
def test_all_lacks_are_told_before_anything_is_installed_or_taken_down(here, call, words, lack):
    assert call(*words, FAILS=lack, CODE="69")[0] == os.EX_UNAVAILABLE
    assert calls(here) == PREPARED[:2]


@pytest.mark.parametrize("words", [(), ("up",)])
def test_what_fails_ends_it_with_its_code(here, call, words):
    assert call(*words, FAILS="images check", CODE="3")[0] == 3
    assert calls(here)[-1] == (UP[1] if words else DOWN)
    assert "python -m cluster up" not in calls(here)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("hangs", ["pytest e2e/suite", "images build"])
def test_what_runs_is_ended_before_the_cluster_is(here, start, number, code, hangs):
    with start(HANGS=hangs) as process:
        until(lambda: (here / "below").exists() and (here / "below").read_text(), 20)
        process.send_signal(number)
        process.communicate(timeout=30)
    assert process.returncode == code
    program = hangs.partition(" ")[0] if hangs.startswith("pytest") else "python"
    assert calls(here)[-2:] == [f"ended .venv/bin/{program}", DOWN]
    below = Path("/proc", (here / "below").read_text().strip())
    assert not below.exists() or "zombie" in (below / "status").read_text()


def test_a_second_suite_leaves_the_first_alone(here, call):
    with (here / "home" / "suite.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, _, err = call()
    assert code == os.EX_UNAVAILABLE
    assert "another end-to-end suite runs" in err
    assert DOWN not in calls(here)


def test_a_cluster_that_is_kept_does_not_count_as_a_suite(here, call):
    call(E2E_KEEP="1")
    with (here / "home" / "suite.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
