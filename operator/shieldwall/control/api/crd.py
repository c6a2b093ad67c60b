"""The CustomResourceDefinition of FederatedTraining, generated from the models; and what both of ours have in common.

``python -m shieldwall.control.api.crd [--check] FILE`` writes FILE, or says whether it is current.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ruamel.yaml import YAML

from shieldwall.control.api.budget_reference import REFERENCE_KEPT
from shieldwall.control.api.fields import PATTERN_SENTENCES, TRAINING_NAME
from shieldwall.control.api.rules import RULES
from shieldwall.control.api.schema import structural
from shieldwall.control.api.spec import FederatedTrainingSpec
from shieldwall.control.api.status import FederatedTrainingStatus
from shieldwall.control.api.terms import TERMS
from shieldwall.control.api.training import GROUP, KIND, MAX_TRAINING_NAME, PLURAL, RESERVED_WORDS, VERSION
from shieldwall.control.api.transitions import same_privacy_mode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shieldwall.control.api.schema import Schema

MODULE: Final = "shieldwall.control.api.crd"

_COLUMNS: Final = (
    ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status'),
    ("Phase", "string", ".status.phase"),
    ("Round", "string", ".status.summary.round"),
    ("Clients", "string", ".status.summary.clients"),
    ("Epsilon", "string", ".status.summary.epsilon"),
    ("Score", "integer", ".status.security.score"),
    ("Age", "date", ".metadata.creationTimestamp"),
)

_NAME: Final = "self.metadata.name"

# A metadata.name can be checked at the root of the schema only.
_NAME_VALIDATIONS: Final = (
    {
        "rule": f"size({_NAME}) <= {MAX_TRAINING_NAME}",
        "message": f"metadata.name must have at most {MAX_TRAINING_NAME} characters",
    },
    {
        "rule": f"{_NAME}.matches('{TRAINING_NAME}')",
        "message": f"metadata.name {PATTERN_SENTENCES[TRAINING_NAME]}",
    },
    {
        "rule": f"!{_NAME}.matches('-({'|'.join(RESERVED_WORDS)})(-|$)')",
        "message": "metadata.name holds a word after a dash that is kept for the names of a training's objects:"
        f" {', '.join(RESERVED_WORDS)}",
    },
)


def custom_resource_definition() -> Schema:
    """The CustomResourceDefinition of FederatedTraining, as an API server takes it."""
    return definition_of(KIND, PLURAL, "ft", _COLUMNS, resource_schema())


def definition_of(
    kind: str, plural: str, short: str, columns: Iterable[tuple[str, str, str]], schema: Schema
) -> Schema:
    """The CustomResourceDefinition of one of our kinds. A column is its name, its type, and the path of its value."""
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [{"name": name, "type": type_, "jsonPath": path} for name, type_, path in columns],
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short],
                "categories": ["shieldwall"],
            },
            "scope": "Namespaced",
            "versions": [version],
        },
    }


def resource_schema() -> Schema:
    """The schema of a whole FederatedTraining."""
    validations = [*(rule.validation(TERMS) for rule in RULES), same_privacy_mode(), REFERENCE_KEPT]
    return resource_of(
        "A Flower federation in which every client has its own certificate, nothing speaks without mutual TLS, every"
        " update is signed and liars are outvoted.",
        structural(FederatedTrainingSpec) | {"x-kubernetes-validations": validations},
        structural(FederatedTrainingStatus),
        _NAME_VALIDATIONS,
    )


def resource_of(description: str, spec: Schema, status: Schema, validations: Iterable[dict[str, str]]) -> Schema:
    """The schema of a whole object; ``validations`` are of its root."""
    return {
        "description": description,
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"description": "The version of the API.", "type": "string"},
            "kind": {"description": "The kind of the object.", "type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            # So that kstatus does not take an object that nobody has looked at yet for one that is current.
            "status": status | {"default": {"observedGeneration": -1}},
        },
        "x-kubernetes-validations": list(validations),
    }


def as_yaml(module: str, definition: Schema) -> str:
    """The bytes of the committed file; ``module`` is the one that makes it."""
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 120
    # The models share parts of the schema; each is written out, since anchors are not for people.
    yaml.representer.ignore_aliases = lambda _data: True
    text = io.StringIO()
    text.write(f"# Generated by `python -m {module}`. Change the models, not this file.\n")
    yaml.dump(definition, text)
    return text.getvalue()


def write(module: str, definition: Schema, arguments: list[str] | None = None) -> int:
    """Write the file, or check it; 1 when it is not current."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=write.__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether the file is current")
    parser.add_argument("file", type=Path)
    options = parser.parse_args(arguments)
    wanted = as_yaml(module, definition)
    if options.check:
        if options.file.is_file() and options.file.read_text(encoding="utf-8") == wanted:
            return 0
        sys.stderr.write(f"{options.file} is not current; run: python -m {module} {options.file}\n")
        return 1
    options.file.parent.mkdir(parents=True, exist_ok=True)
    options.file.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(write(MODULE, custom_resource_definition()))
