"""One thing after another is killed in mid-round: the run ends with the models of an undisturbed one.

Where a reply was lost the model may differ: then the round's record names who did not answer, and the accuracy is
within a point. All kills of as many clients share a run, which is done when the first of them is asked for. It ends
when all are done, and the undisturbed run after it has just as many rounds.

No reply is lost where a round waits for all of them, and runs of three clients can be compared to the last bit: sums of
more than two updates depend on the order of the clients' node ids, which are drawn anew for each training.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from . import kills
from .chaos import ENOUGH, Kill, Run, begin, clear, finish, kill_all, shorten
from .conftest import leave_evidence
from .documents import CITIES
from .ledger import arrived, attempt, ended, lost, newest, released

pytestmark = pytest.mark.timeout(1500)  # the first test of a run waits for all of it

POINT = 0.01
VICTIM = "dresden"
GRACE = 10
SILENT = {"no-reply", "client-error", "not-asked"}
"""What becomes of a reply that was lost, and nobody's fault."""


@dataclass(frozen=True)
class Plan:
    """One run and what is killed in it."""

    clients: tuple[str, ...]
    kills: tuple[Kill, ...]
    spare: int = 0
    """Replies without which a round is released."""
    epochs: int = 100

    def rounds(self, count):
        """As the spec says it."""
        return {"count": count, "minReplies": len(self.clients) - self.spare, "graceSeconds": GRACE}


def of_client(what, aim, **more):
    return Kill(what, aim, victim=VICTIM, **more)


PLANS = {
    "three clients": Plan(
        CITIES[:3],
        kills=(
            Kill("superlink", kills.container("superlink", "server")),
            Kill("steward", kills.container("steward", "server"), renews="client.berlin"),
            Kill("server's proxy", kills.container("proxy", "server"), renews="server"),
            Kill("aggregator's proxy", kills.container("proxy", "aggregator")),
            Kill("client's proxy", kills.container("proxy", f"client/{VICTIM}")),
            Kill("server pod", kills.pod("server"), renews="server", anywhere=True),
            Kill("aggregator", kills.container("aggregator", "aggregator"), ends_the_run=True),
            Kill("aggregator pod", kills.pod("aggregator"), ends_the_run=True, anywhere=True),
            Kill("operator", kills.operators, renews="client.berlin", anywhere=True),
            Kill("kubelet", kills.kubelet),
        ),
    ),
    "four clients": Plan(
        CITIES[:4],
        spare=1,
        epochs=400,
        kills=(
            of_client("supernode", kills.container("supernode", f"client/{VICTIM}")),
            of_client("trainer", kills.container("trainer", f"client/{VICTIM}")),
            of_client("client pod", kills.pod(f"client/{VICTIM}"), anywhere=True),
        ),
    ),
}
CASES = [
    pytest.param(name, kill, id=kill.what.replace(" ", "-")) for name, plan in PLANS.items() for kill in plan.kills
]


@pytest.fixture(scope="module")
def runs(site, kubectl):
    """What came of a plan, with its kills or without; done when first asked for, one at a time."""
    done = {}

    def run_of(name, kind="disturbed"):
        rounds = len(released(whole(run_of(name)).records)) if kind == "undisturbed" else None
        if (name, kind) not in done:
            run = done[name, kind] = Run(failure=AssertionError("it was not carried out to its end"))
            try:
                carry_out(site, kubectl, PLANS[name], run, rounds)
            finally:
                if run.failure or run.failures:
                    leave_evidence(kubectl, f"chaos-{name}-{kind}".replace(" ", "-"))
                clear(kubectl)
        return done[name, kind]

    return run_of


def carry_out(site, kubectl, plan, run, rounds=None):
    """As many ``rounds`` in peace, or as many as the plan's kills take."""
    try:
        begin(site, kubectl, len(plan.clients), plan.rounds(rounds or ENOUGH), plan.epochs)
        if rounds is None:
            kill_all(site, kubectl, run, [each for each in plan.kills if site.own or each.anywhere], plan.clients)
            shorten(kubectl, run)
        finish(kubectl, run)
        run.failure = None
    except Exception as error:  # noqa: BLE001  # each of the run's cases fails by it, with what was found before
        run.failure = error


def whole(run):
    """A run that came to its end."""
    if run.failure:
        raise run.failure
    return run


@pytest.mark.parametrize(("name", "kill"), CASES)
def test_killed_in_mid_round(site, runs, report, name, kill):
    if not (site.own or kill.anywhere):
        pytest.skip("needs the node of the suite's own cluster")
    plan, run = PLANS[name], runs(name)
    if kill.what in run.wounds:
        report(f"killed: {kill.what}", figures(run, kill, plan.clients))
    if kill.what in run.failures:
        raise run.failures[kill.what]
    assert whole(run).wounds[kill.what].hit(run.records, kill.victim), "in mid-round"
    for each in run.since(kill.what):
        assert_lost_replies_are_named(each, kill, plan)


@pytest.mark.parametrize("name", PLANS)
def test_the_run_ends_and_each_round_counts_once(runs, name):
    run = whole(runs(name))
    assert [each["round"] for each in released(run.records)] == list(range(1, newest(run.records) + 1))
    assert (run.status["phase"], run.status["round"]) == ("Completed", newest(run.records)), run.status


@pytest.mark.parametrize("name", PLANS)
def test_undisturbed_every_round_is_released_once(runs, name):
    run = whole(runs(name, "undisturbed"))
    assert [each["outcome"] for each in run.records] == ["released"] * newest(runs(name).records)
    assert all(each["admitted"] == len(PLANS[name].clients) for each in run.records)
    assert run.status["phase"] == "Completed"


@pytest.mark.parametrize("name", PLANS)
def test_models_are_those_of_the_undisturbed_run(runs, name):
    """Where replies were lost the last one is as good."""
    run = whole(runs(name))
    its, others = released(run.records), released(whole(runs(name, "undisturbed")).records)
    assert run.status["model"]["sha256"] == its[-1]["model_sha256"]
    if any(lost(each, PLANS[name].clients) for each in its):
        assert run.status["accuracy"] == pytest.approx(its[-1]["metrics"]["accuracy"])
        assert abs(its[-1]["metrics"]["accuracy"] - others[-1]["metrics"]["accuracy"]) <= POINT
    else:
        assert [each["model_sha256"] for each in its] == [each["model_sha256"] for each in others]


def assert_lost_replies_are_named(record, kill, plan):
    """Of a release just the client that was killed; of an attempt that was repeated whoever was cut off."""
    silent = lost(record, plan.clients)
    assert len(silent) == len(plan.clients) - record["admitted"], record
    assert set(silent.values()) <= SILENT, record
    if record["outcome"] == "released":
        assert set(silent) <= {kill.victim}, record
    else:
        assert len(silent) > plan.spare, record


def figures(run, kill, clients):
    """What a kill cost."""
    wound, records = run.wounds[kill.what], run.since(kill.what)
    found = {
        "strikes": len(run.strikes[kill.what]),
        "seconds until Ready": wound.ready,
        "seconds until status was right": wound.right,
        "seconds to the next round": round(ended(wound.next_release(records)) - wound.before, 1),
        "seconds until status told of it": wound.told,
    }
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
    named = [lost(each, PLANS["four clients"].clients) for each in released(whole(runs("four clients")).records)]
    assert {"no-reply", "client-error"} & {fate for each in named for fate in each.values()}
