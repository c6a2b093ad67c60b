"""What ``shieldwall validate`` explains of privacy: the true ε, why it is refused, and what would be sound."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from shieldwall.cli.main import app

RUNNER = CliRunner(env={"COLUMNS": "100", "TERM": "dumb"})
GUIDE = Path(__file__).with_name("data") / "guide.yaml"
CENTRAL = {"mode": "ClientLevelCentral", "epsilon": 1.0, "delta": 1e-5, "clip": 1.0}
RECORDS = {"epsilon": 1.0, "delta": 1e-5, "clip": 1.0, "records": 140, "batchSize": 32, "steps": 5}


@pytest.fixture
def explained(document, write):
    """What is said of a training of five clients and 100 rounds with ``privacy``: the exit code, and one long line."""

    def said(privacy, **spec):
        document["spec"] |= {"rounds": {"count": 100}, "privacy": privacy} | spec
        done = RUNNER.invoke(app, ["validate", str(write(document))])
        return done.exit_code, " ".join(done.stdout.split())

    return said


def test_the_guides_sample_is_taken_apart():
    done = RUNNER.invoke(app, ["validate", str(GUIDE)])
    text = " ".join(done.stdout.split())
    assert done.exit_code == 2
    assert "guide.yaml: 2 problems" in text
    assert "Noise 1.1 gives ε = 79.3 at δ = 1e-05 over 100 rounds, not 1." in text
    assert "with countNoise at or below noiseMultiplier it alone spends all there is (Andrew 2019, Theorem 1)" in text
    assert "Leave adaptiveClipping out" in text
    assert "Use noiseMultiplier >= 37.31; not even one round fits with 1.1." in text
    assert "RecordLevel hides each record." in text


@pytest.mark.parametrize(
    "change",
    [
        {"adaptiveClipping": None, "noiseMultiplier": 37.31},
        {"adaptiveClipping": None, "noiseMultiplier": None},
        {"mode": "RecordLevel", "adaptiveClipping": None, "noiseMultiplier": None}
        | {name: RECORDS[name] for name in ("records", "batchSize", "steps")},
    ],
    ids=["more noise", "noise that follows from epsilon", "records"],
)
def test_the_nearest_settings_that_are_named_are_sound(write, change):
    document = YAML(typ="safe").load(GUIDE)
    privacy = document["spec"]["privacy"] | change
    document["spec"]["privacy"] = {name: value for name, value in privacy.items() if value is not None}
    assert RUNNER.invoke(app, ["validate", str(write(document))]).exit_code == 0


def test_an_unsound_pair_is_told_with_the_rule_and_the_true_epsilon(explained):
    code, text = explained(CENTRAL, aggregation={"rule": "Krum"})
    assert code == 2
    assert "Krum may exchange its whole result when one client changes" in text
    assert "Use ClippedMean, FedTrimmedAvg or CenteredClipping." in text
    assert "Krum with noise 37.31 gives ε = 6.17 at δ = 1e-05, not 1" in text


def test_sound_central_noise_is_explained(explained):
    code, text = explained(CENTRAL)
    assert code == 0
    assert "privacy ClientLevelCentral: ε = 1 of 1 at δ = 1e-05 over 100 rounds, when one client is replaced" in text
    assert "noise 37.31 times what one client changes, 0.667 (2C/(n − 2k), k the values cut at each end; n = 5" in text
    assert "a standard deviation of 24.9 on each parameter of what is released." in text
    assert "signal Below 0.3 for a model of any size" in text
    _, text = explained(CENTRAL | {"epsilon": 500.0})
    assert "signal Below 0.3 for a model of more than " in text
    assert "warning FedMedian: a median hides" in explained(CENTRAL, aggregation={"rule": "FedMedian"})[1]


def test_noise_at_the_clients_is_explained(explained):
    code, text = explained(CENTRAL | {"mode": "ClientLevelLocal"})
    assert code == 0
    assert "over 100 rounds and 10 that may be repeated" in text
    assert "39.13 times 2C: a standard deviation of 78.3 on each parameter of each update" in text
    code, text = explained(RECORDS)
    assert code == 0
    assert "5 steps each, when one record is replaced by another." in text
    assert "over 32 in the mean of 140 records or more." in text


def test_secrecy_that_is_counted_on_is_said(explained):
    clients = [{"name": f"c{number}"} for number in range(40)]
    rounds = {"count": 10, "fractionTrain": 0.2, "minReplies": 8}
    _, text = explained(CENTRAL | {"amplification": True}, clients=clients, rounds=rounds)
    assert "is replaced by another and if nobody learns who takes part." in text


@pytest.mark.parametrize(
    ("privacy", "warned"),
    [
        (RECORDS, False),
        (RECORDS | {"delta": 0.000142}, False),  # of one in 700 a tenth is 0.000143
        (RECORDS | {"delta": 0.001}, True),
        (CENTRAL | {"delta": 0.02}, False),
        (CENTRAL | {"delta": 0.09}, True),
    ],
)
def test_a_delta_that_is_much_is_a_warning(explained, privacy, warned):
    code, text = explained(privacy)
    assert code == 0
    assert (" is more than a tenth of one in " in text) is warned


def test_no_privacy_is_said_too(document, write, explained):
    said = "privacy None: no noise is added, and no ε bounds what the model tells"
    assert said in explained({"mode": "None"})[1]
    del document["spec"]["privacy"]
    assert said in " ".join(RUNNER.invoke(app, ["validate", str(write(document))]).stdout.split())


def test_the_same_is_there_for_programs(document, write):
    document["spec"]["privacy"] = CENTRAL
    told = json.loads(RUNNER.invoke(app, ["validate", str(write(document)), "-o", "json"]).stdout)
    assert told["valid"]
    assert list(told["privacy"]) == ["privacy", "noise", "signal"]
    assert "ε = " in told["privacy"]["privacy"]


def test_no_numbers_are_loaded_where_no_privacy_is_asked_for(document, write):
    program = (
        "import sys; from shieldwall.cli.main import app\n"
        f"try: app(['validate', {str(write(document))!r}])\n"
        "except SystemExit: print(*{name.split('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "valid" in loaded
    assert not {"scipy", "numpy", "dp_accounting", "kubernetes"} & set(loaded.split())
