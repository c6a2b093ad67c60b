"""``shieldwall simulate --privacy-attack``."""

import json

import pytest
from matplotlib.image import imread
from typer.testing import CliRunner

from shieldwall.cli.main import app
from shieldwall.lab.privacy import attack, canaries, inversion

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(attack, "SHADOWS", 8)
    monkeypatch.setattr(attack, "VICTIMS", 4)
    monkeypatch.setattr(inversion, "BATCH", 2)
    few = {mode: (scores, 1024) for mode, (scores, _) in canaries._SCORES.items()}
    monkeypatch.setattr(canaries, "_SCORES", few)


PRIVACY = "{mode: RecordLevel, epsilon: 1.0, delta: 1.0e-5, clip: 1.0, records: 100, batchSize: 20, steps: 3}"


@pytest.fixture
def training(tmp_path):
    def write(privacy=PRIVACY, clients=4):
        names = ", ".join(f"{{name: c{place}}}" for place in range(clients))
        path = tmp_path / "training.yaml"
        path.write_text(f"""\
apiVersion: shieldwall.dev/v1alpha1
kind: FederatedTraining
metadata: {{name: small}}
spec:
  app: {{image: "registry.example/a:1", clientApp: "a.client:app", model: "a.task:model", evaluate: "a.task:evaluate"}}
  rounds: {{count: 3, minReplies: {clients}}}
  clients: [{names}]
  aggregation: {{rule: ClippedMean, maxNorm: 1.0}}
{f"  privacy: {privacy}" if privacy else ""}
""")
        return str(path)

    return write


def simulated(*arguments):
    return RUNNER.invoke(app, ["simulate", *arguments])


def test_an_audit_is_a_table_with_its_control(training):
    result = simulated(training(), "--privacy-attack", "audit", "--seeds", "2")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("RecordLevel, ε = 1") == 2
    assert "noise off" in result.stdout


def test_json_holds_what_was_accounted_and_what_was_proved(training, tmp_path):
    result = simulated(training(), "--privacy-attack", "audit", "--json", "--output", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    row = json.loads(result.stdout)["rows"][0]
    assert row["holds"]
    assert 0.7 < row["epsilonAccounted"] < 1.1
    assert row["epsilonProved"] < row["epsilonAccounted"] < row["noiseOff"]["epsilonProved"]
    assert json.loads((tmp_path / "out" / "audit.json").read_text()) == json.loads(result.stdout)
    assert imread(tmp_path / "out" / "audit.png").shape[2] in {3, 4}


def test_inversion_writes_images_side_by_side(training, tmp_path):
    result = simulated(training(), "--privacy-attack", "inversion", "--json", "--output", str(tmp_path))
    assert result.exit_code == 0, result.output
    rows = {(row["privacy"], row["records"]): row for row in json.loads(result.stdout)["rows"]}
    labels = ["without privacy", "RecordLevel, ε = 1", "noise alone"]
    assert list(rows) == [(label, records) for records in (1, 2) for label in labels]
    assert rows["without privacy", 1]["structure"]["value"] > 0.99
    assert rows["RecordLevel, ε = 1", 1]["structure"]["value"] < 0.4
    heights = [imread(tmp_path / f"inversion-{records}.png").shape[0] for records in (1, 2)]
    assert min(heights) > 100


def test_membership_says_what_is_promised_and_what_is_not(training, tmp_path):
    result = simulated(training(), "--privacy-attack", "membership", "--json", "--output", str(tmp_path))
    assert result.exit_code == 0, result.output
    rows = {(row["privacy"], row["unit"]): row for row in json.loads(result.stdout)["rows"]}
    assert len(rows) == 4
    assert rows["without privacy", "client"]["area"]["value"] > 0.6
    assert rows["without privacy", "record"]["most"] is None
    assert 0.6 < rows["RecordLevel, ε = 1", "record"]["most"]["area"] < 0.75
    assert rows["RecordLevel, ε = 1", "client"]["most"] is None, "it hides no whole client"
    assert (tmp_path / "membership.png").stat().st_size > 1000


def test_without_privacy_there_is_something_to_attack_and_nothing_to_audit(training):
    attacked = simulated(training(privacy=None), "--privacy-attack", "inversion", "--json")
    assert [row["privacy"] for row in json.loads(attacked.stdout)["rows"]] == ["without privacy"] * 2
    audited = simulated(training(privacy=None), "--privacy-attack", "audit")
    assert audited.exit_code == 2
    assert "spec.privacy: nothing is accounted for" in audited.stderr


def test_an_epsilon_that_no_audit_can_refute_is_not_audited(training):
    result = simulated(training(PRIVACY.replace("1.0, delta", "20.0, delta")), "--privacy-attack", "audit")
    assert result.exit_code == 2
    assert "no audit of one run can refute" in result.stderr


def test_more_clients_than_there_are_images_for_are_refused(training):
    result = simulated(training(clients=400), "--privacy-attack", "membership")
    assert result.exit_code == 2
    assert "--task mnist" in result.stderr


def test_an_attack_that_shows_more_than_promised_exits_with_1(training, monkeypatch):
    monkeypatch.setattr(attack, "audit", lambda *arguments, silent=False: canaries.audit(*arguments, silent=True))
    result = simulated(training(), "--privacy-attack", "audit")
    assert result.exit_code == 1
    assert "more than was promised" in result.stdout


@pytest.mark.parametrize(
    "options",
    [
        ["--privacy-attack", "audit", "--attack", "sign-flip:1"],
        ["--privacy-attack", "audit", "--alpha", "0.5"],
        ["--task", "digits"],
        ["--output", "somewhere"],
    ],
)
def test_options_of_the_other_kind_of_attack_are_refused(training, options):
    assert simulated(training(), *options).exit_code == 2
