"""PrivacyBudgets on a real API server: its compare-and-swap, its rules, and trainings that race."""

from __future__ import annotations

import asyncio
import subprocess
from contextlib import suppress
from datetime import UTC, datetime

import httpx
import pytest
from harness.tools import binary

from shieldwall.control.cluster.errors import ApiError
from shieldwall.control.report import Outcome

from .conftest import eventually, operator, passes, quiet, replica, training

pytestmark = pytest.mark.slow

DRAWS = {"mode": "RecordLevel", "epsilon": 1.0, "delta": 1e-6, "clip": 1.0, "budgetRef": "patients"}
DRAWS |= {"records": 140, "batchSize": 32, "steps": 5}
ALONE = {"rule": "FedAvg", "insecure": True}
"""For a training of one client."""


def budget(space, name="patients", **spec):
    return {
        "apiVersion": "shieldwall.dev/v1alpha1",
        "kind": "PrivacyBudget",
        "metadata": {"name": name, "namespace": space.name},
        "spec": {"epsilon": 3.0, "delta": 0.001, "unit": "Record", "data": ["c0", "c1", "c2"],
                 "period": {"name": "spring"}} | spec,
    }  # fmt: skip


def drawing(space, name="digits", **privacy):
    return training(space, clients=1, name=name, aggregation=ALONE, privacy=DRAWS | privacy)


def books(space, name="patients"):
    return space.get("privacybudgets", name)["status"]


def shares(space, name="patients"):
    return {
        share["name"]: (share["state"], share["reserved"]["epsilon"], share["spent"]["epsilon"])
        for share in books(space, name).get("trainings", [])
    }


def condition(space, kind, name="patients"):
    found = next(each for each in books(space, name)["conditions"] if each["type"] == kind)
    return found["status"], found["reason"]


def tell(space, name="digits", **status):
    """What an operator that follows the training would say of it."""
    before = space.status(name)
    spent = status.pop("epsilon", None)
    privacy = {"privacy": {"mode": "RecordLevel", "epsilonSpent": spent}} if spent is not None else {}
    path = space.path("federatedtrainings", f"{name}/status")
    space.server.request("PATCH", path, {"status": before | status | privacy}, patch="merge")


async def settle(parts, space, name="patients"):
    await parts.worker._lister.everything()
    return await parts.keeper.reconcile((space.name, name))


def sets(space):
    return {name.removesuffix("-server") for name in space.all("statefulsets") if name.endswith("-server")}


def refused(space, document):
    with pytest.raises(httpx.HTTPStatusError) as caught:
        space.apply(document)
    return caught.value.response.json()["message"]


@pytest.mark.timeout(180)
async def test_of_two_trainings_that_race_for_the_last_of_it_one_runs(space):
    space.apply(budget(space, epsilon=0.2))
    for name in ("a", "b"):
        space.apply(drawing(space, name, epsilon=0.2))
    async with replica(space) as one, replica(space) as two:
        for parts in (one, two):
            await parts.worker._lister.everything()
        await asyncio.gather(one.reconciler.reconcile((space.name, "a")), two.reconciler.reconcile((space.name, "b")))
        await asyncio.gather(passes(one, space, "a"), passes(two, space, "b"))
    (runs,) = shares(space)
    (waits,) = {"a", "b"} - {runs}
    assert shares(space) == {runs: ("Settling", 0.2, 0.0)}
    assert sets(space) == {runs}
    stalled = space.condition("Stalled", waits)
    assert (stalled["status"], stalled["reason"]) == ("True", "BudgetExhausted")
    assert stalled["message"].startswith(
        f"{waits} needs ε = 0.2; patients has 0.0 of 0.2 left: reserved 0.2, spent 0.0."
    )
    assert condition(space, "Exhausted") == ("True", "Reserved")


@pytest.mark.timeout(300)
async def test_twenty_that_race_with_two_operators_never_get_more_than_there_is(space):
    space.apply(budget(space, epsilon=1.0))
    names = [f"t{index}" for index in range(20)]
    for name in names:
        space.apply(drawing(space, name, epsilon=0.15))
    held = []

    async def passing(parts, name):
        try:
            await parts.reconciler.reconcile((space.name, name))
        except ApiError as error:  # overtaken again and again: the queue would come back
            if not error.conflict:
                raise

    async def watching():
        while True:
            await asyncio.sleep(0.05)
            found = await asyncio.to_thread(space.get, "privacybudgets", "patients")
            held.append(sum(each["reserved"]["epsilon"] for each in found.get("status", {}).get("trainings", [])))

    async with replica(space) as one, replica(space) as two:
        for parts in (one, two):
            await parts.worker._lister.everything()
        watch = asyncio.create_task(watching())
        await asyncio.gather(*(passing(parts, name) for name in names for parts in (one, two)))
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch  # it has looked until now
        await one.worker._lister.everything()
        for name in names:
            await passing(one, name)
    assert max(held) <= 1.0 + 1e-12
    assert len(shares(space)) == 6
    assert books(space)["reserved"]["epsilon"] == 0.9
    assert sets(space) == set(shares(space))


@pytest.mark.timeout(180)
async def test_a_life_of_a_budget(space):
    space.apply(budget(space))
    space.apply(drawing(space))
    async with replica(space) as parts:
        await settle(parts, space)
        assert condition(space, "Ready") == ("True", "Kept")
        await passes(parts, space)
        assert shares(space) == {"digits": ("Settling", 1.0, 0.0)}
        for round_, epsilon in enumerate((0.3, 0.5), start=1):
            tell(space, phase="Training", round=round_, epsilon=epsilon)
            await settle(parts, space)
            assert shares(space) == {"digits": ("Settling", 1 - epsilon, epsilon)}
        tell(space, phase="Completed", round=5, epsilon=0.625)
        await settle(parts, space)
        assert shares(space) == {"digits": ("Settled", 0.0, 0.625)}
        assert (books(space)["remaining"]["epsilon"], books(space)["spent"]["delta"]) == (2.375, 1e-6)
        space.apply(drawing(space, "next", epsilon=2.375))
        await passes(parts, space, "next")
        space.delete("federatedtrainings", "next")
        eventually(lambda: space.find("federatedtrainings", "next") is None)
        await settle(parts, space)
        assert shares(space)["next"] == ("Settled", 0.0, 2.375)
        assert condition(space, "Exhausted") == ("True", "Spent")
        assert "another reason" not in refused(space, budget(space, period={"name": "summer"}))
        space.apply(budget(space, period={"name": "summer", "reason": "new consent"}))
        await settle(parts, space)
        (record,) = books(space)["history"]
        assert (record["period"], record["reason"], record["spent"]["epsilon"]) == ("spring", "new consent", 3.0)
        assert shares(space) == {"digits": ("Settled", 0.0, 0.0)}
        assert books(space)["remaining"]["epsilon"] == 3.0
    reasons = {each["reason"] for each in events(space) if each["regarding"]["kind"] == "PrivacyBudget"}
    assert reasons == {"Reserved", "Settled", "SpendingUnknown", "BudgetExhausted", "PeriodClosed"}


def events(space):
    return space.server.request("GET", f"/apis/events.k8s.io/v1/namespaces/{space.name}/events")["items"]


@pytest.mark.timeout(180)
async def test_books_that_were_deleted_are_made_anew_of_what_trainings_say(space):
    space.apply(budget(space))
    space.apply(drawing(space))
    async with replica(space) as parts:
        await passes(parts, space)
        tell(space, phase="Training", round=2, epsilon=0.3)
        await settle(parts, space)
        path = space.path("privacybudgets", "patients/status")
        space.server.request("PATCH", path, [{"op": "remove", "path": "/status"}], patch="json")
        assert "trainings" not in space.get("privacybudgets", "patients").get("status", {})
        await settle(parts, space)
        assert shares(space) == {"digits": ("Settling", 0.7, 0.3)}
    assert [each["type"] for each in events(space) if each["reason"] == "BudgetRebuilt"] == ["Warning"]


@pytest.mark.timeout(240)
async def test_a_hundred_idle_passes_write_nothing(space):
    space.apply(budget(space))
    space.apply(drawing(space))
    space.apply(drawing(space, "large", epsilon=9.0))
    async with replica(space) as parts:
        for name in ("digits", "large"):
            await passes(parts, space, name)
        await settle(parts, space)
        await quiet(parts, space)
        began = datetime.now(UTC)
        for _ in range(100):
            for name in ("digits", "large"):
                await parts.reconciler.reconcile((space.name, name))
            assert (await settle(parts, space)).outcome is Outcome.OK
        mine = [line for line in await asyncio.to_thread(space.writes, began) if "patch" in line or "update" in line]
        assert [line for line in mine if "privacybudgets" in line or "federatedtrainings" in line] == []


@pytest.mark.timeout(180)
def test_the_operator_watches_budgets_and_wakes_their_trainings(space, tmp_path):
    space.apply(drawing(space))
    with operator(space, tmp_path / "op"):
        eventually(lambda: space.condition("Stalled")["reason"] == "BudgetMissing")
        space.apply(budget(space, epsilon=0.5))
        eventually(lambda: space.condition("Stalled")["reason"] == "BudgetExhausted", 10)
        eventually(lambda: condition(space, "Ready") == ("True", "Kept"), 10)
        space.apply(budget(space))
        eventually(lambda: sets(space) == {"digits"}, 10)
        eventually(lambda: shares(space) == {"digits": ("Settling", 1.0, 0.0)}, 10)
        space.delete("federatedtrainings", "digits")
        eventually(lambda: shares(space) == {"digits": ("Settled", 0.0, 1.0)}, 20)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epsilon": 0}, "spec.epsilon"),
        ({"delta": 1}, "spec.delta"),
        ({"unit": "Person"}, "spec.unit"),
        ({"data": []}, "spec.data"),
        ({"data": ["c0", "c0"]}, "duplicate entries"),
        ({"unit": "Client"}, "Make a budget of its own for the other one"),
        ({"period": {"name": "summer"}}, "needs a reason of its own"),
        ({"period": {}}, "spec.period"),
    ],
)
def test_the_api_server_refuses_what_is_no_budget(space, change, said):
    space.apply(budget(space))
    assert said in refused(space, budget(space, **change))


def test_a_reason_that_was_given_for_the_period_before_is_none_for_the_next(space):
    space.apply(budget(space, period={"name": "spring", "reason": "new consent"}))
    assert "needs a reason of its own" in refused(
        space, budget(space, period={"name": "summer", "reason": "new consent"})
    )
    space.apply(budget(space, period={"name": "summer", "reason": "new consent of May"}))


@pytest.mark.parametrize("name", ["a.b", "x" * 64])
def test_a_budget_has_a_name_that_trainings_can_refer_to(space, name):
    assert "metadata.name" in refused(space, budget(space, name=name))


def test_a_training_keeps_its_budget_all_its_life(space):
    space.apply(drawing(space))
    for privacy in (DRAWS | {"budgetRef": "others"}, {key: DRAWS[key] for key in DRAWS if key != "budgetRef"}):
        document = drawing(space)
        document["spec"]["privacy"] = privacy
        assert "draws on one budget, or on none, all its life" in refused(space, document)
    space.apply(drawing(space, epsilon=2.0))


def test_kubectl_shows_the_sums_and_explains_each_field(space):
    space.apply(budget(space))
    status = {
        "spent": {"epsilon": 1.0, "delta": 0.0},
        "reserved": {"epsilon": 1.6, "delta": 0.0},
        "remaining": {"epsilon": 0.4, "delta": 0.0},
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "Kept", "message": "x",
             "lastTransitionTime": "2026-01-01T00:00:00Z"},
        ],
    }  # fmt: skip
    path = space.path("privacybudgets", "patients/status")
    space.server.request("PATCH", path, {"status": status}, patch="merge")

    def kubectl(*arguments):
        environment = {"KUBECONFIG": str(space.server.kubeconfig()), "HOME": str(space.server.directory)}
        command = [binary("kubectl"), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    head, row = kubectl("get", "pb", "--namespace", space.name).splitlines()
    assert head.split() == ["NAME", "EPSILON", "SPENT", "RESERVED", "LEFT", "READY", "AGE"]
    assert row.split()[:6] == ["patients", "3", "1", "1.6", "0.4", "True"]
    for field in ("spec.epsilon", "spec.period.reason", "status.trainings.state", "status.history.spent.epsilon"):
        said = kubectl("explain", f"privacybudget.{field}")
        assert "DESCRIPTION:" in said
        assert "<empty>" not in said
