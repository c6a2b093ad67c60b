"""The volumes of a training that is deleted: the server's go, the model's go or stay as its spec says."""

from __future__ import annotations

import pytest

from .conftest import eventually, operator, passes, replica, training

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


def claim(name, **labels):
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec}


@pytest.mark.parametrize("name", [SERVER, MODEL])
@pytest.mark.parametrize("labels", [{}, {"shieldwall.dev/training": "another"}], ids=["no label", "another's"])
async def test_a_volume_of_somebody_else_is_not_taken_up(space, name, labels):
    made = space.server.request("POST", space.path("persistentvolumeclaims"), claim(name, **labels))
    space.apply(training(space))
    async with replica(space) as parts:
        await passes(parts, space)
        stalled = space.condition("Stalled")
        assert (stalled["status"], stalled["reason"]) == ("True", "ForeignObject")
        assert f"PersistentVolumeClaim {name} exists already without the label" in stalled["message"]
        assert name.split("-", 1)[1].removesuffix("-0") not in space.all("statefulsets")
        now = space.get("persistentvolumeclaims", name)["metadata"]
        assert (now["uid"], now["labels"] if labels else {}) == (made["metadata"]["uid"], labels)
        change = {"metadata": {"labels": {"shieldwall.dev/training": "digits"}}}
        space.patch("persistentvolumeclaims", name, change)
        await passes(parts, space)
        assert set(space.all("statefulsets")) == {"digits-server", "digits-aggregator"}
        assert space.condition("Stalled")["status"] == "False"


def test_a_model_that_was_retained_is_taken_up_by_the_next_training_of_the_name(space, tmp_path):
    with operator(space, tmp_path / "op"):
        space.apply(training(space))
        model = eventually(lambda: space.find("persistentvolumeclaims", MODEL))["metadata"]["uid"]
        # Only then it goes with its StatefulSet, however late its controller is.
        eventually(lambda: owners(space, SERVER) == ["digits-server"])
        space.delete("federatedtrainings", "digits")
        eventually(lambda: not space.owned() and not space.all("statefulsets"), 60)
        eventually(lambda: space.find("persistentvolumeclaims", SERVER) is None, 60)
        space.apply(training(space))
        eventually(lambda: space.find("statefulsets", "digits-aggregator"))
        eventually(lambda: space.find("persistentvolumeclaims", SERVER))
        eventually(lambda: space.condition("Stalled")["status"] == "False")
    assert space.get("persistentvolumeclaims", MODEL)["metadata"]["uid"] == model
