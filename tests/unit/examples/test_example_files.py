"""What stands in the examples' YAML and TOML fits their code and the API."""

import tomllib

import pytest
from ruamel.yaml import YAML

from shieldwall.contract.policy import Rule
from shieldwall.control.api.parse import parse_training

NAMES = ["digits", "quickstart"]
FILES = ["digits/training.yaml", "digits/training-private.yaml", "quickstart/training.yaml"]


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def spec(examples_directory, name):
    return parse_training(YAML(typ="safe").load(examples_directory / name / "training.yaml")).spec


@pytest.fixture
def flower(examples_directory, name):
    return tomllib.loads((examples_directory / name / "pyproject.toml").read_text())["tool"]["flwr"]["app"]


@pytest.mark.parametrize("file", FILES)
def test_the_training_names_what_the_app_has(example, examples_directory, file):
    spec = parse_training(YAML(typ="safe").load(examples_directory / file)).spec
    for reference in (spec.app.client_app, spec.app.server_app, spec.app.model, spec.app.evaluate):
        if reference is not None:
            module, _, attribute = reference.partition(":")
            assert hasattr(example(module), attribute)


def test_the_training_and_flwr_run_use_the_same_app_and_numbers(spec, flower):
    assert spec.app.client_app == flower["components"]["clientapp"]
    assert spec.app.server_app in (None, flower["components"]["serverapp"])
    assert {"num-server-rounds": spec.rounds.count} | dict(spec.app.config) == flower["config"]


def test_the_rounds_can_bear_the_liars_they_declare(spec):
    honest = len(spec.clients) - spec.aggregation.tolerated
    assert spec.aggregation.replies_needed <= spec.min_replies <= honest


def test_the_examples_show_both_modes(examples_directory):
    digits, quickstart = (
        parse_training(YAML(typ="safe").load(examples_directory / name / "training.yaml")).spec for name in NAMES
    )
    assert (len(digits.clients), digits.aggregation.rule) == (10, Rule.FED_TRIMMED_AVG)
    assert digits.app.server_app is None
    assert (len(quickstart.clients), quickstart.aggregation.rule) == (4, Rule.FED_MEDIAN)
    assert quickstart.app.model is None
