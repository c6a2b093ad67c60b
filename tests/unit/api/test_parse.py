import datetime as dt
import math
import subprocess
import sys

import pytest
from ruamel.yaml import YAML

from shieldwall.contract.policy import Rule
from shieldwall.control.api.parse import parse_training
from shieldwall.control.api.problems import InvalidTrainingError, Problem


def problems(document):
    with pytest.raises(InvalidTrainingError) as caught:
        parse_training(document)
    return {problem.field: problem.message for problem in caught.value.problems}


def put(document, path, value):
    """Set ``path`` (``spec.clients[0].name``) in the document."""
    steps = path.replace("[", ".").replace("]", "").split(".")
    *parents, last = [int(step) if step.isdecimal() else step for step in steps]
    for step in parents:
        document = document[step] if isinstance(step, int) or step in document else document.setdefault(step, {})
    document[last] = value


def test_a_minimal_training_is_safe_by_default(document):
    training = parse_training(document)
    assert (training.name, training.namespace, training.uid) == ("digits", "fed", None)
    spec = training.spec
    assert spec.aggregation.rule is Rule.FED_TRIMMED_AVG
    assert spec.aggregation.tolerated == 1
    assert spec.aggregation.reject_norm == 10_000
    assert spec.min_replies == 9
    assert spec.rounds.grace_seconds == 30
    assert spec.identity.lifetime == dt.timedelta(hours=24)
    assert spec.app.config == {"lr": 0.1, "local-epochs": 2}


def test_what_the_api_server_adds_is_read_or_passed_over(document):
    document["metadata"] |= {"uid": "4c1f", "generation": 3, "managedFields": [{}], "labels": {"a": "b"}}
    document["status"] = {"phase": "Training", "anything": [1, None]}
    training = parse_training(document)
    assert (training.uid, training.generation) == ("4c1f", 3)


def test_null_means_absent_as_it_does_to_an_api_server(document):
    document["spec"] |= {"privacy": None, "aggregation": {"beta": None}, "clientTemplate": None}
    assert parse_training(document).spec.privacy is None


def test_a_whole_number_of_bytes_is_a_quantity_however_it_is_written(document):
    for bytes_ in (1_000_000_000, 1e9, "1000000000"):
        document["spec"]["storage"] = {"model": bytes_}
        assert parse_training(document).spec.storage.model == "1000000000"
    document["spec"]["storage"] = {"model": 1e9 + 0.5}
    with pytest.raises(InvalidTrainingError, match="quantity of bytes"):
        parse_training(document)


@pytest.mark.parametrize(
    ("fraction", "byzantine", "expected"), [(1.0, 2, 8), (1.0, 4, 9), (0.5, 1, 4), (0.3, 1, 3), (0.01, 0, 1)]
)
def test_the_default_of_min_replies_survives_silent_liars_within_the_theorem(document, fraction, byzantine, expected):
    document["spec"]["rounds"]["fractionTrain"] = fraction
    document["spec"]["aggregation"] = {"byzantine": byzantine}
    assert parse_training(document).spec.min_replies == expected


@pytest.mark.parametrize(
    ("path", "value", "field", "words"),
    [
        ("spec.app.imag", "x", "spec.app.imag", "Did you mean image?"),
        ("spec.app.client_app", "a:b", "spec.app.client_app", "Did you mean clientApp?"),
        ("spec.rounds.count", "30", "spec.rounds.count", "a whole number; '30'"),
        ("spec.rounds.count", True, "spec.rounds.count", "a whole number; true"),
        ("spec.rounds.count", 2.0, "spec.rounds.count", "a whole number; 2.0"),
        ("spec.rounds.count", 0, "spec.rounds.count", "at least 1; 0"),
        ("spec.rounds.count", 10**30, "spec.rounds.count", "a whole number; 1e+30"),
        pytest.param("spec.rounds.count", 10**5000, "spec.rounds.count", "finite", id="5000 digits"),
        ("spec.rounds.fractionTrain", math.nan, "spec.rounds.fractionTrain", "finite"),
        ("spec.rounds.fractionTrain", math.inf, "spec.rounds.fractionTrain", "finite"),
        ("spec.aggregation.beta", 0.5, "spec.aggregation.beta", "less than 0.5; 0.5"),
        ("spec.aggregation.rule", "fedavg", "spec.aggregation.rule", "Did you mean FedAvg?"),
        ("spec.aggregation", [], "spec.aggregation", "Must be a map; a list"),
        ("spec.clients", {"name": "a"}, "spec.clients", "Must be a list; a map"),
        ("spec.clients", [], "spec.clients", "at least 1 entries; it has 0"),
        ("spec.clients[3]", None, "spec.clients[3]", "Must be a map"),
        ("spec.clients[3].name", "Berlin", "spec.clients[3].name", "lower-case letters"),
        ("spec.clients[3].name", "b" * 25, "spec.clients[3].name", "at most 24 characters; it has 25"),
        ("spec.clients[3].name", "site-1", "spec.clients[3].name", "'site-1' is spec.clients[1] already"),
        ("spec.clients[3].nodeConfig", {"a": 'x"y'}, "spec.clients[3].nodeConfig.a", "no quotes"),
        (
            "spec.clients[3].data",
            {"persistentVolumeClaim": {"claimName": "model-x-aggregator-0"}},
            "spec.clients[3].data.persistentVolumeClaim",
            "a training's own volume",
        ),
        (
            "spec.clients[3].data",
            {"persistentVolumeClaim": {"claimName": "state-a-b-server-0"}},
            "spec.clients[3].data.persistentVolumeClaim",
            "a training's own volume",
        ),
        ("spec.app.config", {"lr": [1]}, "spec.app.config.lr", "a number, a text, true or false"),
        ("spec.app.config", {5: 1}, "spec.app.config", "5 is not one"),
        pytest.param("spec.app.config", {10**5000: 1}, "spec.app.config", "a huge number is not", id="huge key"),
        ("spec.app.config", {None: 1}, "spec.app.config", "null is not one"),
        ("spec.app.config", {"since": dt.date(2026, 1, 1)}, "spec.app.config.since", "not a date"),
        ("spec.app.config", {"text": "\ud800"}, "spec.app.config.text", "Unicode"),
        ("spec.app.config", {"text": "x" * 5000}, "spec.app.config.text", "4096"),
        ("spec.app.clientApp", "digits.client_app", "spec.app.clientApp", "import reference"),
        ("spec.clientTemplate.resources.limits", {"cpu": 0.5}, "spec.clientTemplate.resources.limits.cpu", "quantity"),
        ("spec.storage.model", "0Gi", "spec.storage.model", "not zero"),
        ("spec.identity.certificateTTL", "1 day", "spec.identity.certificateTTL", "24h"),
        ("metadata.name", "9lives", "metadata.name", "a letter first"),
        ("metadata.name", "n" * 31, "metadata.name", "at most 30 characters"),
        ("metadata.name", "my-server", "metadata.name", "The word server after a dash"),
        ("metadata.name", "a-client-b", "metadata.name", "The word client after a dash"),
        ("apiVersion", "shieldwall.dev/v1", "apiVersion", "Must be shieldwall.dev/v1alpha1"),
        ("kind", "PrivacyBudget", "kind", "Must be FederatedTraining"),
    ],
)
def test_each_mistake_is_named_with_its_field(document, path, value, field, words):
    put(document, path, value)
    found = problems(document)
    assert list(found) == [field]
    assert words in found[field]


@pytest.mark.parametrize("key", ["", "ü", "a b=c", "a\n", "a.b", "$(X)", '"', "x" * 300])
@pytest.mark.parametrize("path", ["spec.app.config", "spec.clients[0].nodeConfig"])
def test_a_key_of_a_configuration_is_any_text_as_the_api_server_has_it(document, path, key):
    """It cannot see them."""
    put(document, path, {key: 1})
    spec = parse_training(document).spec
    assert (spec.app.config if "app" in path else spec.clients[0].node_config) == {key: 1}


@pytest.mark.parametrize(
    ("written", "read"), [(2**63 - 1, 2**63 - 1), (2**63, 2.0**63), (-(2**63) - 1, -(2.0**63)), (10**20, 1e20)]
)
def test_a_whole_number_beyond_64_bits_is_a_floating_one_as_the_api_server_has_it(document, written, read):
    """And it writes 1e20 without a point."""
    put(document, "spec.app.config", {"x": written})
    found = parse_training(document).spec.app.config["x"]
    assert (found, type(found)) == (read, type(read))


@pytest.mark.parametrize(
    "name", ["model-x", "data-x-server-0", "model-x-server-1", "model-server-0", "my-model-x-server-0"]
)
def test_a_claim_with_another_name_may_be_a_clients_data(document, name):
    put(document, "spec.clients[0].data", {"persistentVolumeClaim": {"claimName": name}})
    assert parse_training(document).spec.clients[0].data.persistent_volume_claim.claim_name == name


@pytest.mark.parametrize("missing", ["app.image", "app.clientApp", "rounds.count", "clients"])
def test_what_is_required_is_said(document, missing):
    section, _, name = missing.partition(".")
    if name:
        del document["spec"][section][name]
    else:
        del document["spec"][section]
    assert problems(document) == {f"spec.{missing}": "This field is required."}


def test_all_problems_come_at_once_sorted_by_field(document):
    del document["spec"]["app"]["image"]
    document["spec"]["rounds"]["count"] = "x"
    document["spec"]["clients"][2]["nam"] = 1
    document["spec"]["clients"].append({"name": "site-9"})
    document["spec"]["aggregation"] = {"rule": "Krum", "byzantine": 5}
    document["spec"]["queries"] = {"enabled": True}
    with pytest.raises(InvalidTrainingError) as caught:
        parse_training(document)
    assert [problem.field for problem in caught.value.problems] == [
        "spec.app.image",
        "spec.clients[2].nam",
        "spec.clients[10].name",
        "spec.queries",
        "spec.rounds.count",
    ]
    document["spec"]["rounds"]["count"] = 3
    found = problems(document)
    assert "f = 5 needs 13 replies; spec.clients has 11" in found["spec.aggregation.byzantine"]


@pytest.mark.parametrize("document", [None, [], "text", 5, True, {}, {"spec": []}, {1: 2}, dt.date(2026, 1, 1)])
def test_documents_that_are_no_training_at_all(document):
    assert problems(document)


def test_a_document_that_holds_itself():
    document = YAML(typ="safe").load("&a {spec: *a, apiVersion: &b [*b]}")
    assert any("Nested" in message for message in problems(document).values())


def test_a_deep_document_is_refused_without_recursion(document):
    deep = []
    for _ in range(100_000):
        deep = [deep]
    document["spec"]["app"]["config"]["deep"] = deep
    assert "Nested more than 32 levels" in problems(document)["spec.app.config.deep"]


def test_a_document_that_multiplies_itself_is_refused_in_bounded_time(document):
    bomb = "x"
    for _ in range(25):
        bomb = [bomb] * 10
    document["spec"]["app"]["config"]["bomb"] = bomb
    assert any("200000 values" in message for message in problems(document).values())


def test_readers_that_keep_comments_are_read_alike():
    text = """
    apiVersion: shieldwall.dev/v1alpha1
    kind: FederatedTraining
    metadata: {name: "digits"}
    spec:
      app: {image: 'x', clientApp: a:b, model: a:b, config: {lr: 1.5e-3, n: 0x10}}
      rounds: {count: 3}  # few
      clients: [{name: a}, {name: b}, {name: c}]
    """
    safe = parse_training(YAML(typ="safe").load(text))
    assert safe == parse_training(YAML(typ="rt").load(text))
    assert safe.spec.app.config == {"lr": 0.0015, "n": 16}


def test_a_problem_is_shown_once_however_often_it_is_found():
    error = InvalidTrainingError((Problem("b", "x"), Problem("a[10]", "x"), Problem("a[2]", "x"), Problem("b", "x")))
    assert [problem.field for problem in error.problems] == ["a[2]", "a[10]", "b"]
    assert str(error) == "a[2]: x\na[10]: x\nb: x"


def test_validating_loads_neither_kubernetes_nor_flower():
    code = "import sys, shieldwall.control.api.parse; print(*sorted({'kubernetes', 'flwr', 'kopf'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert not done.stdout.split()
