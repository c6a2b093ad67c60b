"""One thing after another is killed in mid-round: the run ends with the models of an undisturbed one.

Where a reply was lost the model may differ: then the round's record names who did not answer, and the accuracy is
within a point. Kills that hurt the same thing share a run; each run is done when the first of its kills is asked for.

No reply is lost where a round waits for all of them, and runs of three clients can be compared to the last bit: sums of
more than two updates depend on the order of the clients' node ids, which are drawn anew for each training.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from . import kills
from .chaos import WITHIN, Kill, Run, begin, clear, disturb, finish
from .conftest import leave_evidence
from .documents import CITIES
from .ledger import arrived, attempt, ended, lost, released

pytestmark = pytest.mark.timeout(900)  # the first test of a run waits for all of it

POINT = 0.01
VICTIM = "dresden"
GRACE = 10
SILENT = {"no-reply", "client-error", "not-asked"}
"""What becomes of a reply that was lost, and nobody's fault."""


@dataclass(frozen=True)
class Plan:
    """One run and what is killed in it."""

    rounds: int
    clients: tuple[str, ...] = CITIES[:3]
    spare: int = 0
    """Replies without which a round is released."""
    epochs: int = 100
    kills: tuple[Kill, ...] = ()

    @property
    def needed(self):
        """As the spec says it."""
        return {"count": self.rounds, "minReplies": len(self.clients) - self.spare, "graceSeconds": GRACE}


def of_client(what, aim, **more):
    return Kill(what, aim, victim=VICTIM, **more)


PLANS = {
    "undisturbed": Plan(36),
    "undisturbed, four clients": Plan(22, CITIES[:4], epochs=400),
    "server and proxies": Plan(
        30,
        kills=(
            Kill("superlink", kills.container("superlink", "server")),
            Kill("steward", kills.container("steward", "server"), renews="client.berlin"),
            Kill("server's proxy", kills.container("proxy", "server"), renews="server"),
            Kill("aggregator's proxy", kills.container("proxy", "aggregator")),
            Kill("client's proxy", kills.container("proxy", f"client/{VICTIM}")),
        ),
    ),
    "server pod and aggregator": Plan(
        20,
        kills=(
            Kill("server pod", kills.pod("server"), renews="server", anywhere=True),
            Kill("aggregator", kills.container("aggregator", "aggregator"), ends_the_run=True),
            Kill("aggregator pod", kills.pod("aggregator"), ends_the_run=True, anywhere=True),
        ),
    ),
    "clients": Plan(
        22,
        CITIES[:4],
        spare=1,
        epochs=400,
        kills=(
            of_client("supernode", kills.container("supernode", f"client/{VICTIM}")),
            of_client("trainer", kills.container("trainer", f"client/{VICTIM}")),
            of_client("client pod", kills.pod(f"client/{VICTIM}"), anywhere=True),
        ),
    ),
    "what all trainings need": Plan(
        36,
        kills=(
            Kill("operator", kills.operators, renews="client.berlin", anywhere=True),
            Kill("kubelet", kills.kubelet),
        ),
    ),
}
UNDISTURBED = {len(plan.clients): name for name, plan in PLANS.items() if not plan.kills}
"""By how many clients there are."""
CASES = [
    pytest.param(name, kill, id=kill.what.replace(" ", "-")) for name, plan in PLANS.items() for kill in plan.kills
]


@pytest.fixture(scope="module")
def runs(site, kubectl):
    """What came of a run, by the name of its plan; done when first asked for, one at a time."""
    done = {}

    def run_of(name):
        if name not in done:
            run = done[name] = Run(failure=AssertionError(f"the run {name} was not carried out to its end"))
            try:
                carry_out(site, kubectl, PLANS[name], run)
            finally:
                if run.failure:
                    leave_evidence(kubectl, f"chaos-{name}".replace(" ", "-"))
                clear(kubectl)
        return done[name]

    return run_of


def carry_out(site, kubectl, plan, run):
    try:
        begin(site, kubectl, len(plan.clients), plan.needed, plan.epochs)
        for kill in plan.kills:
            if site.own or kill.anywhere:
                run.wounds[kill.what] = disturb(site, kubectl, kill, plan.clients)
        finish(kubectl, run)
        run.failure = None
    except Exception as error:  # noqa: BLE001  # each of the run's cases fails by it, with what was found before
        run.failure = error


@pytest.mark.parametrize("name", UNDISTURBED.values())
def test_undisturbed_every_round_is_released_once(runs, name):
    run = runs(name)
    if run.failure:
        raise run.failure
    assert [each["outcome"] for each in run.records] == ["released"] * PLANS[name].rounds
    assert all(each["admitted"] == len(PLANS[name].clients) for each in run.records)
    assert run.status["phase"] == "Completed"


@pytest.mark.parametrize(("name", "kill"), CASES)
def test_killed_in_mid_round(site, runs, report, name, kill):
    if not (site.own or kill.anywhere):
        pytest.skip("needs the node of the suite's own cluster")
    plan, run = PLANS[name], runs(name)
    if kill.what in run.wounds:
        report(f"killed: {kill.what}", figures(run, kill, plan.clients))
    if run.failure:
        raise run.failure
    wound = run.wounds[kill.what]
    assert wound.hit(run.records, kill.victim), "in mid-round"
    assert wound.right <= WITHIN
    assert (run.status["phase"], run.status["round"]) == ("Completed", plan.rounds), run.status
    its = released(run.records)
    assert [each["round"] for each in its] == list(range(1, plan.rounds + 1)), "each round counts once"
    for each in run.since(kill.what):
        assert_lost_replies_are_named(each, kill, plan)
    same_end(run, runs(UNDISTURBED[len(plan.clients)]), plan)


def assert_lost_replies_are_named(record, kill, plan):
    """Of a release just the client that was killed; of an attempt that was repeated whoever was cut off."""
    silent = lost(record, plan.clients)
    assert len(silent) == len(plan.clients) - record["admitted"], record
    assert set(silent.values()) <= SILENT, record
    if record["outcome"] == "released":
        assert set(silent) <= {kill.victim}, record
    else:
        assert len(silent) > plan.spare, record


def same_end(run, undisturbed, plan):
    """Models are those of the undisturbed run; where replies were lost the last one is as good."""
    its, others = released(run.records), released(undisturbed.records)[: plan.rounds]
    assert len(others) == plan.rounds, undisturbed.failure
    assert run.status["model"]["sha256"] == its[-1]["model_sha256"]
    if any(lost(each, plan.clients) for each in its):
        assert run.status["accuracy"] == pytest.approx(its[-1]["metrics"]["accuracy"])
        assert abs(its[-1]["metrics"]["accuracy"] - others[-1]["metrics"]["accuracy"]) <= POINT
    else:
        assert [each["model_sha256"] for each in its] == [each["model_sha256"] for each in others]


def figures(run, kill, clients):
    """What a kill cost."""
    wound, records = run.wounds[kill.what], run.since(kill.what)
    found = {"seconds until Ready": wound.ready, "seconds until status was right": wound.right}
    if after := wound.next_release(run.records):
        found["seconds to the next round"] = round(ended(after) - wound.before, 1)
    unrecorded = attempt(wound.opened) not in map(attempt, run.records)
    found["rounds repeated"] = sum(each["outcome"] == "repeated" for each in records) + unrecorded
    found["replies lost"] = [silent for each in records if (silent := lost(each, clients))]
    if kill.victim:
        times = (arrived(each, kill.victim) for each in records if not lost(each, clients))
        back = next((at for at in times if at > wound.after), None)
        found["seconds until its reply counts again"] = back and round(back - wound.before, 1)
    return found


def test_a_killed_client_loses_its_reply_and_is_named(site, runs):
    """Else nobody would have seen that records name it."""
    if not site.own:
        pytest.skip("needs the node of the suite's own cluster")
    run = runs("clients")
    if run.failure:
        raise run.failure
    named = [lost(each, PLANS["clients"].clients) for each in released(run.records)]
    assert {"no-reply", "client-error"} & {fate for each in named for fate in each.values()}
