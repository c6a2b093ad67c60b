"""Budgets of trainings that run, pause and vanish: what is kept, what is returned and what counts as spent."""

import pytest

from shieldwall.control.cluster.errors import ApiError
from shieldwall.control.cluster.kinds import CONFIG_MAP
from shieldwall.control.reconcile import Outcome

from .budget_cluster import (
    KEY,
    PATIENTS,
    PUT,
    SETS,
    SPEC,
    change,
    condition,
    events,
    kept,
    put_budget,
    put_training,
    reconciled,
    running,
    shares,
    status,
)
from .conftest import TRAININGS, body_of, failure, replica, training_body


async def test_what_runs_is_kept_by_the_spec_that_had_its_part(cluster):
    put_budget(cluster)
    put_training(cluster)
    policy = "/api/v1/namespaces/fed/configmaps/digits-policy"
    async with replica(cluster) as parts:
        await reconciled(parts)
        before = cluster.objects[policy]["data"]
        change(cluster, rounds={"count": 9}, privacy={"epsilon": 4.0})
        await reconciled(parts)
        assert condition(cluster)["message"].startswith("digits needs ε = 3.0; patients has 2.0 of 3.0 left")
        assert cluster.objects[policy]["data"] == before
        del cluster.objects[f"{SETS}/digits-aggregator"]
        await reconciled(parts)
        assert f"{SETS}/digits-aggregator" in cluster.objects, "its wall and its pods are kept"
        change(cluster, privacy={"epsilon": 3.0})
        await reconciled(parts)
        assert condition(cluster)["status"] == "False"
        assert cluster.objects[policy]["data"] != before
        assert shares(cluster) == {"digits": ("Settling", 3.0, 0.0)}


async def test_the_same_after_a_start_of_the_operator(cluster):
    put_budget(cluster)
    put_training(cluster)
    policy = "/api/v1/namespaces/fed/configmaps/digits-policy"
    async with replica(cluster) as parts:
        await reconciled(parts)
    before = cluster.objects[policy]["data"]
    change(cluster, rounds={"count": 9}, privacy={"epsilon": 4.0})
    async with replica(cluster) as parts:
        await reconciled(parts)
        assert condition(cluster)["reason"] == "BudgetExhausted"
        assert cluster.objects[policy]["data"] == before


@pytest.mark.parametrize(("status", "passes"), [(403, 1), (500, 1), (409, 3)])
async def test_what_runs_is_kept_while_the_books_cannot_be_written(cluster, status, passes):
    """A conflict is told when it comes for the third time; each time ten tries have failed."""
    put_budget(cluster)
    put_training(cluster)
    async with replica(cluster) as parts:
        await reconciled(parts)
        before = cluster.objects["/api/v1/namespaces/fed/configmaps/digits-policy"]["data"]
        change(cluster, rounds={"count": 9}, privacy={"epsilon": 2.0})
        put_training(cluster, "late")
        del cluster.objects[f"{SETS}/digits-aggregator"]
        cluster.faults[PUT] = [failure(status, "No") for _ in range(200)]
        for _ in range(passes - 1):
            with pytest.raises(ApiError, match="409"):
                await reconciled(parts)
            with pytest.raises(ApiError, match="409"):
                await reconciled(parts, "late")
        verdicts = await reconciled(parts, "digits", "late")
        assert [each.outcome for each in verdicts] == [Outcome.RETRY] * 2
        assert f"{SETS}/digits-aggregator" in cluster.objects
        assert cluster.objects["/api/v1/namespaces/fed/configmaps/digits-policy"]["data"] == before
        assert running(cluster, "digits", "late") == {"digits"}
        for name in ("digits", "late"):
            told = condition(cluster, name, "Reconciling")
            assert (told["status"], str(status) in told["message"]) == ("True", True)
            assert condition(cluster, name)["status"] == "False"
        cluster.faults[PUT].clear()
        await reconciled(parts, "digits", "late")
        assert running(cluster, "digits", "late") == {"digits", "late"}
        assert shares(cluster) == {"digits": ("Settling", 2.0, 0.0), "late": ("Settling", 1.0, 0.0)}


async def test_what_runs_outlives_its_budget_and_what_does_not_run_is_not_started(cluster):
    put_budget(cluster)
    put_training(cluster)
    async with replica(cluster) as parts:
        await reconciled(parts)
        del cluster.objects[PATIENTS]
        put_training(cluster, "late")
        await reconciled(parts, "digits", "late")
        assert {condition(cluster, name)["reason"] for name in ("digits", "late")} == {"BudgetMissing"}
        assert running(cluster, "digits", "late") == {"digits"}
        del cluster.objects[f"{SETS}/digits-aggregator"]
        await reconciled(parts)
        assert f"{SETS}/digits-aggregator" in cluster.objects
        put_budget(cluster, metadata={"uid": "uid-new"})
        await kept(parts)
        assert shares(cluster)["digits"] == ("Settling", 1.0, 0.0), "it runs, whatever the new books say"
        assert [each["reason"] for each in events(cluster)].count("BudgetRebuilt") == 1


async def test_pods_that_were_held_up_are_not_made_once_the_reservation_has_gone(cluster):
    """The spec was accepted, and a volume of somebody else's kept its pods from being made."""
    put_budget(cluster)
    put_training(cluster)
    claim = "/api/v1/namespaces/fed/persistentvolumeclaims/state-digits-server-0"
    cluster.objects[claim] = {"metadata": {"namespace": "fed", "name": "state-digits-server-0", "resourceVersion": "1"}}
    async with replica(cluster) as parts:
        await reconciled(parts)
        assert condition(cluster)["reason"] == "ForeignObject"
        assert running(cluster) == set()
        del cluster.objects[claim]
        del cluster.objects[PATIENTS]
        await reconciled(parts)
        assert running(cluster) == set()
        assert condition(cluster)["reason"] == "BudgetMissing"


async def test_the_same_when_its_spec_cannot_be_read_any_more(cluster):
    """It is kept by the spec that was accepted, and none of its pods was ever made by that."""
    put_budget(cluster)
    put_training(cluster)
    foreign = cluster.put(body_of(CONFIG_MAP, "digits-policy", 9, training=None))
    async with replica(cluster) as parts:
        await reconciled(parts)
        assert condition(cluster)["reason"] == "ForeignObject"
        del cluster.objects[foreign]
        del cluster.objects[PATIENTS]
        change(cluster, rounds={"count": 0})
        await reconciled(parts)
        assert running(cluster) == set()
        assert condition(cluster)["reason"] == "InvalidSpec"
        assert "Besides, BudgetMissing: Nothing is reserved in PrivacyBudget patients" in condition(cluster)["message"]


async def test_a_suspended_training_claims_when_it_is_resumed(cluster):
    put_budget(cluster, spec=SPEC | {"epsilon": 0.5})
    put_training(cluster, spec={"suspend": True})
    async with replica(cluster) as parts:
        await reconciled(parts)
        assert "status" not in cluster.objects[PATIENTS]
        assert running(cluster) == {"digits"}, "with no replicas"
        assert cluster.objects[f"{SETS}/digits-server"]["spec"]["replicas"] == 0
        change(cluster, suspend=False)
        await reconciled(parts)
        assert condition(cluster)["reason"] == "BudgetExhausted"
        assert cluster.objects[f"{SETS}/digits-server"]["spec"]["replicas"] == 0
        change(cluster, privacy={"epsilon": 0.5})
        await reconciled(parts)
        assert cluster.objects[f"{SETS}/digits-server"]["spec"]["replicas"] == 1
        assert shares(cluster) == {"digits": ("Settling", 0.5, 0.0)}


async def test_a_paused_training_claims_nothing(cluster):
    put_budget(cluster)
    put_training(cluster)
    cluster.objects[f"{TRAININGS}/digits"]["metadata"]["annotations"] = {"shieldwall.dev/paused": "true"}
    async with replica(cluster) as parts:
        await reconciled(parts)
        assert "status" not in cluster.objects[PATIENTS]
        assert running(cluster) == set()


async def test_a_training_that_only_our_watch_does_not_know_has_not_gone(cluster):
    put_budget(cluster)
    put_training(cluster)
    async with replica(cluster) as parts:
        await reconciled(parts)
        parts.store._trainings.remove(cluster.objects[f"{TRAININGS}/digits"] | {"metadata": {
            "namespace": "fed", "name": "digits", "resourceVersion": "9999",
        }})  # fmt: skip
        cluster.requests.clear()
        await parts.keeper.reconcile(KEY)
        assert cluster.requests == [f"GET {TRAININGS}/digits"]
        assert shares(cluster) == {"digits": ("Settling", 1.0, 0.0)}


@pytest.mark.parametrize("another", [False, True], ids=["gone", "another of its name"])
async def test_a_training_that_vanished_has_spent_its_reservation(cluster, another):
    put_budget(cluster)
    put_training(cluster)
    async with replica(cluster) as parts:
        await reconciled(parts)
        del cluster.objects[f"{TRAININGS}/digits"]
        if another:
            cluster.put(training_body(uid="uid-2", version="800"))
        await kept(parts)
        assert shares(cluster) == {"digits": ("Settled", 0.0, 1.0)}
        assert status(cluster)["remaining"]["epsilon"] == 2.0
        assert "SpendingUnknown" in [each["reason"] for each in events(cluster)]
        cluster.requests.clear()
        await parts.keeper.reconcile(KEY)
        assert cluster.requests == [], "what is settled is not looked for again"


async def test_a_reservation_without_pods_is_returned(cluster):
    put_budget(cluster)
    put_training(cluster)
    foreign = body_of(CONFIG_MAP, "digits-policy", 9, training=None)
    cluster.put(foreign)
    async with replica(cluster) as parts:
        await reconciled(parts)
        assert condition(cluster)["reason"] == "ForeignObject"
        assert shares(cluster) == {"digits": ("Reserved", 1.0, 0.0)}
        del cluster.objects[f"{TRAININGS}/digits"]
        await kept(parts)
        assert shares(cluster) == {}
        assert status(cluster)["remaining"]["epsilon"] == 3.0
        assert "ReservationReturned" in [each["reason"] for each in events(cluster)]


async def test_a_spec_that_cannot_be_read_is_told_and_the_books_stay(cluster):
    put_budget(cluster)
    put_training(cluster)
    async with replica(cluster) as parts:
        await reconciled(parts)
        before = shares(cluster)
        put_budget(cluster, spec=SPEC | {"epsilon": 0}, status=status(cluster))
        assert (await kept(parts)).outcome is Outcome.STALLED
        found = {each["type"]: (each["status"], each["reason"]) for each in status(cluster)["conditions"]}
        assert found["Stalled"] == ("True", "InvalidSpec")
        assert shares(cluster) == before


def sample(parts, state, budget="patients"):
    labels = {"namespace": "fed", "budget": budget, "state": state}
    return parts.metrics.registry.get_sample_value("shieldwall_privacy_budget_epsilon", labels)


async def test_the_metric_tells_the_books_and_goes_with_its_budget(cluster):
    put_budget(cluster)
    put_training(cluster)
    async with replica(cluster) as parts:
        await reconciled(parts)
        await kept(parts)
        assert [sample(parts, state) for state in ("limit", "spent", "reserved")] == [3.0, 0.0, 1.0]
        del cluster.objects[PATIENTS]
        await kept(parts)
        assert sample(parts, "limit") is None


async def test_a_new_period_is_begun_by_whoever_comes_first(cluster):
    put_budget(cluster)
    put_training(cluster)
    async with replica(cluster) as parts:
        await reconciled(parts)
        put_budget(
            cluster,
            spec=SPEC | {"period": {"name": "summer", "reason": "new consent"}},
            status=status(cluster),
            metadata={"generation": 2},
        )
        put_training(cluster, "next")
        await reconciled(parts, "next")
        assert status(cluster)["period"] == "summer"
        assert [(each["period"], each["reason"]) for each in status(cluster)["history"]] == [("spring", "new consent")]
        assert set(shares(cluster)) == {"digits", "next"}
        assert "PeriodClosed" in [each["reason"] for each in events(cluster)]
