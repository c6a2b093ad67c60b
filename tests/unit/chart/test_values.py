"""The chart's own files agree with each other and with the project."""

import json
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from shieldwall import __version__
from shieldwall.control.config import OperatorConfig
from shieldwall.control.plan import PlanSettings

ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts" / "shieldwall"
FREE = {"global", "affinity", "tolerations[]", "topologySpreadConstraints[]"}
"""Values that Kubernetes checks, not we."""


@pytest.fixture(scope="module")
def schema():
    return json.loads((CHART / "values.schema.json").read_text())


def leaves(values, path=""):
    """(path, value) of each value that has a text of its own in values.yaml."""
    for name, value in values.items():
        here = f"{path}.{name}" if path else name
        if isinstance(value, dict) and value and here not in WHOLE:
            yield from leaves(value, here)
        else:
            yield here, value


WHOLE = {"dns.namespaceLabels", "dns.podLabels", "monitoringNamespaceLabels", "nodeSelector", "resources"} | {
    f"trainingResources.{name}" for name in ("proxy", "superlink", "steward", "supernode", "init", "user")
}


def texts():
    """The text of each value: the comment above it that begins with two dashes."""
    found, path, text = {}, [], []
    for line in (CHART / "values.yaml").read_text().splitlines():
        if comment := re.match(r" *# (?:-- )?(.*)", line):
            if line.strip().startswith("# -- "):
                text = [comment[1]]
            elif text:
                text.append(comment[1])
        elif key := re.match(r"( *)([A-Za-z]+):", line):
            path = [*path[: len(key[1]) // 2], key[2]]
            if text:
                found[".".join(path)] = " ".join(text)
            text = []
        else:
            text = []
    return found


def table(values):
    rows = ["| value | default | |", "|---|---|---|"]
    told = texts()
    for path, value in leaves(values):
        rows.append(f"| `{path}` | `{json.dumps(value, ensure_ascii=False)}` | {told[path]} |")
    return "\n".join(rows)


def test_the_definition_is_a_copy_of_the_projects():
    names = [path.name for path in (ROOT / "crds").glob("*.yaml")]
    assert names == [path.name for path in (CHART / "files" / "crds").glob("*.yaml")]
    for name in names:
        same = (CHART / "files" / "crds" / name).read_bytes() == (ROOT / "crds" / name).read_bytes()
        assert same, "run: make generate"


def test_the_chart_is_of_this_version():
    chart = YAML(typ="safe").load(CHART / "Chart.yaml")
    assert chart["appVersion"] == chart["version"] == __version__


def test_every_value_has_a_text_and_stands_in_the_readme(values):
    assert set(texts()) == {path for path, _ in leaves(values)}
    written = (CHART / "README.md").read_text(encoding="utf-8")
    assert table(values) in written, table(values)


def resolved(schema, node):
    while "$ref" in node:
        node = schema["definitions"][node["$ref"].rpartition("/")[2]]
    return node


def nodes(schema, node, path=""):
    node = resolved(schema, node)
    yield path, node
    for part in node.get("allOf", []):
        yield from nodes(schema, part, path)
    for name, child in node.get("properties", {}).items():
        yield from nodes(schema, child, f"{path}.{name}" if path else name)
    if "items" in node:
        yield from nodes(schema, node["items"], f"{path}[]")


def test_the_schema_knows_every_value_and_no_other(schema, values):
    known = {path for path, node in nodes(schema, schema) if path and "[]" not in path}
    written = {path for path, _ in leaves(values)}
    sections = {".".join(path.split(".")[:depth]) for path in written for depth in range(1, 4)}
    parts = {f"{whole}.{name}" for whole in WHOLE for name in ("cpu", "memory", "memoryLimit", "requests", "limits")}
    assert known - parts - {"global"} == sections


def test_the_schema_refuses_what_it_does_not_know(schema):
    for path, node in nodes(schema, schema):
        if node.get("type") == "object" and path not in FREE:
            assert "additionalProperties" in node, path
        if node.get("type") == "array":
            assert "items" in node, path


def test_sizes_of_containers_are_the_plans(values):
    settings = OperatorConfig.parse({"resources": values["trainingResources"]}).plan_settings()
    assert settings == PlanSettings()
