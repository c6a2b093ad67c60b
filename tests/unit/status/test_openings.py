"""NetworkPolicies of others that open what the training's own close."""

import pytest

from shieldwall.control.status.sight import Policy, Requirement
from shieldwall.control.status.summarise import summarise
from shieldwall.control.steward.sight import Probe

NAME = "NetworkPolicyEnforced"
EVERYBODY = ()


def has(key, *values):
    return (Requirement(key, "In", frozenset(values)),)


def told(world, check, *policies, **facts):
    training = world.training()
    steward = world.steward(training, world.observed(training), **facts)
    return check(summarise(world.sight(training, steward=steward, policies=policies)), NAME)


def test_a_policy_of_anothers_that_selects_a_pod_is_named_and_costs_the_points(world, check):
    training = world.training()
    sight = world.sight(training, policies=(Policy("allow-all", None, EVERYBODY),))
    status = summarise(sight)
    found = check(status, NAME)
    assert (found.state, status.security.score) == ("unknown", 60)
    assert found.message == "What others allow is added to what the training's own policies do: allow-all."


@pytest.mark.parametrize(
    ("selects", "ours"),
    [
        (EVERYBODY, True),
        (has("shieldwall.dev/training", "digits"), True),
        (has("shieldwall.dev/training", "faces"), False),
        (has("shieldwall.dev/client", "site-2", "x"), True),
        (has("shieldwall.dev/client", "site-9"), False),
        (has("app.kubernetes.io/component", "aggregator"), True),
        ((*has("shieldwall.dev/training", "digits"), *has("app", "web")), False),
        ((Requirement("app", "NotIn", frozenset({"web"})),), True),
        ((Requirement("shieldwall.dev/training", "NotIn", frozenset({"digits"})),), False),
        ((Requirement("shieldwall.dev/client", "Exists"),), True),
        ((Requirement("app", "Exists"),), False),
        ((Requirement("app", "DoesNotExist"),), True),
        ((Requirement("shieldwall.dev/training", "DoesNotExist"),), False),
        # What controllers add: told where it can be told, else it may be so.
        (has("statefulset.kubernetes.io/pod-name", "digits-server-0"), True),
        (has("statefulset.kubernetes.io/pod-name", "digits-aggregator-0"), True),
        (has("statefulset.kubernetes.io/pod-name", "faces-server-0", "digits-server-1"), False),
        (has("apps.kubernetes.io/pod-index", "0"), True),
        (has("apps.kubernetes.io/pod-index", "1"), False),
        (has("controller-revision-hash", "digits-server-5c9"), True),
        (has("pod-template-hash", "5c9"), True),
        ((Requirement("pod-template-hash", "NotIn", frozenset({"5c9"})),), True),
        ((Requirement("controller-revision-hash", "Exists"),), True),
        ((Requirement("pod-template-hash", "Exists"), *has("app.kubernetes.io/component", "server")), False),
        ((Requirement("pod-template-hash", "DoesNotExist"), *has("app.kubernetes.io/component", "client")), False),
        ((Requirement("pod-template-hash", "DoesNotExist"),), True),
    ],
)
def test_whom_it_selects_is_told_as_kubernetes_does(world, check, selects, ours):
    assert (told(world, check, Policy("x", None, selects)).state == "unknown") == ours


def test_the_trainings_own_policies_are_not_anothers(world, check):
    own = Policy("digits-server", "1", has("shieldwall.dev/training", "digits"))
    assert told(world, check, own).state == "observed"


@pytest.mark.parametrize(("name", "owner"), [("digits-server", "2"), ("digits-more", "1"), ("digits-more", None)])
def test_to_look_like_one_of_them_is_not_enough(world, check, name, owner):
    assert told(world, check, Policy(name, owner, EVERYBODY)).state == "unknown"


def test_that_none_are_enforced_is_worse(world, check):
    assert told(world, check, Policy("x", None, EVERYBODY), closed_port=Probe.ADMITTED).state == "failed"


def test_however_many_there_are_the_message_stays_short(world, check):
    found = told(world, check, *(Policy(f"{number:063}", None, EVERYBODY) for number in range(300)))
    assert len(found.message.encode()) <= 128
