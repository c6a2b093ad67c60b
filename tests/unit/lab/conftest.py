import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shieldwall.cli.training_file import read_training
from shieldwall.contract.policy import AggregationPolicy, Rule
from shieldwall.lab.matrix import policy_of
from shieldwall.lab.run import Laboratory

EXAMPLES = Path(__file__).parents[3] / "examples"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def a_folder_of_its_own(tmp_path, monkeypatch):
    """Apps write where they run."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def laboratory():
    with Laboratory.of(policy_of(AggregationPolicy(rule=Rule.FED_TRIMMED_AVG, byzantine=3), 1), NOW) as made:
        yield made


@pytest.fixture(scope="session")
def now():
    return NOW


@pytest.fixture(scope="session")
def examples():
    sys.path[:0] = [str(EXAMPLES / name) for name in ("digits", "quickstart")]
    return EXAMPLES


@pytest.fixture(scope="session")
def training(examples):
    """An example's training with so many rounds."""
    return lambda name, rounds: read_training(examples / name / "training.yaml", rounds)
