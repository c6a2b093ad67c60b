"""What the cluster does not allow, and what others in it allow: status and events tell, in the API server's words."""

from __future__ import annotations

import pytest

from shieldwall.control.cluster.errors import ApiError

from .conftest import eventually, passes, replica, training

pytestmark = pytest.mark.slow

POLICIES = "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies"
EVENTS = "/apis/events.k8s.io/v1/namespaces/{}/events"


def warnings(space):
    items = space.server.request("GET", EVENTS.format(space.name))["items"]
    return [(each["reason"], each["note"]) for each in items if each["type"] == "Warning"]


async def attempt(parts, space):
    await parts.worker._lister.everything()
    await parts.reconciler.reconcile((space.name, "digits"))


def holds(space):
    """What a quota says to a kind that nobody makes here: whoever admits objects hears of a quota later than we do."""
    template = {"metadata": {"name": "one"}, "template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}}
    return space.would_refuse("podtemplates", template)


async def test_a_quota_that_refuses_a_deployment_is_the_reason_of_ready_and_one_event(space):
    quota = {
        "metadata": {"name": "small"},
        "spec": {"hard": {"count/deployments.apps": "1", "count/podtemplates": "0"}},
    }
    space.server.request("POST", space.path("resourcequotas"), quota)
    eventually(lambda: "exceeded quota" in (holds(space) or ""))
    space.apply(training(space))
    async with replica(space) as parts:
        for _ in range(3):
            with pytest.raises(ApiError, match="exceeded quota"):
                await attempt(parts, space)
        ready = space.condition("Ready")
        assert (ready["status"], ready["reason"]) == ("False", "ObjectRefused")
        assert "exceeded quota: small" in ready["message"]
        told = [note for reason, note in warnings(space) if reason == "ObjectRefused"]
        assert len(told) == 1
        assert "exceeded quota: small" in told[0]
        space.delete("resourcequotas", "small")
        eventually(lambda: holds(space) is None)
        await passes(parts, space)
        assert space.condition("Ready")["reason"] != "ObjectRefused"
        assert space.condition("Reconciling")["reason"] != "ObjectRefused"


async def test_a_network_policy_of_anothers_is_named_by_the_score(space):
    space.apply(training(space))

    def check():
        return next(each for each in space.status()["security"]["checks"] if each["name"] == "NetworkPolicyEnforced")

    async with replica(space) as parts:
        await passes(parts, space)
        assert "allow-all" not in check()["message"]
        body = {"metadata": {"name": "allow-all"}, "spec": {"podSelector": {}, "ingress": [{}]}}
        space.server.request("POST", POLICIES.format(space.name), body)
        await passes(parts, space)
        assert check()["message"].endswith(": allow-all.")
        assert check()["state"] == "unknown"
        space.delete("networkpolicies", "allow-all")
        await passes(parts, space)
        assert "allow-all" not in check()["message"]
