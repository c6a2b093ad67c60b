import json

import pytest
from typer.testing import CliRunner

from shieldwall.cli import demo as demo_module
from shieldwall.cli import run as module
from shieldwall.cli.demo import closing_table, find_example
from shieldwall.cli.main import app
from shieldwall.cli.run import RunOptions, exit_code, run
from shieldwall.cli.training_file import BadFileError, read_training
from shieldwall.local.outcome import End

RUNNER = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"})


@pytest.fixture(autouse=True)
def jobs(monkeypatch):
    """What would be run; nothing is."""
    taken = []

    def instead(work):
        taken.append(work)
        return 0

    monkeypatch.setattr(module, "guarded", instead)
    return taken


@pytest.mark.parametrize(
    ("attacks", "words"),
    [
        (("polite:1",), "sign-flip"),
        (("sign-flip:6",), "6 attackers were asked for, and the training has 5 clients"),
        (("sign-flip:3", "nan:3"), "6 attackers"),
        (("sign-flip:x",), "after the colon"),
    ],
)
def test_impossible_attacks_are_refused_before_anything_starts(document, write, jobs, attacks, words):
    arguments = [part for attack in attacks for part in ("--attack", attack)]
    done = RUNNER.invoke(app, ["run", str(write(document)), *arguments])
    assert done.exit_code == 2
    assert words in done.stderr
    assert jobs == []


def test_places_that_cannot_be_written_are_refused_before_anything_starts(document, write, jobs, tmp_path):
    file = write(document)
    for option, path in (
        ("--keep", file),
        ("--report", tmp_path),
        ("--report", tmp_path / "x.json"),
        ("--report", file / "x"),
    ):
        done = RUNNER.invoke(app, ["run", str(file), "--keep", str(tmp_path / "kept"), option, str(path)])
        assert done.exit_code == 2
        assert done.stderr.startswith(option)
    assert jobs == []


def test_a_bad_file_is_refused_before_anything_starts(document, write, jobs):
    document["spec"]["bogus"] = 1
    done = RUNNER.invoke(app, ["run", str(write(document))])
    assert done.exit_code == 2
    assert "spec.bogus" in done.stdout
    assert jobs == []


def test_with_json_even_a_bad_file_is_told_in_json(document, write):
    document["spec"]["bogus"] = 1
    done = RUNNER.invoke(app, ["run", "--json", str(write(document))])
    assert json.loads(done.stdout)["problems"][0]["field"] == "spec.bogus"


@pytest.mark.parametrize("command", ["run", "demo"])
def test_a_suspended_training_is_refused_by_its_field(document, write, monkeypatch, tmp_path, command):
    for each in (module, demo_module):
        monkeypatch.setattr(each, "guarded", lambda work: work())
    document["spec"]["suspend"] = True
    named = {"run": [str(write(document)), "--keep"], "demo": ["--file", str(write(document)), "--output"]}
    here = tmp_path / "here"
    done = RUNNER.invoke(app, [command, *named[command], str(here)])
    assert done.exit_code == 2
    assert "spec.suspend of digits is true" in done.stderr
    assert list(here.iterdir()) == []


def test_a_good_file_runs(document, write, jobs, tmp_path):
    options = RunOptions(write(document), ("sign-flip:2",), tmp_path / "kept", None, None, json=False)
    assert run(options) == 0
    assert len(jobs) == 1


def test_rounds_of_the_command_line_take_the_place_of_the_files(document, write):
    path = write(document)
    assert read_training(path).spec.rounds.count == 3
    assert read_training(path, 7).spec.rounds.count == 7
    for broken in ([], {"spec": 1}, {"spec": {"rounds": []}}):
        with pytest.raises(BadFileError):
            read_training(write(broken), 7)


def test_exit_codes(make):
    codes = [exit_code(make.outcome(end=end)) for end in (End.COMPLETED, End.FAILED, End.INTERRUPTED)]
    assert codes == [0, 1, 130]


def test_the_example_is_found_from_anywhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert find_example().is_file()


def test_the_closing_table_has_a_row_for_each_run(make):
    assert closing_table([make.outcome(), make.outcome()]).row_count == 2
