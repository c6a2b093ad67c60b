"""``shieldwall simulate``: what people type, read and get back."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shieldwall.cli import simulate as module
from shieldwall.cli.main import app
from shieldwall.lab.attacks import LabAttack

RUNNER = CliRunner(env={"COLUMNS": "100", "TERM": "dumb"})
EXAMPLES = Path(__file__).parents[3] / "examples"
DIGITS, QUICKSTART = (str(EXAMPLES / name / "training.yaml") for name in ("digits", "quickstart"))


def simulate(*arguments):
    return RUNNER.invoke(app, ["simulate", *map(str, arguments)])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((DIGITS, "--attack", "polite"), "--attack: 'polite' is not an attack: the kinds are sign-flip"),
        ((DIGITS, "--attack", "ipm:0"), "--attack: 'ipm:0' is not an attack: after the colon"),
        ((DIGITS, "--attack", "ipm:10"), "--attack: 10 attackers were asked for, and the training has 10 clients"),
        ((DIGITS, "--alpha", "0"), "--alpha: must be above 0"),
        ((DIGITS, "--alpha", "nan"), "--alpha: must be above 0"),
        ((QUICKSTART, "--alpha", "1"), "--alpha: spec.app.config has no alpha"),
        ((QUICKSTART, "--rule", "Krum"), "--rule: Krum needs 5 replies, and the training has 4 clients"),
        ((DIGITS, "--rule", "ClippedMean"), "--rule: ClippedMean needs maxNorm"),
        ((DIGITS, "--report", "/x.json"), "--report: /x.json"),
    ],
)
def test_what_cannot_be_simulated_is_refused_by_its_option_before_anything_runs(monkeypatch, arguments, words):
    monkeypatch.setattr(module, "told", lambda _: pytest.fail("it ran"))
    done = simulate(*arguments)
    assert done.exit_code == 2
    assert words in done.stderr


@pytest.mark.parametrize("arguments", [("--seeds", "0"), ("--rounds", "0"), ("--rule", "Best"), ("--alpha", "even")])
def test_errors_of_usage_exit_with_2(arguments):
    assert simulate(DIGITS, *arguments).exit_code == 2


def test_a_bad_file_is_told_by_its_fields(document, write):
    document["spec"]["bogus"] = 1
    done = simulate(write(document))
    assert done.exit_code == 2
    assert "spec.bogus" in done.stdout
    assert json.loads(simulate(write(document), "--json").stdout)["problems"][0]["field"] == "spec.bogus"


def test_a_module_that_is_not_there_is_told_by_its_field(document, write):
    document["spec"]["app"] |= {"clientApp": "nowhere.app:app", "evaluate": "nowhere.app:evaluate"}
    done = simulate(write(document))
    assert done.exit_code == 2
    assert "spec.app.clientApp names 'nowhere.app:app'" in done.stderr


def test_the_attacks_are_listed_without_a_file():
    done = simulate("--attacks")
    assert done.exit_code == 0
    assert all(kind in done.stdout for kind in LabAttack)
    assert "Free-riders are banned as in a cluster" in " ".join(done.stdout.split())


def run(tmp_path, *arguments, file=DIGITS, columns="100"):
    """In a process of its own, as people run it."""
    program = "from shieldwall.cli.main import main; main()"
    command = [sys.executable, "-c", program, "simulate", file, *arguments]
    env = os.environ | {"COLUMNS": columns}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=env)


def test_a_table_tells_what_the_rule_saves(tmp_path):
    done = run(tmp_path, "--attack", "sign-flip:2", "--rounds", "4", "--report", "report.html")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split(" · ")[:3] == ["digits", "10 clients", "4 rounds"]
    unprotected, held = (next(line for line in lines if rule in line and "sign" in line) for rule in RULES)
    assert accuracy(unprotected) < 40
    assert accuracy(held) > 85
    assert "8/8" in held.split()
    assert "<svg" in (tmp_path / "report.html").read_text()
    assert len(json.loads((tmp_path / "report.json").read_text())["runs"]) == 4


RULES = ("unprotected", "NNM + FedTrimmedAvg")


def accuracy(line):
    """The first number with a point."""
    return float(re.search(r"\d+\.\d+", line)[0])


def test_json_is_all_that_is_on_standard_output_whatever_the_app_prints_and_writes(tmp_path):
    done = run(tmp_path, "--json", "--attack", "nan", "--rounds", "1", file=QUICKSTART)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert [(row["rule"], sorted(row["attackers"].values())) for row in rows] == [
        ("FedAvg", []),
        ("FedMedian", []),
        ("FedAvg", ["nan"]),
        ("FedMedian", ["nan"]),
    ]
    assert rows[3]["replies"]["attackers"] == {
        "ok": 0,
        "outvoted": 0,
        "rejected": 1,
        "absent": 0,
        "against": 0,
    }
    assert "Saving final model" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_training_that_does_not_finish_under_its_own_rule_exits_with_1(tmp_path):
    text = Path(DIGITS).read_text().replace("minReplies: 8", "minReplies: 10")
    (tmp_path / "training.yaml").write_text(text)
    (tmp_path / "digits").symlink_to(EXAMPLES / "digits" / "digits")
    done = run(tmp_path, "--attack", "nan:1", "--rounds", "1", file="training.yaml")
    assert done.returncode == 1
    assert "did not finish: round 1 was tried 5 times" in done.stdout


@pytest.mark.parametrize("columns", ["40", "100"])
def test_no_terminal_is_too_narrow_for_an_attacks_name_or_a_number(tmp_path, columns):
    done = run(tmp_path, "--attack", "sign-flip:1", "--rounds", "1", file=QUICKSTART, columns=columns)
    lines = done.stdout.splitlines()
    assert lines[0] == "quickstart · 4 clients · 1 round · 1 seed"
    assert " ".join(lines[1].split()) == "attackers rule accuracy lost success liars out rest out against time"
    (held,) = [line for line in lines if line.startswith("1 × sign-flip") and "FedMedian" in line]
    # FedMedian selects nobody: the liar counted, and points against the step.
    assert held.split()[-6:-1] == ["0/1", "0/3", "1", "+", "0"]


def test_a_wrapped_training_that_releases_nothing_exits_with_1_and_says_why(tmp_path):
    done = run(tmp_path, "--attack", "nan:2", "--rounds", "3", file=QUICKSTART)
    assert done.returncode == 1
    told = " ".join(done.stdout.split())
    assert "FedMedian, 2 × nan: did not finish: round 1 was tried 5 times: 2 replies were admitted where 3" in told


def test_a_strategy_that_is_refused_is_told_by_its_field(tmp_path):
    package = tmp_path / "unsafe"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "app.py").write_text(
        "from flwr.clientapp import ClientApp\nfrom flwr.serverapp import ServerApp\n"
        "from flwr.serverapp.strategy import QFedAvg\n"
        "client = ClientApp()\napp = ServerApp()\n"
        "@app.main()\ndef main(grid, context):\n    QFedAvg(0.1)\n"
    )
    text = Path(QUICKSTART).read_text()
    text = text.replace("quickstart.client_app:app", "unsafe.app:client").replace(
        "quickstart.server_app:app", "unsafe.app:app"
    )
    (tmp_path / "training.yaml").write_text(text)
    done = run(tmp_path, file="training.yaml")
    assert done.returncode == 2
    assert "spec.app.serverApp: QFedAvg weighs each client's own update by its loss" in done.stderr
