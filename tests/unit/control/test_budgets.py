"""Reservations against an API server that is told what to answer: nothing starts without one, and none is lost."""

import asyncio
import copy
import json

import pytest
from aiohttp import web

from shieldwall.control.cluster.errors import ApiError
from shieldwall.control.reconcile import Outcome

from .budget_cluster import (
    KEY,
    PATIENTS,
    PUT,
    SETS,
    SPEC,
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
from .conftest import failure, replica


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
        verdicts = await reconciled(parts)
        assert [each.outcome for each in verdicts] == [Outcome.RETRY]
        assert running(cluster) == set()
        assert condition(cluster, kind="Reconciling")["reason"] == "ObjectRefused"


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
