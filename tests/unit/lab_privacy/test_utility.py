"""What privacy costs, on the smallest cohort; and trainings with privacy in the laboratory."""

import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

import pytest

from shieldwall.cli.training_file import read_training
from shieldwall.contract.privacy import PrivacyMode
from shieldwall.contract.records import Fate
from shieldwall.lab.privacy.clients import Federation, NoModelError, Recipe
from shieldwall.lab.privacy.learners import LinearClassifier
from shieldwall.lab.privacy.utility import Cell, cells, measure
from shieldwall.lab.simulation import Simulation

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TEN = Cell("digits", PrivacyMode.RECORD_LEVEL, 1.0, 10, 0)


def test_record_level_with_ten_clients_and_epsilon_1_learns_and_keeps_to_it():
    """Its mean is 68 %, with a standard deviation of 5 over draws of the noise, which no seed reaches."""
    found = [measure(replace(TEN, seed=seed)) for seed in range(6)]
    assert fmean(one.accuracy for one in found) >= 0.6
    assert all(0.9 < one.spent <= 1.0 for one in found)


def test_client_level_with_ten_clients_and_epsilon_1_learns_next_to_nothing():
    found = measure(replace(TEN, mode=PrivacyMode.CLIENT_LEVEL_CENTRAL))
    assert found.accuracy < 0.35
    assert found.spent == pytest.approx(1.0, abs=2e-3)


def test_without_privacy_the_same_classifier_learns_all_there_is():
    found = measure(replace(TEN, mode=None, epsilon=math.inf))
    assert found.accuracy > 0.9
    assert math.isinf(found.spent)


def test_every_cell_is_measured_once_and_plain_training_at_no_epsilon():
    wanted = cells("digits", 2)
    assert len(set(wanted)) == len(wanted) == 2 * 3 * (1 + 4 + 4)
    assert {cell.epsilon for cell in wanted if cell.mode is None} == {math.inf}


def test_a_training_without_a_model_says_why(policies, laboratory):
    policy = policies.of(PrivacyMode.RECORD_LEVEL)
    federation = Federation(policy, LinearClassifier(64), Recipe(1.0, 1, 1.0), laboratory)
    with pytest.raises(NoModelError, match="round 1"):
        federation.model([], 0)


EXAMPLE = Path(__file__).parents[3] / "examples" / "digits"
BATCHES = ", records: 100, batchSize: 10, steps: 1"


@pytest.mark.parametrize("mode", ["ClientLevelLocal", "RecordLevel"])
def test_a_users_app_is_simulated_with_the_privacy_of_its_trainer(tmp_path, monkeypatch, mode):
    """Noise is added for it; under RecordLevel an app that never called dp_sgd gets an error in its place."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    privacy = f"{{mode: {mode}, epsilon: 1.0, delta: 1.0e-5, clip: 1.0{BATCHES if mode == 'RecordLevel' else ''}}}"
    file = tmp_path / "training.yaml"
    file.write_text(f"{(EXAMPLE / 'training.yaml').read_text()}  privacy: {privacy}\n")
    order = Simulation(read_training(file, 2), [], [], None, 1)
    rows = {row.defence.label: row for row in order.run(NOW, lambda _: None)}
    fates = {
        reply.fate for trial in rows["NNM + FedTrimmedAvg"].trials for one in trial.records for reply in one.replies
    }
    assert rows["unprotected"].accuracy > 0.8
    if mode == "RecordLevel":
        assert fates == {Fate.CLIENT_ERROR}
    else:
        assert Fate.CLIENT_ERROR not in fates
        assert Fate.NOT_PRIVATE not in fates
        assert rows["NNM + FedTrimmedAvg"].accuracy < 0.5
