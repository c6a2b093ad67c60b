"""One thing after another is killed in mid-round: the run ends with the models of an undisturbed one.

Where a reply was lost the model may differ: then the round's record names who did not answer, and the accuracy is
within a point. Kills that hurt the same thing share a run; each run is done when the first of its kills is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from . import kills
from .chaos import CLIENTS, WITHIN, Kill, Run, begin, clear, disturb, finish
from .conftest import leave_evidence
from .ledger import arrived, attempt, ended, lost, released

pytestmark = pytest.mark.timeout(900)  # the first test of a run waits for all of it

POINT = 0.01
VICTIM = "dresden"
SILENT = {"no-reply", "client-error", "not-asked"}
"""What becomes of a reply that was lost, and nobody's fault."""


@dataclass(frozen=True)
class Plan:
    """One run and what is killed in it."""

    rounds: int
    replies: int
    """That a round needs."""
    kills: tuple[Kill, ...] = ()


def of_client(what, aim, **more):
    return Kill(what, aim, victim=VICTIM, **more)


PLANS = {
    "undisturbed": Plan(36, len(CLIENTS)),
    "server and proxies": Plan(
        30,
        len(CLIENTS),
        (
            Kill("superlink", kills.container("superlink", "server")),
            Kill("steward", kills.container("steward", "server"), renews="client.berlin"),
            Kill("server's proxy", kills.container("proxy", "server"), renews="server"),
            Kill("aggregator's proxy", kills.container("proxy", "aggregator")),
            Kill("client's proxy", kills.container("proxy", f"client/{VICTIM}")),
        ),
    ),
    "server pod and aggregator": Plan(
        20,
        len(CLIENTS),
        (
            Kill("server pod", kills.pod("server"), renews="server", anywhere=True),
            Kill("aggregator", kills.container("aggregator", "aggregator"), ends_the_run=True),
            Kill("aggregator pod", kills.pod("aggregator"), ends_the_run=True, anywhere=True),
        ),
    ),
    "clients": Plan(
        30,
        len(CLIENTS) - 1,
        (
            of_client("supernode", kills.container("supernode", f"client/{VICTIM}")),
            of_client("trainer", kills.container("trainer", f"client/{VICTIM}")),
            of_client("client pod", kills.pod(f"client/{VICTIM}"), anywhere=True),
        ),
    ),
    "what all trainings need": Plan(
        36,
        len(CLIENTS),
        (
            Kill("operator", kills.operators, renews="client.berlin", anywhere=True),
            Kill("kubelet", kills.kubelet),
        ),
    ),
}
GRACE = 10
CASES = [
    pytest.param(name, kill, id=kill.what.replace(" ", "-")) for name, plan in PLANS.items() for kill in plan.kills
]


@pytest.fixture(scope="module")
def runs(site, kubectl):
    """What came of a run, by the name of its plan; done when first asked for, one at a time."""
    done = {}

    def run_of(name):
        if name not in done:
            done[name] = carry_out(site, kubectl, name)
        return done[name]

    return run_of


def carry_out(site, kubectl, name):
    plan, run = PLANS[name], Run()
    try:
        begin(site, kubectl, plan.rounds, plan.replies, GRACE)
        for kill in plan.kills:
            if site.own or kill.anywhere:
                run.wounds[kill.what] = disturb(site, kubectl, kill)
        finish(kubectl, run)
    except Exception as error:  # noqa: BLE001  # each of the run's cases fails by it
        run.failure = error
        leave_evidence(kubectl, f"chaos-{name}".replace(" ", "-"))
    finally:
        clear(kubectl)
    return run


def test_undisturbed_every_round_is_released_once(runs):
    run = runs("undisturbed")
    if run.failure:
        raise run.failure
    assert [each["outcome"] for each in run.records] == ["released"] * PLANS["undisturbed"].rounds
    assert all(each["admitted"] == len(CLIENTS) for each in run.records)
    assert run.status["phase"] == "Completed"


@pytest.mark.parametrize(("name", "kill"), CASES)
def test_killed_in_mid_round(site, runs, report, name, kill):
    if not (site.own or kill.anywhere):
        pytest.skip("needs the node of the suite's own cluster")
    undisturbed, run = runs("undisturbed"), runs(name)
    if run.failure and kill.what not in run.wounds:
        raise run.failure
    report(f"killed: {kill.what}", figures(run, kill))
    if run.failure:
        raise run.failure
    assert run.wounds[kill.what].hit(run.records, kill.victim), "in mid-round"
    assert run.wounds[kill.what].right <= WITHIN
    assert (run.status["phase"], run.status["round"]) == ("Completed", PLANS[name].rounds), run.status
    its = released(run.records)
    assert [each["round"] for each in its] == list(range(1, PLANS[name].rounds + 1)), "each round counts once"
    for each in run.since(kill.what):
        silent = lost(each, CLIENTS)
        assert len(silent) == len(CLIENTS) - each["admitted"], each
        assert set(silent.values()) <= SILENT, each
        assert set(silent) <= {kill.victim} or (each["outcome"] == "repeated" and not kill.victim), each
        assert silent or each["outcome"] == "released", each
    same_end(run, released(undisturbed.records))


def same_end(run, undisturbed):
    """The last model is that of the undisturbed run after as many rounds; where replies were lost it is as good."""
    its = released(run.records)
    twin = undisturbed[len(its) - 1]
    assert run.status["model"]["sha256"] == its[-1]["model_sha256"]
    if any(lost(each, CLIENTS) for each in its):
        assert run.status["accuracy"] == pytest.approx(its[-1]["metrics"]["accuracy"])
        assert abs(its[-1]["metrics"]["accuracy"] - twin["metrics"]["accuracy"]) <= POINT
    else:
        sums = [each["model_sha256"] for each in its]
        assert sums == [each["model_sha256"] for each in undisturbed[: len(its)]], "of every round"


def figures(run, kill):
    """What a kill cost."""
    wound, records = run.wounds[kill.what], run.since(kill.what)
    found = {"seconds until Ready": wound.ready, "seconds until status was right": wound.right}
    if after := wound.next_release(run.records):
        found["seconds to the next round"] = round(ended(after) - wound.before, 1)
    unrecorded = attempt(wound.opened) not in map(attempt, run.records)
    found["rounds repeated"] = sum(each["outcome"] == "repeated" for each in records) + unrecorded
    found["replies lost"] = [list(silent.items()) for each in records if (silent := lost(each, CLIENTS))]
    if kill.victim:
        back = next(
            (
                at
                for each in records
                if (at := arrived(each, kill.victim) or 0) > wound.after and not lost(each, CLIENTS)
            ),
            None,
        )
        found["seconds until it has a part again"] = round(back - wound.before, 1) if back else None
    return found


def test_kills_of_clients_lost_replies(site, runs):
    """Else nobody would have seen that records name them."""
    if not site.own:
        pytest.skip("needs the node of the suite's own cluster")
    run = runs("clients")
    if run.failure:
        raise run.failure
    assert any(lost(each, CLIENTS) for each in released(run.records))
