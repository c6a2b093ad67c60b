"""The operator of this release on a cluster that still has the CRD of an earlier one."""

from __future__ import annotations

import pytest
from harness.apiserver import ApiServer
from ruamel.yaml import YAML

from .conftest import CRD, CRDS, TRAININGS, Space, eventually, passes, replica, training

pytestmark = pytest.mark.slow


@pytest.fixture
def older(tmp_path):
    """Its status lacks a section, and one field of each condition."""
    crd = YAML(typ="safe").load(CRD)
    status = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
    del status["pki"]
    condition = status["conditions"]["items"]
    del condition["properties"]["observedGeneration"]
    condition["required"] = [name for name in condition["required"] if name != "observedGeneration"]
    with ApiServer(tmp_path / "server") as server:
        server.request("POST", CRDS, crd)
        eventually(lambda: server.request("GET", f"{TRAININGS}/federatedtrainings"))
        server.request("POST", "/api/v1/namespaces", {"metadata": {"name": "older"}})
        yield Space(server, "older")


async def test_status_is_told_without_the_fields_that_are_not_there(older, caplog):
    older.apply(training(older))
    async with replica(older) as parts:
        await passes(parts, older)
        assert await passes(parts, older) == 0
    status = older.status()
    assert status["observedGeneration"] == 1
    assert status["phase"]
    assert "pki" not in status
    assert all(each["reason"] and "observedGeneration" not in each for each in status["conditions"])
    told = [record.getMessage() for record in caplog.records if "CRD is older" in record.message]
    assert len(told) == len(set(told)) <= 2, "each field once, however many passes there were"
