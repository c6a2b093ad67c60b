"""kstatus' rules for custom resources, read anew from sigs.k8s.io/cli-utils/pkg/kstatus (generic.go, status.go)."""

import pytest

EXPECTED = {
    "unseen": "Current",  # kstatus knows no better before a controller was there
    "starting": "InProgress",
    "waiting": "InProgress",
    "training": "Current",
    "completed": "Current",
    "failed": "Failed",
    "unreachable": "InProgress",
    "foreign": "Failed",
    "invalid": "Failed",
    "retrying": "InProgress",
    "changed": "InProgress",
    "corrected": "InProgress",
    "rolling": "InProgress",
    "suspending": "InProgress",
    "suspended": "Current",
    "paused": "Current",
    "paused_and_changed": "InProgress",
    "deleted": "Terminating",
}


def kstatus(live):
    metadata, status = live["metadata"], live.get("status", {})
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    observed = status.get("observedGeneration")
    if "generation" in metadata and observed is not None and observed != metadata["generation"]:
        return "InProgress"
    conditions = status.get("conditions", [])
    for each in conditions:  # the first that is true decides
        if (each["type"], each["status"]) == ("Reconciling", "True"):
            return "InProgress"
        if (each["type"], each["status"]) == ("Stalled", "True"):
            return "Failed"
    ready = next((each["status"] for each in conditions if each["type"] == "Ready"), None)
    return "Current" if ready in {None, "True"} else "InProgress"


@pytest.mark.parametrize(("name", "word"), EXPECTED.items())
def test_kstatus_reads_what_is_meant(shelf, name, word):
    assert kstatus(getattr(shelf, name)()) == word
