"""The volumes of a training that is deleted: the server's go, the model's go or stay as its spec says."""

from __future__ import annotations

import pytest

from .conftest import eventually, operator, training

pytestmark = pytest.mark.slow

SERVER, MODEL = "state-digits-server-0", "model-digits-aggregator-0"


def owners(space, claim):
    return [each["name"] for each in space.get("persistentvolumeclaims", claim)["metadata"].get("ownerReferences", [])]


@pytest.mark.parametrize(
    ("policies", "stays"),
    [
        ((None,), True),
        (("Retain",), True),
        (("Delete",), False),
        (("Retain", "Delete"), False),
        (("Delete", "Retain"), True),
    ],
    ids=["by default", "Retain", "Delete", "changed to Delete", "changed to Retain"],
)
def test_the_models_claim_outlives_its_training_if_it_is_to_be_retained(space, tmp_path, policies, stays):
    """The StatefulSet controller makes the claims, and says by an owner which of them are to go."""
    with operator(space, tmp_path / "op"):
        for policy in policies:
            space.apply(training(space, storage={"modelDeletionPolicy": policy} if policy is not None else {}))
            wanted = [] if policy in {None, "Retain"} else ["digits-aggregator"]
            eventually(lambda: set(space.all("persistentvolumeclaims")) == {SERVER, MODEL})
            eventually(lambda: owners(space, SERVER) == ["digits-server"])
            eventually(lambda wanted=wanted: owners(space, MODEL) == wanted)
        model = space.get("persistentvolumeclaims", MODEL)["metadata"]["uid"]
        space.delete("federatedtrainings", "digits")
        eventually(lambda: not space.owned() and not space.all("statefulsets") and not space.all("pods"), 60)
        eventually(lambda: space.find("persistentvolumeclaims", SERVER) is None, 60)
        if not stays:
            eventually(lambda: space.find("persistentvolumeclaims", MODEL) is None, 60)
            return
    left = space.all("persistentvolumeclaims")
    assert {name: claim["metadata"]["uid"] for name, claim in left.items()} == {MODEL: model}
    assert "deletionTimestamp" not in left[MODEL]["metadata"]
