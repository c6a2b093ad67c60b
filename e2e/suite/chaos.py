"""A run in which one thing after another is killed, each in the middle of a round, and what came of it."""

from __future__ import annotations

import json
import math
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .conftest import leave_evidence
from .documents import digits, namespace
from .kubectl import KubectlError, eventually
from .leaves import pod_of, same, shown
from .ledger import arrived, attempt, ended, ledger, lost, newest, next_attempt, released

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from .conftest import Site
    from .kills import Aiming
    from .kubectl import Kubectl

Json = dict[str, Any]
TRIES = 3
"""A strike that fell between two rounds is done again in the next one."""
WITHIN = 60
"""Seconds from the strike until status is right again."""
ENOUGH = 500
"""Rounds that no run comes to: fewer are wanted once the last kill is done."""
CONNECTION = 60
"""Seconds for which a client's proxy keeps a connection, and with it the leaf that it had."""
_NEXT_ROUND = 180
_TAKEN = 1.0
"""Seconds in which a reply that is there is taken: the aggregator asks every half second."""
_LEARNT = 0.8
"""Rate times epochs: many small steps learn what a few great ones do."""


@dataclass(frozen=True)
class Kill:
    """One thing that is killed in mid-run."""

    what: str
    aim: Aiming
    victim: str = ""
    """The client whose reply may be lost: the strike falls while it trains."""
    renews: str = ""
    """The leaf that is renewed at that moment, as annotations name it."""
    ends_the_run: bool = False
    """Flower misses its heartbeat for most of a minute before another run is started: the round is told later."""
    anywhere: bool = False
    """Whether kubectl alone can do it; else it is a process of the node."""

    @property
    def subject(self) -> str:
        """Whose leaf is renewed, as status names it; empty where none is."""
        return self.renews.replace(".", "/")

    @property
    def late(self) -> set[str]:
        """Whose leaf is served later than status is right: by a client not before it connects again."""
        return {self.subject} if self.subject.startswith("client/") else set()


@dataclass(frozen=True)
class Wound:
    """A kill that was done."""

    opened: Json
    """The attempt that was open."""
    before: float
    """Unix seconds: the strike fell between this and ``after``."""
    after: float
    ready: float
    """Seconds until another was Ready in its place."""
    right: float
    """Seconds until status was right, with all but the leaf that a client was to renew in use."""
    told: float = 0
    """Seconds until status knew of a round that was released after the strike, with every leaf in use."""

    def hit(self, records: list[Json], victim: str = "") -> bool:
        """Whether it fell inside the attempt that was open, before the reply of ``victim`` was there.

        An attempt whose aggregator died has no record.
        """
        own = next((each for each in records if attempt(each) == attempt(self.opened)), None)
        if own is None:
            return bool(self.opened["opened"] <= self.before)
        answered = arrived(own, victim) if victim and not lost(own, (victim,)) else None
        late = answered is None or answered > self.after + _TAKEN
        return bool(own["opened"] <= self.before) and self.after <= ended(own) and late

    def next_release(self, records: list[Json]) -> Json:
        """The first that was not there before. Raises StopIteration."""
        return next(each for each in released(records) if ended(each) > self.after)


@dataclass
class Run:
    """A run from its first round to its last."""

    status: Json = field(default_factory=dict)
    records: list[Json] = field(default_factory=list)
    strikes: dict[str, list[float]] = field(default_factory=dict)
    """Unix seconds, by what was killed: more than one where some fell between two rounds."""
    wounds: dict[str, Wound] = field(default_factory=dict)
    failures: dict[str, BaseException] = field(default_factory=dict)
    """By what was killed."""
    failure: BaseException | None = None
    """Why the run did not come to its end."""
    shortened: float = math.inf
    """Unix seconds: when no more rounds were wanted than there were."""

    def since(self, what: str) -> list[Json]:
        """Records of the attempts that a kill may have touched: all until the next one."""
        first = self.strikes[what][0]
        later = [each[0] for each in self.strikes.values() if each[0] > first]
        following = min([*later, self.shortened])
        return [each for each in self.records if first <= ended(each) < following]


def begin(site: Site, kubectl: Kubectl, clients: int, rounds: Json, epochs: int) -> None:
    """Apply the example, with as many epochs as make a round long enough, and wait for the first release."""
    site.kubectl.apply(namespace(kubectl.namespace))
    eventually(lambda: kubectl.get("serviceaccount", "default"), 30)
    document = digits(site.images.digits, clients, rounds["count"])
    document["spec"]["rounds"] |= rounds
    document["spec"]["app"]["config"] |= {"local-epochs": epochs, "lr": _LEARNT / epochs}
    kubectl.apply(document)
    eventually(lambda: kubectl.status("digits").get("round", 0) >= 1, 240)


def kill_all(site: Site, kubectl: Kubectl, run: Run, kills: Iterable[Kill], clients: tuple[str, ...]) -> None:
    """One after another; those that fail are told of. Raises AssertionError when there are no whole rounds any more."""
    _whole_round(kubectl, clients)
    for kill in kills:
        try:
            run.wounds[kill.what] = _disturb(site, kubectl, run, kill, clients)
            run.records = ledger(kubectl)
        except Exception as error:  # noqa: BLE001  # this kill's case fails by it; the others' have their own
            run.failures[kill.what] = error
            leave_evidence(kubectl, f"{kubectl.namespace}-{kill.what}".replace(" ", "-"))
            _whole_round(kubectl, clients, after=time.time())


def shorten(kubectl: Kubectl, run: Run) -> None:
    """Let the round that is open be the last one."""
    run.shortened = time.time()
    fewer = {"spec": {"rounds": {"count": newest(ledger(kubectl)) + 1}}}
    kubectl("patch", "ft", "digits", "--type=merge", "--patch", json.dumps(fewer))


def finish(kubectl: Kubectl, run: Run) -> None:
    """Wait for the end of the run, and keep what it left."""
    eventually(lambda: kubectl.status("digits")["phase"] in {"Completed", "Failed"}, 900, 2)
    run.status = kubectl.status("digits")
    run.records = ledger(kubectl)


def clear(kubectl: Kubectl) -> None:
    """Make room for the next run, as far as one can: nobody needs what its pods could still do in peace."""
    with suppress(KubectlError, subprocess.TimeoutExpired):
        kubectl.delete("namespace", kubectl.namespace, "--wait=false")
        kubectl("delete", "pods", "--all", "--force", "--grace-period=0", "--wait=false")


def _disturb(site: Site, kubectl: Kubectl, run: Run, kill: Kill, clients: tuple[str, ...]) -> Wound:
    """Kill in mid-round, and wait until all is as it was before. Raises AssertionError."""
    for _ in range(TRIES):
        wound = _healed(kubectl, kill, _strike(site, kubectl, run, kill, clients), clients)
        if wound.hit(ledger(kubectl), kill.victim):
            return wound
    raise AssertionError(f"{kill.what}: of {TRIES} strikes none fell inside a round; the last one: {wound}")


def _healed(kubectl: Kubectl, kill: Kill, wound: Wound, clients: tuple[str, ...]) -> Wound:
    """Wait until status tells of a round that was released since, and all have a part in one again."""
    after = eventually(lambda: wound.next_release(ledger(kubectl)), _NEXT_ROUND)
    within = WITHIN + CONNECTION if kill.late else WITHIN
    eventually(lambda: _right(kubectl, kubectl.status("digits"), after["round"], clients), within)
    told = round(time.time() - wound.before, 1)
    _whole_round(kubectl, clients, wound.after)
    return replace(wound, told=told)


def _whole_round(kubectl: Kubectl, clients: tuple[str, ...], after: float = 0) -> None:
    """Wait for a round, after that time, in which all have a part. Raises AssertionError, at once if the run failed."""

    def seen() -> bool:
        assert kubectl.status("digits").get("phase") != "Failed", "the run has failed"
        record = ledger(kubectl)[-1]
        return ended(record) > after and not lost(record, clients)

    eventually(seen, _NEXT_ROUND)


def _strike(site: Site, kubectl: Kubectl, run: Run, kill: Kill, clients: tuple[str, ...]) -> Wound:
    aim, serials = kill.aim(kubectl, site), _serials(kubectl.status("digits"))
    opened = eventually(lambda: next_attempt(kubectl), 60)
    if kill.victim:
        _await_training(kubectl, kill.victim)
    began, before = time.monotonic(), time.time()
    run.strikes.setdefault(kill.what, []).append(before)
    passed: Callable[[], float] = lambda: time.monotonic() - began  # noqa: E731
    try:
        aim.strike()
        after = time.time()
        if kill.renews:
            mark = f"renew.shieldwall.dev/{kill.renews}={time.time_ns()}"
            kubectl("annotate", "--overwrite", "ft/digits", mark)
    finally:
        aim.mend()
    eventually(aim.back, WITHIN - passed())
    ready = round(passed(), 1)
    told = eventually(lambda: newest(ledger(kubectl)), WITHIN - passed())
    told = told if kill.ends_the_run else max(told, opened["round"])

    def right() -> bool:
        status = kubectl.status("digits")
        renewed = _renewed(status, kill.subject, serials)
        return renewed and _right(kubectl, status, told, clients, kill.late) and aim.back()

    eventually(right, WITHIN - passed())
    return Wound(opened, before, after, ready, right=round(passed(), 1))


def _await_training(kubectl: Kubectl, client: str) -> None:
    """Until the client's app runs; the pod itself looks. Raises KubectlError when it does not in a minute."""
    look = "until grep -aqs 'flwr-clientap[p]' /proc/[0-9]*/cmdline; do sleep 0.05; done"
    kubectl.run(pod_of(kubectl, f"client/{client}"), "trainer", "timeout", "60", "sh", "-c", look, seconds=90)


def _right(kubectl: Kubectl, status: Json, told: int, clients: tuple[str, ...], late: Collection[str] = ()) -> bool:
    """Whether status knows of round ``told`` and of all leaves but ``late`` ones in use; openssl sees the server's."""
    pki = status["pki"]
    serials = _serials(status)
    served = {each["subject"] for each in pki["certificates"] if each["served"]}
    right = status["phase"] != "Unreachable" and status["round"] >= told and pki["served"] == len(served)
    whole = len(serials) == pki["total"] == len(clients) + 2 and serials.keys() - served <= set(late)
    return right and whole and "server" in served and same(serials["server"], shown(kubectl))


def _renewed(status: Json, subject: str, before: dict[str, str]) -> bool:
    """Whether another serial number than before is told of ``subject``; true where none was asked for."""
    return not subject or not same(_serials(status)[subject], before[subject])


def _serials(status: Json) -> dict[str, str]:
    return {each["subject"]: each["serial"] for each in status["pki"]["certificates"]}
