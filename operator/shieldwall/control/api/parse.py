"""Parse once: from any document that a YAML or JSON reader gives to a Training, or to all that is wrong with it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from shieldwall.control.api.plain import Fault, Json, Location, plain_json, show
from shieldwall.control.api.problems import InvalidTrainingError, Problem, problems_of
from shieldwall.control.api.requests import is_paused, reinstatement_requests, renewal_requests, unclear_pause
from shieldwall.control.api.rules import RULES
from shieldwall.control.api.shape import shaped
from shieldwall.control.api.spec import FederatedTrainingSpec
from shieldwall.control.api.terms import TERMS
from shieldwall.control.api.training import RESERVED_WORDS, Manifest, Training

if TYPE_CHECKING:
    from shieldwall.control.api.crossrule import CrossRule

_RESERVED: Final = re.compile(rf"-({'|'.join(RESERVED_WORDS)})(-|$)")

_STAND_INS: Final[dict[str, Json]] = {
    "app": {"image": "app", "clientApp": "app:app", "model": "app:model"},
    "rounds": {"count": 1},
    "clients": [{"name": "client"}],
}
"""In place of required sections that are faulty, while the rules about other sections are checked."""


def parse_training(document: object) -> Training:
    """Read a FederatedTraining; raises InvalidTrainingError with every problem at once, and nothing else."""
    return _parse(document, RULES)


def parse_accepted(document: object) -> Training:
    """Read one that was accepted by the rules of its time: those that cross fields may be other ones today.

    Raises InvalidTrainingError.
    """
    return _parse(document, ())


def _parse(document: object, rules: tuple[CrossRule, ...]) -> Training:
    plain, faults = plain_json(document)
    if not isinstance(plain, dict):
        raise InvalidTrainingError(problems_of(faults) or (Problem("", _not_a_map(plain)),))
    written = {name: value for name, value in plain.items() if name != "status"}
    manifest, shape = shaped(Manifest, written)
    seen = [fault.location for fault in faults]
    faults += tuple(fault for fault in shape if not _below_any(fault.location, seen))
    faults += _duplicates(written) + _reserved(written)
    faults += _crossing(rules, manifest.spec if manifest is not None else None, written, faults)
    if faults or manifest is None:
        raise InvalidTrainingError(problems_of(faults))
    metadata, annotations = manifest.metadata, _annotations(written)
    return Training(
        name=metadata.name,
        namespace=metadata.namespace,
        uid=metadata.uid,
        generation=metadata.generation,
        spec=manifest.spec,
        requests=renewal_requests(annotations, (client.name for client in manifest.spec.clients)),
        reinstatements=reinstatement_requests(annotations, (client.name for client in manifest.spec.clients)),
        paused=is_paused(annotations),
        unclear_pause=unclear_pause(annotations),
    )


def _annotations(document: dict[str, Json]) -> dict[str, Json]:
    """Read as they are: no annotation makes a training invalid."""
    metadata = document.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    return annotations if isinstance(annotations, dict) else {}


def _not_a_map(plain: Json) -> str:
    found = "the document is empty" if plain is None else f"this is {show(plain)}"
    return f"A FederatedTraining is a map with apiVersion, kind, metadata and spec; {found}."


def _duplicates(document: dict[str, Json]) -> tuple[Fault, ...]:
    spec = document.get("spec")
    clients = spec.get("clients") if isinstance(spec, dict) else None
    first: dict[str, int] = {}
    faults = []
    for index, client in enumerate(clients if isinstance(clients, list) else []):
        name = client.get("name") if isinstance(client, dict) else None
        if isinstance(name, str) and first.setdefault(name, index) != index:
            message = f"Names of clients must differ; {show(name)} is spec.clients[{first[name]}] already."
            faults.append(Fault(("spec", "clients", index, "name"), message))
    return tuple(faults)


def _reserved(document: dict[str, Json]) -> tuple[Fault, ...]:
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    match = _RESERVED.search(name) if isinstance(name, str) else None
    if match is None:
        return ()
    message = f"The word {match[1]} after a dash is kept for the names of a training's objects. Choose another name."
    return (Fault(("metadata", "name"), message),)


def _crossing(
    rules: tuple[CrossRule, ...],
    spec: FederatedTrainingSpec | None,
    document: dict[str, Json],
    faults: tuple[Fault, ...],
) -> tuple[Fault, ...]:
    """Breaches of ``rules``, which cross fields, of those whose fields can be read."""
    broken = _broken_sections(faults)
    spec = spec or _mended(document.get("spec"), broken)
    if spec is None:
        return ()
    breaches = ((rule, rule.breach(spec, TERMS)) for rule in rules if not rule.reads & broken)
    return tuple(Fault(("spec", *rule.field.split(".")), breach) for rule, breach in breaches if breach is not None)


def _broken_sections(faults: tuple[Fault, ...]) -> frozenset[str]:
    """Sections with faults. A fault inside one client leaves the number of clients (``clients.count``) as it is."""
    broken = set()
    for fault in faults:
        match fault.location:
            case ("spec", "clients", int(), *_):
                broken.add("clients")
            case ("spec", "clients"):
                broken |= {"clients", "clients.count"}
            case ("spec", str(section), *_):
                broken.add(section)
    return frozenset(broken)


def _mended(spec: Json, broken: frozenset[str]) -> FederatedTrainingSpec | None:
    """The spec with stand-ins for its broken sections; None when it is no map or has no end of faults."""
    if not isinstance(spec, dict):
        return None
    mended: dict[str, Json] = {name: value for name, value in spec.items() if name not in broken}
    mended |= {name: value for name, value in _STAND_INS.items() if name in broken or name not in spec}
    clients = spec.get("clients")
    if "clients" in broken and "clients.count" not in broken and isinstance(clients, list):
        mended["clients"] = [{"name": f"c{index}"} for index in range(len(clients))]
    try:
        return FederatedTrainingSpec.model_validate_json(json.dumps(mended))
    except ValidationError:
        return None


def _below_any(location: Location, others: list[Location]) -> bool:
    return any(location[: len(other)] == other for other in others)
