"""Every alert asks for a metric that there is, and has a page whose first command can be pasted."""

import re
import shlex
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from shieldwall.control.metrics import Metrics
from shieldwall.control.metrics.phases import PHASES
from shieldwall.control.plan.labels import COMPONENT_LABEL, TRAINING_LABEL, Component

ROOT = Path(__file__).parents[3]
RUNBOOKS = ROOT / "docs" / "runbooks"
FILE = ROOT / "charts" / "shieldwall" / "files" / "alerts.yaml"
RULES = {rule["alert"]: rule for group in YAML(typ="safe").load(FILE)["groups"] for rule in group["rules"]}
EACH = pytest.mark.parametrize("alert", RULES)

SUFFIXES = {"counter": ("_total",), "histogram": ("_count", "_sum", "_bucket"), "gauge": ("",), "info": ("_info",)}
METRIC = re.compile(r"\bshieldwall_[a-z_]+")
PHASE = re.compile(r'\bphase=~?"([^"]*)"')
WHERE = re.compile(r"\{([^{}]*)\}")
GROUPED = re.compile(r"(?:by|on|without) \(([a-z_, ]*)\)")
SELECTOR = re.compile(r"\s(?:--selector|-l)[\s=]+([^\s`;]+)")
TARGET = {"job", "instance", "pod"}


def metrics():
    """Series names and the labels of each."""
    found = {}
    for collector in set(Metrics(lambda: 0, lambda: 0).registry._collector_to_names):
        for family in collector.collect():
            labels = {*getattr(family, "_labelnames", ()), *getattr(collector, "_labelnames", ())}
            for suffix in SUFFIXES[family.type]:
                found[family.name + suffix] = labels
    return found


KNOWN = metrics()


@EACH
def test_it_asks_for_metrics_that_there_are(alert):
    used = set(METRIC.findall(RULES[alert]["expr"]))
    assert used
    assert used <= set(KNOWN), sorted(used - set(KNOWN))


@EACH
def test_it_uses_labels_that_its_metrics_have(alert):
    expression = RULES[alert]["expr"]
    labels = set().union(*(KNOWN[name] for name in METRIC.findall(expression))) | TARGET
    asked = {name for group in GROUPED.findall(expression) for name in group.split(", ")}
    asked |= {part.split("=")[0].strip("!~ ") for where in WHERE.findall(expression) for part in where.split(",")}
    assert asked <= labels, sorted(asked - labels)
    told = set(re.findall(r"\$labels\.([a-z_]+)", str(RULES[alert]["annotations"])))
    assert told <= labels


@EACH
def test_it_asks_for_phases_that_there_are(alert):
    asked = {phase for phases in PHASE.findall(RULES[alert]["expr"]) for phase in phases.split("|")}
    assert asked <= set(PHASES), sorted(asked - set(PHASES))


@EACH
def test_it_says_how_urgent_it_is_and_in_which_words(alert):
    rule = RULES[alert]
    assert rule["labels"] in ({"severity": "critical"}, {"severity": "warning"})
    assert set(rule["annotations"]) == {"summary", "description"}
    assert "for" in rule, "one scrape that went wrong must wake nobody"


@EACH
def test_its_page_begins_with_a_command(alert):
    page = (RUNBOOKS / f"{alert}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {alert}\n")
    first = re.search(r"^```sh\n(.+?)^```$", page, re.MULTILINE | re.DOTALL)
    assert first is not None
    command = first[1].strip()
    assert shlex.split(command)[0] == "kubectl"
    assert not re.search(r"\b(NAME|NAMESPACE|POD|CLIENT)\b", re.sub(r"'[^']*'", "", command)), "nothing to fill in"
    shape = ["## What to do", "## It is over when"]
    assert re.findall(r"^## .*$", page, re.MULTILINE) == shape
    word = "Critical" if RULES[alert]["labels"]["severity"] == "critical" else "Warning"
    assert f"\n{word}:" in page


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda page: page.stem)
def test_its_commands_say_whose_pods_they_mean(page):
    """The labels name and part-of are the operator's and those of every pod of every training."""
    for labels in SELECTOR.findall(page.read_text(encoding="utf-8")):
        asked = dict(label.split("=") for label in labels.split(","))
        assert asked.keys() & {COMPONENT_LABEL, TRAINING_LABEL}, labels
        assert asked.get(COMPONENT_LABEL, "operator") in {"operator", *Component}, labels


def test_every_page_is_an_alerts_and_is_listed():
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == set(RULES)
    index = (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    for alert, rule in RULES.items():
        assert f"| [{alert}]({alert}.md) | {rule['labels']['severity']} |" in index


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda page: page.stem)
def test_its_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        assert (RUNBOOKS / target).is_file(), target
