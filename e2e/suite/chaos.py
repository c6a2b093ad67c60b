"""A run in which one thing after another is killed, each in the middle of a round, and what came of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .documents import digits
from .kubectl import eventually
from .leaves import pod_of, same, shown
from .ledger import arrived, attempt, ended, ledger, lost, newest, open_attempt, released

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Site
    from .kills import Aiming
    from .kubectl import Kubectl

Json = dict[str, Any]
TRIES = 3
"""A strike that fell between two rounds is done again in the next one."""
WITHIN = 60
"""Seconds from the strike until status is right again."""
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
    """Seconds until status was right."""

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

    def next_release(self, records: list[Json]) -> Json | None:
        """The first that was not there before."""
        return next((each for each in released(records) if ended(each) > self.after), None)


@dataclass
class Run:
    """A run from its first round to its last."""

    status: Json = field(default_factory=dict)
    records: list[Json] = field(default_factory=list)
    wounds: dict[str, Wound] = field(default_factory=dict)
    failure: BaseException | None = None

    def since(self, what: str) -> list[Json]:
        """Records of the attempts that a kill may have touched: all until the next one."""
        wound = self.wounds[what]
        following = min((each.before for each in self.wounds.values() if each.before > wound.before), default=None)
        return [
            each
            for each in self.records
            if ended(each) >= wound.before and (following is None or ended(each) < following)
        ]


def begin(site: Site, kubectl: Kubectl, clients: int, rounds: Json, epochs: int) -> None:
    """Apply the example, with as many epochs as make a round long enough, and wait for the first release."""
    document = digits(site.images.digits, clients, rounds["count"])
    document["spec"]["rounds"] |= rounds
    document["spec"]["app"]["config"] |= {"local-epochs": epochs, "lr": _LEARNT / epochs}
    kubectl.apply(document)
    eventually(lambda: kubectl.status("digits").get("round", 0) >= 1, 240)


def finish(kubectl: Kubectl, run: Run, seconds: float = 300) -> None:
    """Wait for the end of the run, and keep what it left."""
    run.status = eventually(
        lambda: (s := kubectl.status("digits")).get("phase") in {"Completed", "Failed"} and s, seconds
    )
    run.records = ledger(kubectl)


def clear(kubectl: Kubectl) -> None:
    """Make room for the next run."""
    kubectl.delete("ft", "digits")
    eventually(lambda: not kubectl.all("pods", "shieldwall.dev/training=digits"), 90)
    kubectl("delete", "pvc", "--all", "--wait=true")


def disturb(site: Site, kubectl: Kubectl, kill: Kill, clients: tuple[str, ...]) -> Wound:
    """Kill in mid-round, and wait until status is right and a round is released. Raises AssertionError."""
    for _ in range(TRIES):
        wound = _strike(site, kubectl, kill, clients)
        records = eventually(lambda it=wound: it.next_release(r := ledger(kubectl)) and r, _NEXT_ROUND)
        if wound.hit(records, kill.victim):
            return wound
    raise AssertionError(f"{kill.what}: of {TRIES} strikes none fell inside a round; the last one: {wound}")


def _strike(site: Site, kubectl: Kubectl, kill: Kill, clients: tuple[str, ...]) -> Wound:
    eventually(lambda: not lost(ledger(kubectl)[-1], clients), _NEXT_ROUND)  # all have a part again
    aim, serials = kill.aim(kubectl, site), _serials(kubectl.status("digits"))
    opened = _just_opened(kubectl)
    if kill.victim:
        eventually(lambda: _trains(kubectl, kill.victim), 60, 0.05)
    began, before = time.monotonic(), time.time()
    aim.strike()
    after = time.time()
    passed: Callable[[], float] = lambda: time.monotonic() - began  # noqa: E731
    try:
        if kill.renews:
            mark = f"renew.shieldwall.dev/{kill.renews}={time.time_ns()}"
            kubectl("annotate", "--overwrite", "ft/digits", mark)
    finally:
        aim.mend()
    eventually(aim.back, WITHIN - passed(), 0.2)
    ready = round(passed(), 1)
    told = eventually(lambda: newest(ledger(kubectl)), WITHIN - passed(), 0.2)
    told = told if kill.ends_the_run else max(told, opened["round"])
    subject = kill.renews.replace(".", "/")
    leaves = len(clients) + 2
    eventually(lambda: _right(kubectl, told, leaves) and _renewed(kubectl, subject, serials), WITHIN - passed(), 0.2)
    right = round(passed(), 1)
    assert aim.back(), "it is gone again"
    return Wound(opened, before, after, ready, right)


def _just_opened(kubectl: Kubectl) -> Json:
    """The next attempt, once it is open."""
    asked = time.time()
    return eventually(lambda: (it := open_attempt(kubectl))["opened"] > asked and it, 60, 0.05)


def _trains(kubectl: Kubectl, client: str) -> bool:
    """Whether the client's app runs."""
    look = "cat /proc/[0-9]*/cmdline 2>/dev/null; true"  # some end meanwhile
    return "flwr-clientapp" in kubectl.run(pod_of(kubectl, f"client/{client}"), "trainer", "sh", "-c", look)


def _right(kubectl: Kubectl, told: int, leaves: int) -> bool:
    """Whether status knows of round ``told`` and of all leaves in use, and openssl sees the server's."""
    status = kubectl.status("digits")
    pki = status["pki"]
    served = {each["subject"]: each["serial"] for each in pki["certificates"] if each["served"]}
    right = status["phase"] != "Unreachable" and status["round"] >= told
    return right and pki["served"] == pki["total"] == leaves and same(served["server"], shown(kubectl))


def _renewed(kubectl: Kubectl, subject: str, before: dict[str, str]) -> bool:
    """Whether another serial number than before is told of ``subject``; true where none was asked for."""
    return not subject or not same(_serials(kubectl.status("digits"))[subject], before[subject])


def _serials(status: Json) -> dict[str, str]:
    return {each["subject"]: each["serial"] for each in status["pki"]["certificates"]}
