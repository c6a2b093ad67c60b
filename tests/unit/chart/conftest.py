import json
import subprocess
from functools import cache
from pathlib import Path

import pytest
from harness.tools import binary
from kubernetes import client as models
from ruamel.yaml import YAML

CHART = Path(__file__).parents[3] / "charts" / "shieldwall"
NAMESPACE = "walls"


class RefusedError(Exception):
    """Helm refuses the values."""


class Rendered(list):
    """The objects of a release."""

    def all(self, kind):
        return [each for each in self if each["kind"] == kind]

    def one(self, kind):
        (found,) = self.all(kind)
        return found


@cache
def _template(values, namespace):
    command = [binary("helm"), "template", "sw", CHART, "--namespace", namespace, "--values", "-"]
    answer = subprocess.run(command, input=values, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise RefusedError(answer.stderr)
    # The pure reader is YAML 1.2, and refuses a key that is written twice.
    return Rendered(document for document in YAML(typ="safe", pure=True).load_all(answer.stdout) if document)


@pytest.fixture(scope="session")
def chart():
    return CHART


@pytest.fixture(scope="session")
def values(chart):
    return YAML(typ="safe").load(chart / "values.yaml")


@pytest.fixture(scope="session")
def render():
    """Renders values (without the CRD, which is long, unless they say so); the objects must not be changed."""

    def rendered(values=None, namespace=NAMESPACE):
        return _template(json.dumps({"crds": {"enabled": False}} | (values or {})), namespace)

    return rendered


@pytest.fixture(scope="session")
def decode():
    """Decodes an object into its Kubernetes model, which refuses unknown fields and wrong types."""

    def strictly(document):
        group, _, version = document["apiVersion"].rpartition("/")
        if group == "monitoring.coreos.com":
            return None
        return getattr(models, version.capitalize() + document["kind"]).model_validate_json(
            json.dumps(document), strict=True
        )

    return strictly
