"""A live training whose leaves live for 60 seconds: the plan's own orders renew them, and no request is refused.

A leaf's shortest life is an hour. That bound, and by how much a leaf is dated back, are lowered in this process only,
which plans and issues; the pods' programs run as they are. ``SHIELDWALL_LONG=1`` makes it ten minutes.
"""

import dataclasses
import datetime as dt
import json
import os
import re
import urllib.request

import pytest

from shieldwall.cli.training_file import read_training
from shieldwall.contract import ports, routes
from shieldwall.contract.records import Fate
from shieldwall.local import events, stages
from shieldwall.local.follow import Follower
from shieldwall.local.outcome import End
from shieldwall.local.runner import Job, run_training
from shieldwall.pki import leaf, renewal, validity

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
LIFE = dt.timedelta(seconds=60)
SECONDS = 600 if os.environ.get("SHIELDWALL_LONG") == "1" else 90
ROUND_SECONDS = 8.0
"""Each client sleeps so long in a round, which then takes ten or more: certificates are waited for, not computing."""
COUNTED = re.compile(r'^shieldwall_gate_requests_total\{client="[^"]*",decision="(\S+)"\} (\S+)$', re.MULTILINE)


@pytest.fixture(autouse=True)
def short_lives(monkeypatch):
    monkeypatch.setattr(leaf, "SHORTEST", LIFE)
    for module in (validity, renewal):
        monkeypatch.setattr(module, "BACKDATE", dt.timedelta(seconds=5))
    monkeypatch.setattr(stages, "_RENEWAL_SECONDS", 2.0)


@pytest.fixture
def job(training, tmp_path):
    """Three clients of the digits example, slowed down, with leaves of a minute."""
    client = training.parent / "digits" / "client_app.py"
    text = client.read_text().replace(
        "    arrays, loss = train_fn(",
        f"    __import__('time').sleep({ROUND_SECONDS})\n    arrays, loss = train_fn(",
    )
    assert "sleep" in text
    client.write_text(text)
    wanted = read_training(training)
    spec = wanted.spec
    identity = spec.identity.model_copy(update={"certificate_ttl": f"{LIFE.seconds}s"})
    rounds = spec.rounds.model_copy(update={"count": SECONDS // 10, "min_replies": 3})
    change = {"identity": identity, "rounds": rounds, "clients": spec.clients[:3]}
    short = dataclasses.replace(wanted, spec=spec.model_copy(update=change))
    return Job(short, training.parent, tmp_path / "results", "short leaves")


class Watcher:
    """Hears what happens, and asks the gate for its counts at the end of each round."""

    def __init__(self, monkeypatch):
        self.renewed, self.exited, self.rounds, self.requests = [], [], [], {}
        self.address = None
        follow = Follower.follow

        def noted(follower, where, desk, now):
            self.address = where.address
            return follow(follower, where, desk, now)

        monkeypatch.setattr(Follower, "follow", noted)

    def hear(self, event):
        if isinstance(event, events.Renewed):
            self.renewed.append(event.subject)
        if isinstance(event, events.Exited):
            self.exited.append(event)
        if isinstance(event, events.RoundClosed):
            self.rounds.append(event.record)
            with urllib.request.urlopen(f"http://{self.address}:{ports.METRICS}{routes.METRICS_STEWARD}") as answer:
                text = answer.read().decode()
            self.requests = {}
            for decision, count in COUNTED.findall(text):
                self.requests[decision] = self.requests.get(decision, 0) + int(float(count))


def refusals(logs, until):
    """What the proxies wrote of requests and handshakes that failed before ``until`` (RFC 3339)."""
    for log in logs.glob("*/proxy.log"):
        for line in log.read_text().splitlines():
            if line.startswith("{") and (entry := json.loads(line))["time"] < until:
                yield log.parent.name, entry


async def test_leaves_of_a_minute_are_renewed_and_no_request_is_refused(job, monkeypatch):
    watcher = Watcher(monkeypatch)
    outcome = await run_training(job, watcher.hear)
    assert outcome.timings.total >= SECONDS
    assert (outcome.end, outcome.status.round) == (End.COMPLETED, job.training.spec.rounds.count)
    last = outcome.records[-1]
    ended = dt.datetime.fromtimestamp(last.opened + last.seconds, dt.UTC).isoformat()
    refused = list(refusals(job.results / "logs", ended))
    print(f"{outcome.timings.total:.0f} s, {len(watcher.renewed)} renewals, requests {watcher.requests}")  # noqa: T201
    subjects = {"server", "aggregator", *(f"client/{client}" for client in outcome.clients)}
    least = int(outcome.timings.total // LIFE.total_seconds())
    assert {subject: watcher.renewed.count(subject) >= least for subject in subjects} == dict.fromkeys(subjects, True)
    assert refused == []
    assert set(watcher.requests) == {"allowed"}
    assert outcome.status.denials == ()
    assert watcher.exited == []
    fates = {reply.fate for record in outcome.records for reply in record.replies}
    assert fates == {Fate.ADMITTED}
    assert [record.attempt for record in outcome.records] == [1] * len(outcome.records)
    serials = {reply.client: set() for reply in last.replies}
    for record in outcome.records:
        for reply in record.replies:
            serials[reply.client].add(reply.serial)
    assert all(len(own) > least for own in serials.values())
