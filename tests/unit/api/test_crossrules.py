import copy
import json
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shieldwall.control.api.crd import resource_schema
from shieldwall.control.api.parse import parse_training
from shieldwall.control.api.problems import InvalidTrainingError
from shieldwall.control.api.rules import RULES
from shieldwall.control.api.spec import FederatedTrainingSpec
from shieldwall.control.api.terms import TERMS
from shieldwall.control.api.training import RESERVED_WORDS

LOCAL = {"mode": "ClientLevelLocal", "epsilon": 8.0, "delta": 0.001, "clip": 1.0}
CENTRAL = LOCAL | {"mode": "ClientLevelCentral"}
RECORDS = {"epsilon": 1.0, "delta": 0.00001, "clip": 1.0, "records": 140, "batchSize": 32, "steps": 5}
WRAPPED = {"image": "x", "clientApp": "a:b", "serverApp": "a:s"}
ADAPTIVE = {"countNoise": 1.0}


def messages(document):
    try:
        parse_training(document)
    except InvalidTrainingError as error:
        return [(problem.field, problem.message) for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("aggregation", "rounds", "field", "message"),
    [
        (
            {"rule": "Krum", "byzantine": 4},
            {"minReplies": 8},
            "byzantine",
            (
                "Krum tolerates f Byzantine clients only if n >= 2f+3 (Blanchard 2017). f = 4 needs 11 replies;"
                " spec.rounds.minReplies is 8. Use byzantine <= 2, or at least 11 clients."
            ),
        ),
        (
            {"rule": "MultiKrum", "byzantine": 3},
            {"minReplies": 8},
            "byzantine",
            (
                "MultiKrum tolerates f Byzantine clients only if n >= 2f+3 (Blanchard 2017). f = 3 needs 9 replies;"
                " spec.rounds.minReplies is 8. Use byzantine <= 2, or minReplies >= 9."
            ),
        ),
        (
            {"rule": "Krum", "byzantine": 0},
            {"minReplies": 2},
            "byzantine",
            (
                "Krum tolerates f Byzantine clients only if n >= 2f+3 (Blanchard 2017). f = 0 needs 3 replies;"
                " spec.rounds.minReplies is 2. Use minReplies >= 3."
            ),
        ),
        (
            {"byzantine": 5},
            {},
            "byzantine",
            (
                "FedTrimmedAvg tolerates f Byzantine clients only if n > 2f (Yin 2018). f = 5 needs 11 replies;"
                " spec.clients has 10. Use byzantine <= 4, or at least 11 clients."
            ),
        ),
        (
            {"rule": "FedMedian", "byzantine": 1},
            {"minReplies": 2},
            "byzantine",
            "spec.rounds.minReplies is 2. Use byzantine: 0, which withstands no liar, or minReplies >= 3.",
        ),
        ({"rule": "FedMedian", "byzantine": 2}, {"minReplies": 4}, "byzantine", "n > 2f (Yin 2018)"),
        ({"rule": "MultiKrum", "select": 10}, {}, "select", "with f = 1, spec.clients has 10. Use select <= 9."),
        ({"select": 2}, {}, "select", "Only MultiKrum selects"),
        ({"rule": "FedMedian", "beta": 0.1}, {}, "beta", "Only FedTrimmedAvg cuts"),
        ({"rule": "ClippedMean"}, {}, "maxNorm", "Give maxNorm"),
        ({"maxNorm": 2.0, "rejectNorm": 1.0}, {}, "maxNorm", "Use maxNorm <= rejectNorm"),
        ({"rule": "FedAvg"}, {}, "rule", "insecure: true"),
        ({"insecure": True}, {}, "insecure", "the rule is FedTrimmedAvg. Leave insecure: true out."),
        ({"rule": "FedAvg", "insecure": True, "byzantine": 2}, {}, "byzantine", "FedAvg tolerates no Byzantine client"),
        (
            {"rule": "Bulyan", "byzantine": 2},
            {},
            "byzantine",
            (
                "Bulyan tolerates f Byzantine clients only if n >= 4f+3 (El Mhamdi 2018). f = 2 needs 11 replies;"
                " spec.clients has 10. Use byzantine <= 1, or at least 11 clients."
            ),
        ),
        (
            {"rule": "GeometricMedian", "byzantine": 3},
            {"minReplies": 6},
            "byzantine",
            (
                "GeometricMedian tolerates f Byzantine clients only if n > 2f (Pillutla 2019). f = 3 needs 7 replies;"
                " spec.rounds.minReplies is 6. Use byzantine <= 2, or minReplies >= 7."
            ),
        ),
        (
            {"rule": "ClippedMean", "byzantine": 5, "maxNorm": 1.0},
            {"minReplies": 10},
            "byzantine",
            (
                "ClippedMean tolerates f Byzantine clients only if n > 2f (Sun 2019). f = 5 needs 11 replies;"
                " spec.rounds.minReplies is 10. Use byzantine <= 4, or at least 11 clients."
            ),
        ),
        (
            {"rule": "CenteredClipping", "byzantine": 2, "maxNorm": 1.0},
            {},
            "byzantine",
            (
                "CenteredClipping tolerates f Byzantine clients only if n >= 10f (Karimireddy 2021). f = 2 needs 20"
                " replies; spec.clients has 10. Use byzantine <= 1, or at least 20 clients."
            ),
        ),
        ({"rule": "CenteredClipping"}, {}, "maxNorm", "clips to the radius maxNorm"),
        (
            {"byzantine": 3, "preAggregation": "Bucketing"},
            {},
            "byzantine",
            (
                "FedTrimmedAvg is given a bucket for every 2 replies, and f of these may be lies (Karimireddy 2022)."
                " f = 3 needs 13 replies; spec.clients has 10. Use byzantine <= 2, or at least 13 clients."
            ),
        ),
        (
            {"rule": "Krum", "byzantine": 1, "preAggregation": "Bucketing", "bucketSize": 3},
            {"minReplies": 9},
            "byzantine",
            ("f = 1 needs 13 replies; spec.rounds.minReplies is 9."
            " Use byzantine: 0, which withstands no liar, or at least 13 clients."),
        ),
        (
            {"rule": "ClippedMean", "maxNorm": 1.0, "byzantine": 5, "preAggregation": "Bucketing"},
            {},
            "byzantine",
            "f = 5 needs 21 replies; spec.clients has 10. Use byzantine <= 2, or at least 21 clients.",
        ),
        (
            {"rule": "ClippedMean", "maxNorm": 1.0, "byzantine": 5, "preAggregation": "NearestNeighborMixing"},
            {},
            "byzantine",
            (
                "ClippedMean tolerates f Byzantine clients only if n > 2f (Sun 2019). f = 5 needs 11 replies;"
                " spec.clients has 10. Use byzantine <= 4, or at least 11 clients."
            ),
        ),
        (
            {"rule": "MultiKrum", "select": 5, "preAggregation": "Bucketing"},
            {},
            "select",
            "select is 5; with f = 1, spec.clients has 10. Use select <= 4.",
        ),
        (
            {"rule": "FedAvg", "insecure": True, "preAggregation": "Bucketing"},
            {},
            "preAggregation",
            "Bucketing leaves none to weigh by",
        ),
        ({"bucketSize": 2}, {}, "bucketSize", "Leave bucketSize out"),
        ({"bucketSize": 2, "preAggregation": "NearestNeighborMixing"}, {}, "bucketSize", "Leave bucketSize out"),
    ],
)  # fmt: skip
def test_a_rule_of_aggregation_is_refused_outside_its_theorem(document, aggregation, rounds, field, message):
    document["spec"]["aggregation"] = aggregation
    document["spec"]["rounds"] |= rounds
    found = messages(document)
    assert [where for where, _ in found] == [f"spec.aggregation.{field}"]
    assert message in found[0][1]


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"rounds": {"count": 1, "minReplies": 11}}, "spec.rounds.minReplies", "Use minReplies <= 10."),
        ({"app": {"image": "x", "clientApp": "a:b"}}, "spec.app", "exactly one of model"),
        ({"app": {"image": "x", "clientApp": "a:b", "model": "a:m", "serverApp": "a:s"}}, "spec.app", "exactly one"),
        (
            {"app": {"image": "x", "clientApp": "a:b", "serverApp": "a:s", "evaluate": "a:e"}},
            "spec.app.evaluate",
            "Leave evaluate out",
        ),
        ({"identity": {"certificateTTL": "59m59s"}}, "spec.identity.certificateTTL", "59m59s is outside"),
        ({"identity": {"certificateTTL": "721h"}}, "spec.identity.certificateTTL", "721h is outside"),
        ({"identity": {"issuer": {"secret": {"name": "ca"}}}}, "spec.identity.issuer", "not supported yet"),
        ({"identity": {"issuer": {"certManager": {"name": "ca"}}}}, "spec.identity.issuer", "not supported yet"),
        (
            {"privacy": {"mode": "None", "budgetRef": "patients"}},
            "spec.privacy.budgetRef",
            "Give a mode other than None",
        ),
        (
            {
                "privacy": {"mode": "ClientLevelLocal", "delta": 0.001, "clip": 1.0, "noiseMultiplier": 9.0}
                | {"budgetRef": "patients"}
            },
            "spec.privacy.budgetRef",
            "reserves all that it may spend before it starts",
        ),
        ({"contribution": {"policy": "MinCosine"}}, "spec.contribution.minCosine", "Give minCosine"),
        ({"queries": {"enabled": True}}, "spec.queries", "not supported yet"),
        ({"clients": [{"name": n, "external": n == "b"} for n in "abcd"]}, "spec.clients", "b is one"),
    ],
)
def test_what_crosses_fields_is_named(document, changes, field, words):
    document["spec"] |= changes
    found = messages(document)
    assert [where for where, _ in found] == [field]
    assert words in found[0][1]


@pytest.mark.parametrize(("privacy", "reason"), [(LOCAL, "mostly noise"), (CENTRAL, "shows in every later release")])
@pytest.mark.parametrize(
    ("contribution", "wrong"),
    [
        ({"policy": "Innovation"}, True),
        ({"policy": "MinCosine", "minCosine": 0.1, "ban": {"strikes": 3}}, True),
        ({"policy": "Innovation", "ban": {"dryRun": True}}, False),
        ({"policy": "None"}, False),
        ({"ban": {"strikes": 3}}, False),
        ({}, False),
    ],
)
def test_where_all_of_a_client_is_hidden_nobody_may_be_banned(document, contribution, wrong, privacy, reason):
    document["spec"] |= {"contribution": contribution, "privacy": privacy}
    field, words = "contribution.policy" if wrong else None, reason
    found = messages(document)
    assert [where for where, _ in found] == ([f"spec.{field}"] if field else [])
    assert all(words in what for _, what in found)


@pytest.mark.parametrize(("policy", "wrong"), [("Reject", True), ("Report", False), ("None", False), (None, False)])
def test_under_central_noise_no_update_is_refused_by_comparison(document, policy, wrong):
    validation = {"policy": policy} if policy else {}
    document["spec"] |= {"validation": validation, "privacy": CENTRAL}
    assert ("spec.validation.policy" in [where for where, _ in messages(document)]) is wrong


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"privacy": {"mode": "None", "epsilon": 1.0}}, "privacy.mode", "nothing else of privacy counts"),
        ({"privacy": {"mode": "None", "amplification": True}}, "privacy.mode", "Leave the rest out"),
        ({"privacy": LOCAL | {"epsilon": None}}, "privacy.epsilon", "from which epsilon follows"),
        ({"privacy": LOCAL | {"delta": None}}, "privacy.delta", "such as 0.00001"),
        ({"privacy": LOCAL | {"clip": None}}, "privacy.clip", "such as 1.0"),
        ({"privacy": LOCAL | {"delta": 0.1}}, "privacy.delta", "one client in 10 away has delta = 1/10"),
        ({"privacy": RECORDS | {"delta": 0.00072}}, "privacy.delta", "one record in 1400 away has delta = 1/1400"),
        ({"privacy": RECORDS | {"delta": 0.9, "records": 1, "batchSize": 1}}, "privacy.delta", "one record in 10 away"),
        ({"privacy": RECORDS | {"clip": 1e-44}}, "privacy.clip", "1e-06"),
        ({"privacy": RECORDS | {"steps": None}}, "privacy", "Give records"),
        (
            {"privacy": RECORDS | {"steps": 33_334}},
            "privacy.steps",
            "33334 in each of 30 rounds are more. Use steps <= 33333, or fewer rounds.",
        ),
        ({"privacy": RECORDS | {"delta": 1e-18}}, "privacy.delta", "no epsilon is told below delta = 1e-10"),
        (
            {"privacy": RECORDS | {"delta": 1e-9, "steps": 33_333}},
            "privacy.delta",
            "nor below 4e-15 for each step of all rounds, whatever the noise: rounding would be a part of it. Use a",
        ),
        ({"privacy": LOCAL | {"records": 5}}, "privacy", "the mode is ClientLevelLocal"),
        ({"privacy": RECORDS | {"batchSize": 141}}, "privacy.batchSize", "batchSize <= 140"),
        ({"privacy": LOCAL | {"amplification": True}}, "privacy.amplification", "under ClientLevelLocal the server"),
        ({"privacy": CENTRAL | {"amplification": True}}, "privacy.amplification", "fractionTrain below 1"),
        ({"privacy": RECORDS | {"adaptiveClipping": ADAPTIVE}}, "privacy.adaptiveClipping", "mode is RecordLevel"),
        (
            {"privacy": CENTRAL | {"adaptiveClipping": ADAPTIVE, "noiseMultiplier": 1.0}},
            "privacy.adaptiveClipping.countNoise",
            "with 10 clients a round, of at most 10/10",
        ),
        (
            {"privacy": CENTRAL | {"adaptiveClipping": {"countNoise": 1.1}}},
            "privacy.adaptiveClipping.countNoise",
            "10 clients a round allow 10/10",
        ),
        ({"privacy": CENTRAL | {"clip": 10_001.0}}, "privacy.clip", "Use clip <= rejectNorm"),
        ({"privacy": CENTRAL, "aggregation": {"maxNorm": 2.0}}, "aggregation.maxNorm", "Leave maxNorm out"),
        ({"privacy": CENTRAL, "app": WRAPPED}, "privacy.mode", "each client's metrics"),
        (
            {"privacy": CENTRAL, "aggregation": {"rule": "FedAvg", "insecure": True}},
            "aggregation.rule",
            "FedAvg weighs clients by the examples that they claim",
        ),
        ({"privacy": CENTRAL, "aggregation": {"rule": "Krum"}}, "aggregation.rule", "Krum may exchange its whole"),
        ({"privacy": CENTRAL, "aggregation": {"rule": "GeometricMedian"}}, "aggregation.rule", "sensitivity is 2C"),
        ({"privacy": CENTRAL, "aggregation": {"rule": "Bulyan"}}, "aggregation.rule", "Bulyan chooses by comparing"),
        (
            {"privacy": CENTRAL, "aggregation": {"preAggregation": "NearestNeighborMixing"}},
            "aggregation.preAggregation",
            "NearestNeighborMixing chooses by comparing",
        ),
        (
            {"privacy": CENTRAL, "aggregation": {"rule": "FedMedian", "preAggregation": "Bucketing"}},
            "aggregation.preAggregation",
            "FedMedian has no sensitivity that is known in buckets",
        ),
    ],
)
def test_what_makes_an_epsilon_false_is_refused(document, changes, field, words):
    document["spec"] |= changes
    found = messages(document)
    assert [where for where, _ in found] == [f"spec.{field}"]
    assert words in found[0][1]


def test_from_a_hundred_clients_on_the_mode_is_said(document):
    document["spec"] |= {"privacy": RECORDS, "clients": [{"name": f"c{number}"} for number in range(100)]}
    assert [where for where, _ in messages(document)] == ["spec.privacy.mode"]
    document["spec"]["privacy"] = RECORDS | {"mode": "RecordLevel"}
    assert messages(document) == []
    document["spec"] |= {"privacy": RECORDS, "clients": document["spec"]["clients"][:99]}
    assert messages(document) == []


def test_what_is_not_said_follows_from_privacy(document):
    def policies(mode):
        spec = document["spec"] | ({"privacy": {"mode": mode}} if mode else {})
        parsed = FederatedTrainingSpec.model_validate_json(json.dumps(spec))
        return parsed.contribution_policy.value, parsed.validation_policy.value

    assert policies(None) == policies("RecordLevel") == ("Innovation", "Reject")
    assert policies("ClientLevelLocal") == ("None", "Reject")
    assert policies("ClientLevelCentral") == ("None", "None")


def test_a_client_outside_the_regions_is_named(document):
    document["spec"]["clients"] = [{"name": n, "region": "eu" if n != "c" else "us"} for n in "abcd"]
    document["spec"]["residency"] = {"regions": ["eu"]}
    assert any(field == "spec.clients" and "c has none of them" in words for field, words in messages(document))


@pytest.mark.parametrize(
    "changes",
    [
        {"aggregation": {"rule": "FedAvg", "insecure": True}},
        {"aggregation": {"rule": "Krum", "byzantine": 3}},
        {"aggregation": {"rule": "MultiKrum", "byzantine": 3, "select": 7}},
        {"aggregation": {"rule": "ClippedMean", "maxNorm": 1.0}},
        {"aggregation": {"rule": "ClippedMean", "maxNorm": 1.0, "byzantine": 4}},
        {"aggregation": {"beta": 0.49}},
        {"aggregation": {"rule": "Bulyan", "byzantine": 1}},
        {"aggregation": {"rule": "GeometricMedian", "byzantine": 4}},
        {"aggregation": {"rule": "CenteredClipping", "maxNorm": 1.0}},
        {"aggregation": {"preAggregation": "NearestNeighborMixing", "byzantine": 4}},
        {"aggregation": {"preAggregation": "Bucketing", "byzantine": 2}},
        {"aggregation": {"preAggregation": "Bucketing", "bucketSize": 3}},
        {"privacy": {"mode": "None"}},
        {"privacy": RECORDS},
        {"privacy": RECORDS | {"mode": "RecordLevel"}, "aggregation": {"rule": "Krum"}, "app": WRAPPED},
        {"privacy": RECORDS | {"budgetRef": "patients"}},
        {"privacy": LOCAL, "aggregation": {"rule": "Bulyan"}, "app": WRAPPED},
        {"privacy": CENTRAL},
        {"privacy": CENTRAL, "aggregation": {"rule": "ClippedMean"}},
        {"privacy": CENTRAL, "aggregation": {"rule": "CenteredClipping", "maxNorm": 1.0}},
        {"privacy": CENTRAL, "aggregation": {"rule": "MultiKrum", "select": 9}},
        {"privacy": CENTRAL, "aggregation": {"rule": "FedMedian"}},
        {"privacy": CENTRAL, "aggregation": {"preAggregation": "Bucketing"}},
        {"privacy": CENTRAL | {"amplification": True}, "rounds": {"count": 3, "fractionTrain": 0.5, "minReplies": 4}},
        {"privacy": CENTRAL | {"adaptiveClipping": ADAPTIVE, "noiseMultiplier": 0.9}},
        {"privacy": CENTRAL | {"acknowledge": ["LowSignalToNoise"]}},
        {"contribution": {"policy": "None"}},
        {"contribution": {"policy": "Innovation", "ban": {"strikes": 3, "exempt": ["a"]}}},
        {"contribution": {"policy": "MinCosine", "minCosine": -0.1, "ban": {"dryRun": True}}},
        {"validation": {"policy": "Report", "normZ": 4.5}},
        {"queries": {"enabled": False}},
        {"suspend": True},
        {"storage": {"modelDeletionPolicy": "Delete"}},
        {"identity": {"certificateTTL": "720h", "issuer": {"builtIn": {}}}},
        {"identity": {"certificateTTL": "60m"}},
        {"app": {"image": "x", "clientApp": "a:b", "serverApp": "a:s"}},
    ],
)
def test_what_is_sound_is_taken(document, changes):
    document["spec"] |= changes
    assert messages(document) == []


INTEGERS = st.integers(0, 9)
REGIONS = st.sampled_from(["eu", "us"])
OPTIONAL = {
    "aggregation": {
        "rule": st.sampled_from([
            "FedAvg", "ClippedMean", "FedMedian", "FedTrimmedAvg", "Krum", "MultiKrum", "Bulyan", "GeometricMedian",
            "CenteredClipping",
        ]),
        "byzantine": INTEGERS,
        "beta": st.sampled_from([0.0, 0.2]),
        "select": st.integers(1, 9),
        "preAggregation": st.sampled_from(["NearestNeighborMixing", "Bucketing"]),
        "bucketSize": st.integers(2, 5),
        "maxNorm": st.sampled_from([0.5, 1.0, 20_000.0]),
        "rejectNorm": st.sampled_from([0.7, 1.0, 30_000.0]),
        "insecure": st.booleans(),
    },
    "privacy": {
        "mode": st.sampled_from(["None", "RecordLevel", "ClientLevelLocal", "ClientLevelCentral"]),
        "epsilon": st.just(1.0),
        "delta": st.sampled_from([1e-11, 0.01, 0.1, 0.5]),
        "clip": st.sampled_from([0.5, 1.0, 20_000.0]),
        "noiseMultiplier": st.sampled_from([0.1, 1.0]),
        "records": st.sampled_from([1, 9, 101]),
        "batchSize": st.sampled_from([1, 9, 101]),
        "steps": st.sampled_from([2, 400_000]),
        "amplification": st.booleans(),
        "adaptiveClipping": st.fixed_dictionaries({"countNoise": st.sampled_from([0.1, 0.4, 1.0, 2.0])}),
        "acknowledge": st.just(["LowSignalToNoise"]),
        "budgetRef": st.just("b"),
    },
    "validation": {"policy": st.sampled_from(["None", "Report", "Reject"]), "normZ": st.just(4.5)},
    "contribution": {
        "policy": st.sampled_from(["None", "Innovation", "MinCosine"]),
        "minCosine": st.just(0.1),
        "ban": st.fixed_dictionaries({}, optional={"strikes": st.just(3), "dryRun": st.booleans()}),
    },
    "identity": {
        "certificateTTL": st.sampled_from(["1h", "59m", "3599s", "3600s", "59m60s", "720h", "720h1s", "0s", "999999h"]),
        "issuer": st.fixed_dictionaries(
            {},
            optional={
                "builtIn": st.just({}),
                "secret": st.just({"name": "s"}),
                "certManager": st.just({"name": "c"}),
            },
        ),
    },
    "queries": {"enabled": st.booleans()},
}  # fmt: skip
SPECS = st.fixed_dictionaries(
    {
        "app": st.fixed_dictionaries(
            {"image": st.just("x"), "clientApp": st.just("a:b")},
            optional={name: st.just("a:b") for name in ("model", "serverApp", "evaluate")},
        ),
        "rounds": st.fixed_dictionaries(
            {"count": st.sampled_from([1, 3])},
            optional={"minReplies": st.integers(1, 14), "fractionTrain": st.sampled_from([0.07, 0.29, 0.5, 1.0])},
        ),
        "clients": st.lists(
            st.fixed_dictionaries({}, optional={"region": REGIONS, "external": st.booleans()}), min_size=1, max_size=13
        ),
    },
    optional={
        **{name: st.fixed_dictionaries({}, optional=fields) for name, fields in OPTIONAL.items()},
        "residency": st.fixed_dictionaries({"regions": st.lists(REGIONS, min_size=1, max_size=2)}),
        "suspend": st.booleans(),
    },
)


def named(spec):
    """The clients with names, each its own."""
    return spec | {"clients": [{"name": f"c{number}"} | client for number, client in enumerate(spec["clients"])]}


@cache
def compiled(expression):
    cel = pytest.importorskip("cel_expr_python.cel")
    strings = pytest.importorskip("cel_expr_python.ext.ext_strings")
    environment = cel.NewEnv(variables={"self": cel.Type.DYN}, extensions=[strings.ExtStrings()])
    return environment.compile(expression)


@given(spec=SPECS)
@settings(max_examples=300, deadline=None)
def test_cel_and_python_give_the_same_verdict_in_the_same_words(spec):
    def evaluate(expression, value):
        return compiled(expression).eval(data={"self": value}).value()

    parsed = FederatedTrainingSpec.model_validate_json(json.dumps(named(spec)))
    # What the API server evaluates: defaults filled in, nothing where nothing was given.
    defaulted = parsed.model_dump(mode="json", exclude_none=True)
    for rule in RULES:
        validation = rule.validation(TERMS)
        verdict = evaluate(validation["rule"], defaulted)
        assert verdict is rule.holds(parsed), validation["rule"]
        if not verdict:
            expression = validation.get("messageExpression")
            sentence = evaluate(expression, defaulted) if expression else validation["message"]
            assert sentence == rule.breach(parsed, TERMS)


@given(prefix=st.sampled_from(["a", "a-b", "client", "server-x"]), word=st.sampled_from(RESERVED_WORDS))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_reserved_words_are_refused_after_a_dash_only(document, prefix, word):
    for name, wrong in ((f"{prefix}-{word}", True), (f"{prefix}-{word}-x", True), (f"{prefix}-{word}x", False)):
        changed = copy.deepcopy(document)
        changed["metadata"]["name"] = name
        assert bool(messages(changed)) is wrong


def test_the_api_server_checks_names_too():
    cel = pytest.importorskip("cel_expr_python.cel")
    environment = cel.NewEnv(variables={"self": cel.Type.DYN})
    rules = [environment.compile(rule["rule"]) for rule in resource_schema()["x-kubernetes-validations"]]

    def verdicts(name):
        return [rule.eval(data={"self": {"metadata": {"name": name}}}).value() for rule in rules]

    assert all(verdicts("digits"))
    assert all(verdicts("clients-of-server1"))
    assert verdicts("n" * 31) == [False, True, True]
    assert verdicts("9lives") == [True, False, True]
    assert verdicts("my-server") == [True, True, False]
    assert verdicts("a-ca-b") == [True, True, False]
