import os
import subprocess
import sys

import pytest

import shieldwall
from shieldwall.cli import main as module


def run(*arguments, program="from shieldwall.cli.main import main; main()", **env):
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | env)


def test_the_version_is_the_packages():
    done = run("version")
    assert (done.returncode, done.stdout) == (0, f"shieldwall {shieldwall.__version__}\n")


def test_the_menu_is_shown_to_who_asks_for_nothing():
    done = run()
    for command in ("validate", "run", "simulate", "plan", "demo", "version"):
        assert command in done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments", [("bogus",), ("validate",), ("run", "x.yaml", "--rounds", "0"), ("validate", "-o", "xml", "x")]
)
def test_errors_of_usage_exit_with_2(arguments):
    done = run(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_the_unexpected_is_written_to_a_file_that_is_named(tmp_path):
    program = (
        "import shieldwall.cli.main as m\n"
        "def fail(*_): raise RuntimeError('a \\x1b[31mstrange\\x1b[0m thing')\n"
        "m.validate = fail\n"
        "m.main()"
    )
    done = run("validate", "x.yaml", program=program, TMPDIR=str(tmp_path))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr
    (log,) = tmp_path.glob("shieldwall-error-*.log")
    assert str(log) in done.stderr.replace("\n", "")
    assert "RuntimeError" in log.read_text()


def test_a_reader_that_goes_away_is_no_error_of_ours(tmp_path):
    command = f"{sys.executable} -c 'from shieldwall.cli.main import main; main()' validate {tmp_path}/x | true"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_the_plugin_calls_itself_by_its_own_name(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/kubectl-shieldwall", "--help"])
    with pytest.raises(SystemExit):
        module.main()
    assert "kubectl shieldwall" in capsys.readouterr().out
