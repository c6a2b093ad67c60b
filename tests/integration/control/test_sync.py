"""A file that is applied by kubectl again and again, as pipelines do: nothing is written until it changes."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime

import pytest
from harness.tools import binary

from .conftest import passes, quiet, replica, training

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # kubectl is started twenty times

# What the API server fills in or might write in other words: quantities, numbers, lists that are replaced as a whole.
SPEC = {
    "rounds": {"count": 5, "minReplies": 3, "fractionTrain": 1.0},
    "storage": {"model": "1024Mi", "modelDeletionPolicy": "Delete"},
    "identity": {"certificateTTL": "48h"},
    "clients": [
        {
            "name": "c0",
            "nodeConfig": {"partition": 0, "path": "/data", "strict": True},
            "resources": {"requests": {"cpu": "0.5", "memory": "1073741824"}},
        },
        {"name": "c1", "data": {"persistentVolumeClaim": {"claimName": "images"}}},
        {"name": "c2", "nodeSelector": {"disk": "ssd"}},
    ],
    "aggregatorTemplate": {"nodeSelector": {"disk": "ssd"}, "tolerations": [{"key": "gpu"}]},
}


def kubectl(space, *arguments):
    """What it says. Its caches are the server's, not this user's."""
    environment = {**os.environ, "HOME": str(space.server.directory), "KUBECONFIG": str(space.server.kubeconfig())}
    command = [binary("kubectl"), "-n", space.name, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=environment).stdout


def text(space, **changes):
    document = training(space)
    return json.dumps(document | {"spec": document["spec"] | SPEC | changes})


async def test_a_file_that_is_applied_by_the_client_twenty_times_writes_nothing(space, tmp_path):
    file = tmp_path / "training.json"
    file.write_text(text(space))
    assert kubectl(space, "apply", "-f", str(file)).split()[1] == "created"
    async with replica(space) as parts:
        await quiet(parts, space)
        standing, before = space.get("federatedtrainings", "digits"), datetime.now(UTC)
        for _ in range(20):
            assert kubectl(space, "apply", "-f", str(file)).split()[1] == "unchanged"
            assert await passes(parts, space) == 0
        assert space.writes(before) == []
        assert space.get("federatedtrainings", "digits") == standing
        file.write_text(text(space, rounds={"count": 6, "minReplies": 3}))
        assert kubectl(space, "apply", "-f", str(file)).split()[1] == "configured"
        assert await passes(parts, space) > 0
    assert space.status()["observedGeneration"] == 2
    assert space.get("federatedtrainings", "digits")["spec"]["rounds"]["count"] == 6
