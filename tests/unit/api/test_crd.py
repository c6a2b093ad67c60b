from pathlib import Path

import pytest
from ruamel.yaml import YAML

from shieldwall.control.api import budget_crd, crd
from shieldwall.control.api.crd import as_yaml, custom_resource_definition, resource_schema, write
from shieldwall.control.api.fields import PATTERN_SENTENCES

CRDS = Path(__file__).parents[3] / "crds"
DEFINITIONS = {
    "shieldwall.dev_federatedtrainings.yaml": (crd.MODULE, custom_resource_definition()),
    "shieldwall.dev_privacybudgets.yaml": (budget_crd.MODULE, budget_crd.budget_definition()),
}
EACH = pytest.mark.parametrize("name", DEFINITIONS)

# What a structural schema may hold, of all that this one uses (Kubernetes, "Specifying a structural schema").
KEYWORDS = {
    "description", "type", "format", "enum", "default", "pattern", "required", "properties", "additionalProperties",
    "items", "minLength", "maxLength", "minItems", "minProperties", "maxItems", "maxProperties", "minimum", "maximum",
    "exclusiveMinimum", "exclusiveMaximum", "x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-validations", "anyOf",
}  # fmt: skip


def nodes(schema, path=""):
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from nodes(schema["additionalProperties"], f"{path}{{}}")


SPEC = list(nodes(resource_schema()["properties"]["spec"], "spec"))
STATUS = list(nodes(resource_schema()["properties"]["status"], "status"))
BUDGET_SPEC = list(nodes(budget_crd.budget_schema()["properties"]["spec"], "pb.spec"))
BUDGET_STATUS = list(nodes(budget_crd.budget_schema()["properties"]["status"], "pb.status"))
NODES = SPEC + STATUS + BUDGET_SPEC + BUDGET_STATUS
ALL = pytest.mark.parametrize(("path", "schema"), NODES, ids=[path for path, _ in NODES])


@EACH
def test_the_committed_file_is_current(tmp_path, capsys, name):
    module, definition = DEFINITIONS[name]
    committed = CRDS / name
    assert write(module, definition, ["--check", str(committed)]) == 0, f"run: python -m {module} {committed}"
    stale = tmp_path / "crd.yaml"
    assert write(module, definition, ["--check", str(stale)]) == 1
    assert f"is not current; run: python -m {module}" in capsys.readouterr().err
    assert write(module, definition, [str(stale)]) == 0
    assert stale.read_text() == as_yaml(module, definition) == committed.read_text()


def test_every_committed_file_is_generated():
    assert {file.name for file in CRDS.glob("*.yaml")} == set(DEFINITIONS)


@EACH
def test_the_file_is_the_definition(name):
    module, definition = DEFINITIONS[name]
    assert YAML(typ="safe").load(as_yaml(module, definition)) == definition


@ALL
def test_the_schema_is_structural(path, schema):
    assert not set(schema) - KEYWORDS
    if schema.get("x-kubernetes-int-or-string"):
        assert schema["anyOf"] == [{"type": "integer"}, {"type": "string"}]
    else:
        assert "anyOf" not in schema
        assert ("type" in schema) != ("x-kubernetes-preserve-unknown-fields" in schema)
    assert ("items" in schema) == (schema.get("type") == "array")
    assert "properties" not in schema or "additionalProperties" not in schema
    assert path.endswith(("{}", "[]")) or schema.get("description"), "kubectl explain has nothing to say"


@ALL
def test_every_text_list_and_map_is_bounded(path, schema):
    match schema.get("type"):
        case "string":
            assert "maxLength" in schema or "enum" in schema, path
        case "array":
            assert "maxItems" in schema
        case "object" if "additionalProperties" in schema:
            assert "maxProperties" in schema


@pytest.mark.parametrize(("path", "schema"), SPEC + BUDGET_SPEC, ids=[path for path, _ in SPEC + BUDGET_SPEC])
def test_every_number_of_the_spec_is_bounded(path, schema):
    if schema.get("type") in {"integer", "number"}:
        assert {"minimum", "maximum"} <= set(schema), path
        # An API server cuts fractions off a bound when the value is whole (kube-openapi, MinimumNativeType).
        assert float(schema["minimum"]).is_integer(), path
        assert float(schema["maximum"]).is_integer(), path


def test_defaults_are_those_of_the_models():
    spec = dict(SPEC)
    assert spec["spec.aggregation.rule"]["default"] == "FedTrimmedAvg"
    assert spec["spec.aggregation.rejectNorm"]["default"] == 10_000
    assert spec["spec.aggregation.insecure"]["default"] is False
    assert spec["spec.identity.certificateTTL"]["default"] == "24h"
    assert spec["spec.identity"]["default"] == {}
    assert [each["rule"] for each in spec["spec.aggregation.beta"]["x-kubernetes-validations"]] == ["self < 0.5"]
    assert "default" not in spec["spec.aggregation.byzantine"]
    assert spec["spec.clients"]["x-kubernetes-list-map-keys"] == ["name"]


def test_there_are_words_for_every_pattern():
    for path, schema in SPEC + BUDGET_SPEC:
        if "pattern" in schema:
            assert schema["pattern"] in PATTERN_SENTENCES, path


@pytest.mark.parametrize(
    ("definition", "known", "columns"),
    [
        (custom_resource_definition(), STATUS, ["Ready", "Phase", "Round", "Clients", "Epsilon", "Score", "Age"]),
        (
            budget_crd.budget_definition(),
            BUDGET_SPEC + BUDGET_STATUS,
            ["Epsilon", "Spent", "Reserved", "Left", "Ready", "Age"],
        ),
    ],
    ids=["training", "budget"],
)
def test_columns_are_those_people_see(definition, known, columns):
    version = definition["spec"]["versions"][0]
    assert [column["name"] for column in version["additionalPrinterColumns"]] == columns
    paths = {path.removeprefix("pb.") for path, _ in known}
    for column in version["additionalPrinterColumns"]:
        path = column["jsonPath"].removeprefix(".")
        assert path in paths or path.startswith(("status.conditions[?", "metadata."))


def test_every_rule_is_shown_at_a_field_that_exists():
    known = {path for path, _ in SPEC}
    for rule in resource_schema()["properties"]["spec"]["x-kubernetes-validations"]:
        assert f"spec{rule['fieldPath']}" in known
        assert rule["message"]
        assert "\n" not in rule["message"]
