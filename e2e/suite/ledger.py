"""What the volumes say about rounds: the aggregator's ledger, and the attempt that the steward has open."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .kubectl import Kubectl

Json = dict[str, Any]
LEDGER = "/var/lib/shieldwall/model/ledger.jsonl"
OPEN = "/var/lib/shieldwall/state/steward/open-round.json"
_NEXT = f"""
before=$(cat {OPEN} 2>/dev/null)
until now=$(cat {OPEN} 2>/dev/null) && [ "$now" != "$before" ]; do sleep 0.05; done
echo "$now"
"""


def ledger(kubectl: Kubectl) -> list[Json]:
    """Every attempt at a round, oldest first; a line that is being written does not count yet."""
    text = kubectl.run("digits-aggregator-0", "aggregator", "cat", LEDGER)
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def next_attempt(kubectl: Kubectl) -> Json:
    """The next attempt, as soon as it is open; the pod itself looks. Raises KubectlError when none is in a minute."""
    look = ("timeout", "60", "sh", "-c", _NEXT)
    found: Json = json.loads(kubectl.run("digits-server-0", "steward", *look, seconds=90))
    return found


def attempt(one: Json) -> tuple[str, int, int]:
    """Which attempt a record, or what is open, is about."""
    return one["run_id"], one["round"], one["attempt"]


def ended(record: Json) -> float:
    """Unix seconds: when the attempt had its replies."""
    return float(record["opened"] + record["seconds"])


def released(records: list[Json]) -> list[Json]:
    """The attempts that released a model."""
    return [each for each in records if each["outcome"] == "released"]


def newest(records: list[Json]) -> int:
    """The last released round; 0 before the first."""
    return max((each["round"] for each in released(records)), default=0)


def lost(record: Json, clients: tuple[str, ...]) -> dict[str, str]:
    """By client: what became of a reply that has no part in the model; ``not-asked`` where none was asked for."""
    fates = {reply["client"]: str(reply["fate"]) for reply in record["replies"]}
    found = {client: fates.get(client, "not-asked") for client in clients}
    return {client: fate for client, fate in found.items() if fate != "admitted"}


def arrived(record: Json, client: str) -> float | None:
    """Unix seconds: when this client's reply came; None where none did."""
    seconds = next((reply["seconds"] for reply in record["replies"] if reply["client"] == client), None)
    return None if seconds is None else float(record["opened"] + seconds)
