import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from shieldwall.cli.main import app

RUNNER = CliRunner(env={"COLUMNS": "100", "TERM": "dumb"})


def validate(*arguments):
    return RUNNER.invoke(app, ["validate", *map(str, arguments)])


def test_a_good_file_is_said_to_be_good(document, write):
    path = write(document)
    done = validate(path)
    assert done.exit_code == 0
    first, *privacy = done.stdout.splitlines()
    assert first == f"{path}: valid · digits · 5 clients · 3 rounds · FedTrimmedAvg, f = 1"
    assert privacy[0].startswith("  privacy  None: ")
    told = json.loads(validate(path, "-o", "json").stdout)
    assert (told["file"], told["valid"], told["problems"]) == (str(path), True, [])
    assert told["privacy"]["privacy"].startswith("None: ")


def test_every_problem_is_named_by_its_field(document, write):
    document["spec"]["aggregation"] = {"rule": "Krum", "byzantine": 2}
    document["spec"]["clients"][1]["name"] = "berlin"
    document["spec"]["bogus"] = 1
    path = write(document)
    done = validate(path)
    assert done.exit_code == 2
    assert done.stdout.startswith(f"{path}: ")
    for words in ("spec.bogus", "spec.clients[1].name"):
        assert f"  {words}" in done.stdout
    assert max(map(len, done.stdout.splitlines()[1:])) <= 100
    found = json.loads(validate(path, "--output", "json").stdout)
    assert not found["valid"]
    assert {problem["field"] for problem in found["problems"]} >= {"spec.bogus", "spec.clients[1].name"}


def test_more_replies_than_silent_liars_leave_are_warned_of_and_no_error(document, write):
    document["spec"]["rounds"]["minReplies"] = 5
    path = write(document)
    done = validate(path)
    assert done.exit_code == 0
    text = " ".join(done.stdout.split())
    assert "spec.rounds.minReplies Warning: A round asks 5 clients and needs 5 replies" in text
    assert "Use minReplies: 4." in text
    (warning,) = json.loads(validate(path, "-o", "json").stdout)["warnings"]
    assert warning["field"] == "spec.rounds.minReplies"
    document["spec"]["rounds"]["minReplies"] = 4
    path = write(document)
    assert "Warning" not in validate(path).stdout
    assert json.loads(validate(path, "-o", "json").stdout)["warnings"] == []


def a_budget(**spec):
    given = {"epsilon": 3.0, "delta": 1e-5, "unit": "Record", "data": ["berlin"], "period": {"name": "spring"}}
    return {
        "apiVersion": "shieldwall.dev/v1alpha1",
        "kind": "PrivacyBudget",
        "metadata": {"name": "patients-2026"},
        "spec": given | spec,
    }


def test_a_budget_is_read_as_one(write):
    path = write(a_budget())
    done = validate(path)
    assert done.exit_code == 0
    assert done.stdout == f"{path}: valid · patients-2026 · ε = 3, δ = 1e-05 by record · 1 client · period spring\n"
    path = write(a_budget(epsilon=0, unit="record", data=["berlin", "berlin"], periods=1))
    found = json.loads(validate(path, "-o", "json").stdout)
    assert {problem["field"]: problem["message"] for problem in found["problems"]} == {
        "spec.data": "Names must differ; berlin stands there twice.",
        "spec.epsilon": "Must be greater than 0.0; 0 is not allowed.",
        "spec.periods": "There is no such field. Did you mean period?",
        "spec.unit": "Must be one of Record, Client; 'record' is not allowed. Did you mean Record?",
    }


def test_krum_outside_its_theorem_is_refused_by_name(document, write):
    document["spec"]["aggregation"] = {"rule": "Krum", "byzantine": 2}
    done = validate(write(document))
    assert done.exit_code == 2
    assert "spec.aggregation.byzantine" in done.stdout
    assert "2f" in done.stdout


def test_a_syntax_error_has_its_line(tmp_path):
    path = tmp_path / "training.yaml"
    path.write_text("spec: [1\nx: }\n")
    done = validate(path)
    assert done.exit_code == 2
    assert "1 problem\n" in done.stdout
    assert "line 2" in done.stdout


def test_a_missing_file_is_a_problem_of_the_input(tmp_path):
    done = validate(tmp_path / "none.yaml")
    assert done.exit_code == 2
    assert "No such file" in done.stdout


def test_nothing_in_a_file_moves_the_cursor(document, write):
    document["spec"]["\x1b[2Jbogus"] = 1
    document["metadata"]["name"] = "\x1b]0;title\x07"
    done = validate(write(document))
    assert done.exit_code == 2
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout


def test_validating_loads_neither_kubernetes_nor_flower():
    """It runs in editors and in hooks of Git: it has to start at once."""
    program = "import sys, shieldwall.cli.main; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "shieldwall" in loaded
    assert set(loaded) & {"kubernetes", "flwr", "numpy", "matplotlib", "httpx", "kopf", "cryptography"} == set()


@pytest.mark.parametrize("variable", ["NO_COLOR", ""])
def test_colour_is_for_terminals_alone(document, write, variable):
    document["spec"]["bogus"] = 1
    done = RUNNER.invoke(app, ["validate", str(write(document))], env={variable or "X": "1"})
    assert "\x1b[" not in done.stdout
