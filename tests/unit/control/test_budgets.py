"""Reservations against an API server that is told what to answer: nothing starts without one, and none is lost."""

import asyncio
import copy
import json

import pytest
from aiohttp import web

from shieldwall.control.cluster.errors import ApiError
from shieldwall.control.cluster.kinds import BUDGET, CONFIG_MAP
from shieldwall.control.reconcile import Outcome

from .conftest import TRAININGS, body_of, failure, replica, training_body

BUDGETS = "/apis/shieldwall.dev/v1alpha1/namespaces/fed/privacybudgets"
PATIENTS = f"{BUDGETS}/patients"
PUT = f"PUT {PATIENTS}/status"
SETS = "/apis/apps/v1/namespaces/fed/statefulsets"
KEY = ("fed", "patients")
SPEC = {"epsilon": 3.0, "delta": 0.1, "unit": "Record", "data": ["c0", "c1"], "period": {"name": "spring"}}
PRIVACY = {"epsilon": 1.0, "delta": 1e-5, "clip": 1.0, "budgetRef": "patients"}
STEPS = {"mode": "RecordLevel", "records": 140, "batchSize": 32, "steps": 5}


def put_budget(cluster, *, spec=SPEC, **more):
    metadata = {"generation": 1, **more.pop("metadata", {})}
    body = body_of(BUDGET, "patients", 7, training=None, uid="uid-pb", metadata=metadata, spec=spec, **more)
    del body["metadata"]["resourceVersion"]
    cluster.put(body)


def put_training(cluster, name="digits", spec=None, **privacy):
    body = training_body(name=name, uid=f"uid of {name}")
    body["spec"] |= {"privacy": PRIVACY | ({} if "mode" in privacy else STEPS) | privacy} | (spec or {})
    cluster.put(body)


def change(cluster, name="digits", *, privacy=None, **spec):
    """A person changes the spec."""
    path = f"{TRAININGS}/{name}"
    body = copy.deepcopy(cluster.objects[path])
    body["spec"] |= spec
    body["spec"]["privacy"] |= privacy or {}
    body["metadata"]["generation"] += 1
    del body["metadata"]["resourceVersion"]
    cluster.put(body)


async def reconciled(parts, *names):
    await parts.worker._lister.everything()
    return [await parts.reconciler.reconcile(("fed", name)) for name in names or ("digits",)]


async def kept(parts):
    await parts.worker._lister.everything()
    return await parts.keeper.reconcile(KEY)


def status(cluster):
    return cluster.objects[PATIENTS]["status"]


def shares(cluster):
    return {
        share["name"]: (share["state"], share["reserved"]["epsilon"], share["spent"]["epsilon"])
        for share in status(cluster)["trainings"]
    }


def condition(cluster, name="digits", kind="Stalled"):
    found = cluster.objects[f"{TRAININGS}/{name}"]["status"]["conditions"]
    return next(each for each in found if each["type"] == kind)


def running(cluster, *names):
    return {name for name in names or ("digits",) if f"{SETS}/{name}-server" in cluster.objects}


def events(cluster):
    return [body for path, body in cluster.objects.items() if "/events/" in path]


async def test_all_is_reserved_first_and_noted_before_the_first_pod(cluster):
    put_budget(cluster)
    put_training(cluster)
    async with replica(cluster) as parts:
        await reconciled(parts)
        line = [request for request in cluster.requests if not request.startswith("GET ") and "/events" not in request]
        assert line[0] == PUT, "before anything of the training is made"
        assert line.index(PUT, 1) == line.index(f"PATCH {SETS}/digits-server") - 1
        assert line.count(PUT) == 2
        assert shares(cluster) == {"digits": ("Settling", 1.0, 0.0)}
        assert condition(cluster)["status"] == "False"
        (event,) = [each for each in events(cluster) if each["regarding"]["kind"] == "PrivacyBudget"]
        assert (event["reason"], event["regarding"]["name"], event["regarding"]["uid"]) == (
            "Reserved",
            "patients",
            "uid-pb",
        )


async def test_what_does_not_fit_gets_no_pod_and_says_the_sum(cluster):
    put_budget(cluster, spec=SPEC | {"epsilon": 1.4})
    put_training(cluster, "first")
    put_training(cluster)
    async with replica(cluster) as parts:
        verdicts = await reconciled(parts, "first", "digits")
        assert [verdict.outcome for verdict in verdicts] == [Outcome.OK, Outcome.STALLED]
        assert running(cluster, "first", "digits") == {"first"}
        stalled = condition(cluster)
        assert (stalled["status"], stalled["reason"]) == ("True", "BudgetExhausted")
        assert stalled["message"].startswith(
            "digits needs ε = 1.0; patients has 0.4 of 1.4 left: reserved 1.0, spent 0.0."
        )
        told = [each for each in events(cluster) if each["reason"] == "BudgetExhausted"]
        assert [(each["type"], each["regarding"]["name"]) for each in told] == [("Warning", "digits")]
        assert "/api/v1/namespaces/fed/configmaps/digits-policy" not in cluster.objects
        put_budget(cluster, spec=SPEC, status=status(cluster))
        await reconciled(parts)
        assert running(cluster) == {"digits"}
        assert condition(cluster)["status"] == "False"


@pytest.mark.parametrize(
    ("spec", "privacy", "reason"),
    [
        (None, {}, "BudgetMissing"),
        (SPEC | {"unit": "Client"}, {}, "BudgetOfAnotherUnit"),
        (SPEC, {"mode": "ClientLevelLocal"}, "BudgetOfAnotherUnit"),
        (SPEC | {"data": ["elsewhere"]}, {}, "BudgetOfOtherData"),
        (SPEC | {"epsilon": 0.9}, {}, "BudgetExhausted"),
        (SPEC | {"delta": 1e-6}, {}, "BudgetExhausted"),
        (SPEC | {"epsilon": -1}, {}, "BudgetUnreadable"),
    ],
)
async def test_each_reason_has_its_word_and_no_pod_is_made(cluster, spec, privacy, reason):
    if spec is not None:
        put_budget(cluster, spec=spec)
    put_training(cluster, **privacy)
    async with replica(cluster) as parts:
        for _ in range(2):
            await reconciled(parts)
        assert (condition(cluster)["status"], condition(cluster)["reason"]) == ("True", reason)
        assert running(cluster) == set()
        cluster.requests.clear()
        await parts.reconciler.reconcile(("fed", "digits"))
        assert [line for line in cluster.requests if not line.startswith("GET ")] == []


async def test_books_of_another_release_are_not_written_over(cluster):
    written = {"period": "spring", "entriesOfTomorrow": [1]}
    put_budget(cluster, status=written)
    put_training(cluster)
    async with replica(cluster) as parts:
        await reconciled(parts)
        assert (await kept(parts)).outcome is Outcome.STALLED
        assert condition(cluster)["reason"] == "BudgetUnreadable"
        assert "status.entriesOfTomorrow" in condition(cluster)["message"]
        assert status(cluster) == written


def meanwhile(cluster, epsilon, name="other"):
    """Another operator reserves just before our write, which therefore fails."""

    async def answer(request):
        body = copy.deepcopy(cluster.objects[PATIENTS])
        share = {
            "name": name, "uid": f"uid of {name}", "state": "Settling",
            "reserved": {"epsilon": epsilon, "delta": 0.0}, "spent": {"epsilon": 0.0, "delta": 0.0},
        }  # fmt: skip
        before = body.get("status", {}).get("trainings", [])
        body["status"] = {"period": "spring", "trainings": [*before, share]}
        del body["metadata"]["resourceVersion"]
        cluster.put(body)
        return failure(409, "Conflict")

    return answer


async def test_after_a_conflict_it_is_decided_by_what_the_other_left(cluster):
    put_budget(cluster)
    put_training(cluster)
    cluster.faults[PUT] = [meanwhile(cluster, 2.5)]
    async with replica(cluster) as parts:
        await reconciled(parts)
        assert condition(cluster)["message"].startswith("digits needs ε = 1.0; patients has 0.5 of 3.0 left")
        assert shares(cluster) == {"other": ("Settling", 2.5, 0.0)}
        assert running(cluster) == set()


async def test_after_a_conflict_what_still_fits_is_reserved_beside_the_other(cluster):
    put_budget(cluster)
    put_training(cluster)
    cluster.faults[PUT] = [meanwhile(cluster, 1.0, "a"), meanwhile(cluster, 1.0, "b")]
    async with replica(cluster) as parts:
        await reconciled(parts)
        assert {name: held for name, (_, held, _) in shares(cluster).items()} == {"a": 1.0, "b": 1.0, "digits": 1.0}
        assert running(cluster) == {"digits"}


async def test_who_is_never_first_comes_again(cluster):
    put_budget(cluster)
    put_training(cluster)
    cluster.faults[PUT] = [failure(409, "Conflict") for _ in range(30)]
    async with replica(cluster) as parts:
        await parts.worker._lister.everything()
        with pytest.raises(ApiError, match="was changed 10 times") as caught:
            await parts.reconciler.reconcile(("fed", "digits"))
        assert caught.value.conflict
        assert running(cluster) == set()


async def test_a_budget_that_goes_just_then_is_missing(cluster):
    async def goes(request):
        del cluster.objects[PATIENTS]
        return failure(404, "NotFound")

    put_budget(cluster)
    put_training(cluster)
    cluster.faults[PUT] = [goes]
    async with replica(cluster) as parts:
        await reconciled(parts)
        assert condition(cluster)["reason"] == "BudgetMissing"
        assert running(cluster) == set()


async def test_an_answer_that_is_lost_reserves_once(cluster):
    """The write was done, and nobody heard so."""

    async def lost(request):
        cluster._answer(request, json.loads(await request.read()))
        request.transport.abort()
        return web.Response()

    put_budget(cluster)
    put_training(cluster)
    cluster.faults[PUT] = [lost]
    async with replica(cluster) as parts:
        await reconciled(parts)
        assert shares(cluster) == {"digits": ("Settling", 1.0, 0.0)}


@pytest.mark.parametrize("fault", [failure(403, "Forbidden"), failure(422, "Invalid")], ids=["forbidden", "invalid"])
async def test_what_cannot_be_written_starts_nothing(cluster, fault):
    put_budget(cluster)
    put_training(cluster)
    cluster.faults[PUT] = [fault]
    async with replica(cluster) as parts:
        await parts.worker._lister.everything()
        with pytest.raises(ApiError):
            await parts.reconciler.reconcile(("fed", "digits"))
        assert running(cluster) == set()


async def test_two_operators_and_twenty_trainings_never_get_more_than_there_is(cluster):
    put_budget(cluster)
    names = [f"t{index}" for index in range(20)]
    for name in names:
        put_training(cluster, name, epsilon=0.4)

    async def fast(request):
        await asyncio.sleep(0)  # another may come between reading and answering

    cluster.faults[PUT] = [fast] * 500
    async with replica(cluster) as one, replica(cluster) as two:
        for parts in (one, two):
            await parts.worker._lister.everything()
        passes = [parts.reconciler.reconcile(("fed", name)) for name in names for parts in (one, two)]
        await asyncio.gather(*passes, return_exceptions=True)
        held = sum(share["reserved"]["epsilon"] for share in status(cluster)["trainings"])
        assert held <= 3.0
        for parts in (one, two) * 2:
            await reconciled(parts, *names)
    assert len(shares(cluster)) == 7
    assert status(cluster)["reserved"]["epsilon"] == 2.8
    assert running(cluster, *names) == set(shares(cluster))


async def test_idle_passes_write_nothing(cluster):
    put_budget(cluster)
    put_training(cluster)
    put_training(cluster, "short", epsilon=9.0)
    async with replica(cluster) as parts:
        for _ in range(3):
            await reconciled(parts, "digits", "short")
            await kept(parts)
        cluster.requests.clear()
        for _ in range(100):
            for name in ("digits", "short"):
                await parts.reconciler.reconcile(("fed", name))
            assert (await parts.keeper.reconcile(KEY)).outcome is Outcome.OK
        assert cluster.requests == []


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
