"""Volumes: which claims get one, which volumes go, and what happens when it is done twice."""

from __future__ import annotations

import pytest
from cluster.provisioner import Provisioner
from cluster.volumes import released, volume_for, waiting
from kubernetes.aio.client import ApiException, V1PersistentVolume, V1PersistentVolumeClaim

NODE = "volume.kubernetes.io/selected-node"


def claim(*, metadata=None, **spec):
    body = {
        "metadata": {"namespace": "fed", "name": "model", "uid": "1-2", "annotations": {NODE: "node-1"}},
        "spec": {
            "storageClassName": "standard",
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    body["metadata"] |= metadata or {}
    body["spec"] |= spec
    return V1PersistentVolumeClaim.from_dict(body)


def volume(phase="Released", by="e2e.test/local", policy="Delete"):
    body = {
        "metadata": {"name": "pvc-1-2", "annotations": {"pv.kubernetes.io/provisioned-by": by}},
        "spec": {"persistentVolumeReclaimPolicy": policy},
        "status": {"phase": phase},
    }
    return V1PersistentVolume.from_dict(body)


class Api:
    """Takes what it is given, or answers with a status."""

    def __init__(self, status=None):
        self.calls = []
        self.status = status

    async def create_persistent_volume(self, body):
        self.calls.append(("create", body.metadata.name))
        self.answer()

    async def delete_persistent_volume(self, name):
        self.calls.append(("delete", name))
        self.answer()

    def answer(self):
        if self.status:
            raise ApiException(status=self.status)

    def list_persistent_volume(self): ...

    def list_persistent_volume_claim_for_all_namespaces(self): ...


def test_a_claim_that_a_pod_uses_gets_a_directory_of_its_node(tmp_path):
    body = volume_for(waiting(claim()), tmp_path).to_dict()
    assert body["metadata"]["name"] == "pvc-1-2"
    spec = body["spec"]
    assert spec["local"]["path"] == str(tmp_path / "pvc-1-2")
    assert spec["capacity"] == {"storage": "1Gi"}
    assert spec["access_modes"] == ["ReadWriteOnce"]
    assert spec["persistent_volume_reclaim_policy"] == "Delete"
    assert spec["storage_class_name"] == "standard"
    assert {key: spec["claim_ref"][key] for key in ("namespace", "name", "uid")} == {
        "namespace": "fed",
        "name": "model",
        "uid": "1-2",
    }
    ((expression,),) = [term["match_expressions"] for term in spec["node_affinity"]["required"]["node_selector_terms"]]
    assert expression == {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-1"]}


@pytest.mark.parametrize(
    "other",
    [
        claim(storageClassName="fast"),
        claim(storageClassName=None),
        claim(volumeName="pvc-1-2"),
        claim(metadata={"annotations": {}}),
        claim(metadata={"annotations": None}),
        claim(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}),
    ],
)
def test_other_claims_get_none(other):
    assert waiting(other) is None


def test_a_volume_goes_when_its_claim_has_gone():
    assert released(volume()) == "pvc-1-2"


@pytest.mark.parametrize(
    "other", [volume(phase="Bound"), volume(phase="Failed"), volume(by="another"), volume(policy="Retain")]
)
def test_other_volumes_stay(other):
    assert released(other) is None


async def test_the_directory_is_there_before_the_volume(tmp_path):
    class Looking(Api):
        async def create_persistent_volume(self, body):
            assert (tmp_path / body.metadata.name).is_dir()
            await super().create_persistent_volume(body)

    api = Looking()
    await Provisioner(api, tmp_path).turn([claim()], [])
    assert api.calls == [("create", "pvc-1-2")]


async def test_only_root_may_write_to_a_new_volume(tmp_path):
    await Provisioner(Api(), tmp_path).turn([claim()], [])
    assert (tmp_path / "pvc-1-2").stat().st_mode & 0o777 == 0o755


async def test_a_volume_goes_with_what_is_in_it_and_no_other(tmp_path):
    for name in ("pvc-1-2", "pvc-3"):
        (tmp_path / name / "deep").mkdir(parents=True)
    api = Api()
    await Provisioner(api, tmp_path).turn([], [volume()])
    assert api.calls == [("delete", "pvc-1-2")]
    assert [path.name for path in tmp_path.iterdir()] == ["pvc-3"]


@pytest.mark.parametrize("status", [409, 500])
async def test_only_a_conflict_means_that_it_is_there(tmp_path, status):
    provisioner = Provisioner(Api(status), tmp_path)
    if status == 409:
        await provisioner.turn([claim()], [])
    else:
        with pytest.raises(ApiException):
            await provisioner.turn([claim()], [])


@pytest.mark.parametrize("status", [404, 500])
async def test_only_not_found_means_that_it_is_gone(tmp_path, status):
    provisioner = Provisioner(Api(status), tmp_path)
    if status == 404:
        await provisioner.turn([], [volume()])
    else:
        with pytest.raises(ApiException):
            await provisioner.turn([], [volume()])
