"""The healthCheckExprs that docs/gitops.md shows, evaluated as RFC 0009 of Flux orders it."""

import re
from pathlib import Path

import pytest
from cel_expr_python import cel
from ruamel.yaml import YAML

GUIDE = Path(__file__).parents[4] / "docs" / "gitops.md"
BLOCKS = [YAML(typ="safe").load(text) for text in re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)]
(CHECK,) = next(block["spec"]["healthCheckExprs"] for block in BLOCKS if "healthCheckExprs" in block["spec"])


def flux(live):
    status = live["status"]
    if status.get("observedGeneration") not in {None, live["metadata"]["generation"]}:
        return "InProgress"
    environment = cel.NewEnv(variables={"status": cel.Type.DYN})
    for word, field in (("InProgress", "inProgress"), ("Failed", "failed"), ("Current", "current")):
        if field in CHECK and environment.compile(CHECK[field]).eval(data={"status": status}).value():
            return word
    return "InProgress"


def test_the_check_is_for_trainings():
    assert (CHECK["apiVersion"], CHECK["kind"]) == ("shieldwall.dev/v1alpha1", "FederatedTraining")


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("starting", "InProgress"),
        ("waiting", "Current"),
        ("training", "Current"),
        ("completed", "Current"),
        ("failed", "Failed"),
        ("foreign", "Failed"),
        ("invalid", "Failed"),
        ("changed", "InProgress"),
        ("corrected", "InProgress"),
        ("rolling", "InProgress"),
        ("suspended", "Current"),
    ],
)
def test_flux_waits_for_what_we_make_and_not_for_others(shelf, name, word):
    assert flux(getattr(shelf, name)()) == word
