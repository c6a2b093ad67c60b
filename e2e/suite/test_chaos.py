"""One thing after another is killed in mid-round: the run ends with the models of an undisturbed one.

Where a reply was lost the model may differ: then the round's record names who did not answer, and the accuracy is
within a point. All kills of as many clients share a run, which ends when they are done; the undisturbed run after it
has just as many rounds.

No reply is lost where a round waits for all of them, and runs of three clients can be compared to the last bit: sums of
more than two updates depend on the order of the clients' node ids, which are drawn anew for each training.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from . import kills
from .chaos import ENOUGH, Kill, Run, begin, clear, finish, kill_all, shorten
from .conftest import forget_evidence, leave_evidence
from .documents import CITIES
from .ledger import arrived, attempt, ended, lost, newest, released

if TYPE_CHECKING:
    from .kubectl import Kubectl

pytestmark = pytest.mark.timeout(1800)  # the first test waits for all runs

POINT = 0.01
VICTIM = "dresden"
GRACE = 10
DISTURBED, PEACE = "disturbed", "in-peace"
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

    def begin(self, site, kubectl, rounds, spare=0):
        needed = {"count": rounds, "minReplies": len(self.clients) - spare, "graceSeconds": GRACE}
        begin(site, kubectl, len(self.clients), needed, self.epochs)


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
            Kill("operator", kills.operators, renews="server", anywhere=True),
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


@dataclass(frozen=True)
class Attempt:
    """A run in a namespace of its own."""

    kubectl: Kubectl
    run: Run = field(default_factory=Run)

    def part(self, do, *arguments):
        """Some of it, if it came so far: its cases fail by an error, and other runs go on."""
        if self.run.failure:
            return
        try:
            do(self.kubectl, self.run, *arguments)
        except Exception as error:  # noqa: BLE001
            self.run.failure = error

    def end(self):
        """Wait for the run's end, and keep what it leaves."""
        self.part(finish)
        leave_evidence(self.kubectl, self.kubectl.namespace)
        clear(self.kubectl)


@pytest.fixture(scope="module")
def runs(site, release, request):  # trainings need the operator
    """What came of each plan, with its kills and in peace; evidence of it stays when one of the cases fails."""
    failed = request.session.testsfailed
    attempts = {
        (name, kind): Attempt(site.kubectl.inside(f"chaos-{len(plan.clients)}-{kind}"))
        for name, plan in PLANS.items()
        for kind in (DISTURBED, PEACE)
    }
    try:
        carry_out(site, attempts)
    except BaseException:  # the module's time is up
        for each in attempts.values():
            leave_evidence(each.kubectl, each.kubectl.namespace)
        raise
    finally:
        for each in attempts.values():
            clear(each.kubectl)
    yield {key: each.run for key, each in attempts.items()}
    if request.session.testsfailed == failed:
        for each in attempts.values():
            forget_evidence(each.kubectl.namespace)


def carry_out(site, attempts):
    """A run ends while the next one begins: more than two at a time are more than a small node has room for."""
    for name, plan in PLANS.items():
        attempts[name, DISTURBED].part(disturb, site, plan)
    for name, plan in PLANS.items():
        disturbed = attempts[name, DISTURBED]
        disturbed.end()
        attempts[name, PEACE].part(repeat, site, plan, disturbed.run)
    for name in PLANS:
        attempts[name, PEACE].end()


def disturb(kubectl, run, site, plan):
    plan.begin(site, kubectl, ENOUGH, plan.spare)
    kill_all(site, kubectl, run, [each for each in plan.kills if site.own or each.anywhere], plan.clients)
    shorten(kubectl, run)


def repeat(kubectl, _run, site, plan, disturbed):
    plan.begin(site, kubectl, newest(whole(disturbed).records))


def whole(run):
    """A run that came to its end."""
    if run.failure:
        raise run.failure
    return run


@pytest.mark.parametrize(("name", "kill"), CASES)
def test_killed_in_mid_round(site, runs, report, name, kill):
    if not (site.own or kill.anywhere):
        pytest.skip("needs the node of the suite's own cluster")
    plan, run = PLANS[name], runs[name, DISTURBED]
    if kill.what not in run.wounds:
        raise run.failures.get(kill.what) or run.failure
    report(f"killed: {kill.what}", figures(run, kill, plan.clients))
    assert run.wounds[kill.what].hit(run.records, kill.victim), "in mid-round"
    for each in run.since(kill.what):
        assert_lost_replies_are_named(each, kill, plan)


@pytest.mark.parametrize("name", PLANS)
def test_the_run_ends_and_each_round_counts_once(runs, report, name):
    run = whole(runs[name, DISTURBED])
    report(f"killed: {len(run.strikes)} among {name}", {"rounds": newest(run.records), "attempts": len(run.records)})
    assert [each["round"] for each in released(run.records)] == list(range(1, newest(run.records) + 1))
    assert (run.status["phase"], run.status["round"]) == ("Completed", newest(run.records)), run.status


@pytest.mark.parametrize("name", PLANS)
def test_undisturbed_every_round_is_released_once(runs, name):
    run = whole(runs[name, PEACE])
    assert [each["outcome"] for each in run.records] == ["released"] * newest(runs[name, DISTURBED].records)
    assert (run.status["phase"], run.status["round"]) == ("Completed", len(run.records)), run.status


@pytest.mark.parametrize("name", PLANS)
def test_models_are_those_of_the_undisturbed_run(runs, name):
    """Where replies were lost the last one is as good."""
    run = whole(runs[name, DISTURBED])
    its, others = released(run.records), released(whole(runs[name, PEACE]).records)
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
        "seconds until status told of it, all leaves in use": wound.told,
    }
    unrecorded = attempt(wound.opened) not in map(attempt, run.records)
    found["rounds repeated"] = sum(each["outcome"] == "repeated" for each in records) + unrecorded
    found["replies lost"] = [silent for each in records if (silent := lost(each, clients))]
    if kill.victim:
        times = (arrived(each, kill.victim) for each in records if not lost(each, clients))
        back = next(at for at in times if at > wound.after)
        found["seconds until its reply counts again"] = round(back - wound.before, 1)
    return found


def test_a_killed_client_loses_its_reply_and_is_named(site, runs):
    """Else nobody would have seen that records name it."""
    if not site.own:
        pytest.skip("needs the node of the suite's own cluster")
    name = "four clients"
    named = [lost(each, PLANS[name].clients) for each in released(whole(runs[name, DISTURBED]).records)]
    assert {"no-reply", "client-error"} & {fate for each in named for fate in each.values()}
