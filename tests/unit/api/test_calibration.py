"""What is said of numbers that do not fit, and that all of it is said at once."""

import copy
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from shieldwall.accounting import accountant
from shieldwall.control.api.calibration import calibrated
from shieldwall.control.api.checked import checked_training
from shieldwall.control.api.mechanism import Mechanism
from shieldwall.control.api.parse import parse_accepted
from shieldwall.control.api.problems import InvalidTrainingError

CENTRAL = {"mode": "ClientLevelCentral", "epsilon": 1.0, "delta": 1e-5, "clip": 1.0}
LOCAL = CENTRAL | {"mode": "ClientLevelLocal"}
RECORDS = {"epsilon": 1.0, "delta": 1e-5, "clip": 1.0, "records": 140, "batchSize": 32, "steps": 5}


@pytest.fixture
def problems(document):
    """All that is wrong when ``changes`` are made to a sound training of ten clients and 100 rounds."""

    def found(**changes):
        changed = copy.deepcopy(document)
        changed["spec"] |= {"rounds": {"count": 100}} | changes
        try:
            checked_training(changed)
        except InvalidTrainingError as error:
            return {problem.field: problem.message for problem in error.problems}
        return {}

    return found


def test_noise_that_is_not_enough_is_refused_with_the_nearest_that_is(problems):
    assert problems(privacy=CENTRAL | {"noiseMultiplier": 30}) == {
        "spec.privacy.noiseMultiplier": (
            "Noise 30 gives ε = 1.27 at δ = 1e-05 over 100 rounds, not 1."
            " Use noiseMultiplier >= 37.31, or rounds.count <= 64. With 10 clients, noise that hides one of them leaves"
            " little to learn; RecordLevel hides each record."
        )
    }
    assert problems(privacy=CENTRAL | {"noiseMultiplier": 37.31}) == {}
    assert problems(privacy=CENTRAL | {"noiseMultiplier": 30}, rounds={"count": 64}) == {}
    assert problems(privacy=CENTRAL | {"noiseMultiplier": 30}, rounds={"count": 65}) != {}


def test_attempts_that_may_be_repeated_and_steps_are_counted(problems):
    found = problems(privacy=LOCAL | {"epsilon": 8.0, "noiseMultiplier": 2})["spec.privacy.noiseMultiplier"]
    assert "over 100 rounds and 10 that may be repeated, not 8." in found
    assert "rounds.count <= 10. With 10 clients" in found
    assert problems(privacy=LOCAL | {"epsilon": 8.0, "noiseMultiplier": 2}, rounds={"count": 10}) == {}
    assert problems(privacy=LOCAL | {"epsilon": 8.0, "noiseMultiplier": 2}, rounds={"count": 11}) != {}
    found = problems(privacy=RECORDS | {"noiseMultiplier": 3})["spec.privacy.noiseMultiplier"]
    assert "10 that may be repeated, 5 steps each, not 1. Use noiseMultiplier >= 20.01, or rounds.count <= 1" in found
    assert "With 10 clients" not in found


@pytest.mark.parametrize(
    ("aggregation", "words"),
    [
        ({"rule": "Krum"}, "Krum with noise 37.31 gives ε = 14.4 at δ = 1e-05, not 1: one of 10 clients can change"),
        ({"rule": "GeometricMedian"}, "GeometricMedian with noise 37.31 gives ε = 14.4"),
        ({"rule": "Bulyan"}, "Bulyan with noise 37.31 may give ε = 14.4"),
        ({"preAggregation": "NearestNeighborMixing"}, "FedTrimmedAvg after NearestNeighborMixing with noise 37.31 may"),
        ({"rule": "FedAvg", "insecure": True}, "FedAvg with noise 37.31 gives ε = 14.4"),
    ],
)
def test_a_pair_that_is_unsound_is_refused_with_the_epsilon_that_it_really_gives(problems, aggregation, words):
    found = problems(privacy=CENTRAL, aggregation=aggregation)
    assert found["spec.privacy"].startswith(words)
    assert found["spec.privacy"].endswith("clients add the noise, and every rule does.")
    assert {field.partition(".aggregation.")[1] for field in found} == {"", ".aggregation."}
    assert problems(privacy=LOCAL, aggregation=aggregation) == {}


def test_a_count_that_would_spend_everything_is_refused_whatever_the_noise_follows_from(problems):
    adaptive = {"adaptiveClipping": {"countNoise": 1.0}}
    found = problems(privacy=CENTRAL | adaptive)["spec.privacy.adaptiveClipping.countNoise"]
    assert found.startswith("The noise has to be 37.31 over 100 rounds, and the count")
    assert "A countNoise above 37.31 needs 374 clients a round." in found
    assert problems(privacy=CENTRAL | adaptive | {"epsilon": 150.0}) == {}


def test_noise_alone_that_hides_nothing_is_refused(problems):
    only = {name: value for name, value in CENTRAL.items() if name != "epsilon"}
    assert "not 1000" in problems(privacy=only | {"noiseMultiplier": 0.02})["spec.privacy.noiseMultiplier"]
    assert problems(privacy=only | {"noiseMultiplier": 0.5}) == {}


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"noiseMultiplier": 0.01, "batchSize": 500, "steps": 1000}, "noiseMultiplier", "gives ε = more than 1,000"),
        ({"epsilon": 1.0, "batchSize": 1, "steps": 1_000_000}, "steps", "1000000 in each of 100 rounds are more"),
        ({"epsilon": 1.0, "batchSize": 1, "steps": 1, "delta": 1e-30}, "delta", "no epsilon is told below"),
        (
            {"noiseMultiplier": 9, "batchSize": 1, "steps": 10_000, "delta": 3e-9},
            "delta",
            "nor below 4e-15 for each step",
        ),
    ],
)
def test_what_would_fill_the_memory_or_take_all_day_is_not_computed(problems, monkeypatch, changes, field, words):
    monkeypatch.setattr(Mechanism, "noise", lambda *_: 5.0)  # the advice has an end of its own
    monkeypatch.setattr(Mechanism, "rounds_within", lambda *_: 0)
    monkeypatch.setattr(accountant, "epsilon_of_batches", lambda *_: pytest.fail("a distribution of losses is made"))
    sampled = {"mode": "RecordLevel", "delta": 1e-6, "clip": 1.0, "records": 1000}
    found = problems(privacy=sampled | changes)
    assert set(found) == {f"spec.privacy.{field}"}
    assert words in found[f"spec.privacy.{field}"]


def test_an_accepted_spec_that_nobody_can_count_is_not_planned(document):
    document["spec"]["privacy"] = RECORDS | {"steps": 1_000_000}
    with pytest.raises(InvalidTrainingError, match="take too long to count"):
        calibrated(parse_accepted(document).spec)


def test_a_target_that_no_noise_of_use_reaches_is_refused(problems):
    found = problems(privacy=CENTRAL | {"epsilon": 0.001}, rounds={"count": 100_000})
    assert found["spec.privacy.epsilon"].startswith("No noise of any use gives ε = 0.001")


def test_a_delta_that_no_noise_of_use_meets_is_named(problems):
    small = {"epsilon": 0.01, "delta": 1e-300}
    assert problems(privacy=CENTRAL | small) == {
        "spec.privacy.delta": "No noise of any use gives ε = 0.01 at δ = 1e-300 over 100 rounds."
        " A larger delta does it: up to 0.01 it is a tenth of one in 10 at most."
    }
    assert problems(privacy=CENTRAL | small | {"delta": 0.01}) == {}
    assert set(problems(privacy=CENTRAL | small | {"epsilon": 0.001}, rounds={"count": 100_000})) == {
        "spec.privacy.epsilon"
    }


def test_what_rules_find_is_told_with_the_numbers_and_what_is_missing_alone(problems):
    found = problems(privacy=CENTRAL | {"noiseMultiplier": 1.1, "adaptiveClipping": {"countNoise": 0.5}})
    assert set(found) == {"spec.privacy.noiseMultiplier", "spec.privacy.adaptiveClipping.countNoise"}
    assert set(problems(privacy={"mode": "ClientLevelCentral", "clip": 1.0, "epsilon": 1.0})) == {"spec.privacy.delta"}
    assert set(problems(privacy={"mode": "ClientLevelCentral", "clip": "1", "epsilon": 1.0})) == {"spec.privacy.clip"}


def test_an_accepted_spec_of_other_rules_is_planned_no_more(document):
    document["spec"] |= {"privacy": CENTRAL, "aggregation": {"rule": "Krum"}}
    with pytest.raises(InvalidTrainingError, match="gives ε"):
        calibrated(parse_accepted(document).spec)


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[3] / "examples").glob("*/training.yaml")), ids=str)
def test_the_examples_keep_what_they_promise(path):
    calibrated(checked_training(YAML(typ="safe").load(path)).spec)
