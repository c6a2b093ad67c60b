import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from ruamel.yaml import YAML

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits"


@pytest.fixture
def tmp_path():
    """A directory that other users may pass through: pytest's own is closed, and runs switch users."""
    with tempfile.TemporaryDirectory(prefix="shieldwall-test-") as directory:
        Path(directory).chmod(0o711)
        yield Path(directory)


@pytest.fixture
def training(tmp_path):
    """The digits example with five clients, in a directory of the test's own."""
    app = tmp_path / "app"
    shutil.copytree(EXAMPLE, app)
    yaml = YAML(typ="safe", pure=True)
    file = app / "training.yaml"
    document = yaml.load(file)
    spec = document["spec"]
    spec["clients"] = spec["clients"][:5]
    spec["rounds"] = {"count": 2, "minReplies": 4, "graceSeconds": 2, "timeoutSeconds": 120}
    spec["aggregation"] = {"rule": "FedTrimmedAvg", "byzantine": 1}
    with file.open("w") as stream:
        yaml.dump(document, stream)
    return file


class Command:
    """``shieldwall run`` as a process, its events read as they come."""

    def __init__(self, file, *arguments):
        command = [sys.executable, "-m", "shieldwall.cli", "run", "--json", str(file), *map(str, arguments)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=file.parent.parent
        )

    def until(self, kind):
        """The next event of this kind."""
        for line in self.process.stdout:
            event = json.loads(line)
            if event["event"] == kind:
                return event
        raise AssertionError(self.process.stderr.read())

    def end(self):
        """(exit code, all events that are left)."""
        out, err = self.process.communicate()
        return self.process.returncode, [json.loads(line) for line in out.splitlines()], err


@pytest.fixture
def nothing_left(training):
    """Waits until no program of the test's run is left."""
    return lambda: until_gone(training.parent)


@pytest.fixture
def run(training):
    """Start the command; whatever the test does, it is gone afterwards."""
    commands = []

    def start(*arguments):
        commands.append(Command(training, *arguments))
        return commands[-1]

    yield start
    for command in commands:
        command.process.kill()
        command.process.communicate()
    assert until_gone(training.parent)


def left(app):
    """Programs that were started for the app in this directory: it is on their module path."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if f"PYTHONPATH={app}".encode() in environment:
                found.append((entry / "cmdline").read_bytes())
    return found


def until_gone(app):
    """Wait until nothing is left; the test's own time-out is the deadline."""
    while left(app):
        os.sched_yield()
    return True
