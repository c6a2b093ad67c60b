import copy
import importlib.util
from pathlib import Path

import pytest
from ruamel.yaml import YAML

_SPEC = importlib.util.spec_from_file_location("local_builders", Path(__file__).parents[1] / "local" / "conftest.py")
_BUILDERS = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_BUILDERS)
make = _BUILDERS.make  # outcomes and records, as the tests of local mode build them

DOCUMENT = {
    "apiVersion": "shieldwall.dev/v1alpha1",
    "kind": "FederatedTraining",
    "metadata": {"name": "digits"},
    "spec": {
        "app": {"image": "registry.example/digits:1", "clientApp": "digits.app:client", "model": "digits.app:model"},
        "rounds": {"count": 3},
        "clients": [{"name": name} for name in ("berlin", "jena", "kiel", "mainz", "leipzig")],
        "aggregation": {"rule": "FedTrimmedAvg", "byzantine": 1},
    },
}


@pytest.fixture
def document():
    return copy.deepcopy(DOCUMENT)


@pytest.fixture
def write(tmp_path):
    """Write a document as a file and give back its path."""

    def written(document, name="training.yaml"):
        path = tmp_path / name
        with path.open("w", encoding="utf-8") as stream:
            YAML(typ="safe", pure=True).dump(document, stream)
        return path

    return written
