"""Whose kubelets are told of which change."""

import pytest

from shieldwall.control.api.parse import parse_training
from shieldwall.control.cluster.errors import ApiError
from shieldwall.control.cluster.kinds import POD
from shieldwall.control.cluster.nudge import NUDGE, nudge

from .conftest import body_of, training_body

TRAINING = parse_training(training_body(2))


def pod(name, component, client=None, **metadata):
    body = body_of(POD, name, 1)
    body["metadata"]["labels"] |= {"app.kubernetes.io/component": component} | (
        {"shieldwall.dev/client": client} if client else {}
    )
    body["metadata"] |= metadata
    return body


PODS = [
    pod("server-0", "server"),
    pod("aggregator-0", "aggregator"),
    pod("c0-x", "client", "c0"),
    pod("c1-x", "client", "c1"),
]


class Pods:
    def __init__(self, *pods, error=None):
        self.pods = pods
        self.lists = []
        self.patches = {}
        self._error = error

    async def list_pages(self, kind, namespace, selector):
        self.lists.append((kind.kind, namespace, selector))
        yield {"items": list(self.pods)}

    async def merge(self, kind, namespace, name, body, manager):
        self.patches[name] = body["metadata"]
        if self._error is not None:
            raise self._error


@pytest.mark.parametrize(("changed", "touched"), [
    ({"digits-server-tls"}, {"server-0"}),
    ({"digits-aggregator-tls"}, {"aggregator-0"}),
    ({"digits-tls-c1"}, {"c1-x"}),
    ({"digits-trust"}, {"server-0", "aggregator-0", "c0-x", "c1-x"}),
    ({"digits-tls-c0", "digits-server-tls"}, {"c0-x", "server-0"}),
    ({"digits-ca"}, set()),
])  # fmt: skip
async def test_pods_that_mount_what_changed_are_touched(changed, touched):
    api = Pods(*PODS)
    assert await nudge(api, TRAINING, changed, "mark") == len(touched)
    assert set(api.patches) == touched
    assert api.lists == [("Pod", "fed", "shieldwall.dev/training=digits")]
    assert all(each["annotations"] == {NUDGE: "mark"} for each in api.patches.values())


async def test_nothing_changed_costs_nothing():
    api = Pods(*PODS)
    assert await nudge(api, TRAINING, [], "mark") == 0
    assert api.lists == []


async def test_a_pod_that_leaves_is_left():
    api = Pods(pod("server-0", "server", deletionTimestamp="2026-03-01T12:00:00Z"))
    assert await nudge(api, TRAINING, ["digits-server-tls"], "mark") == 0


@pytest.mark.parametrize("status", [404, 409])
async def test_a_pod_that_has_gone_or_is_another_by_now_is_passed_over(status):
    api = Pods(*PODS, error=ApiError(status, "Gone", "gone"))
    await nudge(api, TRAINING, ["digits-trust"], "mark")
    assert {each["uid"] for each in api.patches.values()} == {f"uid of {each['metadata']['name']}" for each in PODS}


async def test_any_other_no_is_raised():
    with pytest.raises(ApiError, match="403"):
        await nudge(Pods(*PODS, error=ApiError(403, "Forbidden", "no")), TRAINING, ["digits-trust"], "mark")
