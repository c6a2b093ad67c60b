"""Clients that are kept out, from the steward's word to the events on the training."""

from types import SimpleNamespace

from shieldwall.contract.records import ClientStatus, Fate, Outcome, Phase, ReplyRecord, RoundRecord, StewardStatus
from shieldwall.control.steward.sight import StewardSight

from .conftest import NOW, replica, training_body

KEY = ("fed", "digits")


def sight(clients=(), replies=()):
    """What a steward says of these clients, and of their replies in round 3."""
    last = RoundRecord(
        run_id="1",
        round=3,
        attempt=1,
        outcome=Outcome.RELEASED,
        opened=0.0,
        seconds=1.0,
        rule="FedAvg",
        admitted=1,
        byzantine=0,
        replies=tuple(replies),
    )
    status = StewardStatus(
        phase=Phase.TRAINING,
        message="",
        run_id="1",
        runs_started=1,
        round=3,
        rounds=5,
        records=3,
        metrics={},
        model_sha256=None,
        clients=tuple(clients),
        denials=(),
        handshakes={},
    )
    return StewardSight(seen=NOW, status=status, last_round=last, server_serial="ab")


async def told(parts, seen):
    """What one pass that sees this tells of clients that are kept out, by reason."""
    sights, posted = parts.reconciler._stewards._sights, []

    async def record(subject, what, now):
        posted.append(what)

    parts.reconciler._reporter._recorder = SimpleNamespace(record=record)
    sights.pop(KEY, None)
    sights.update({KEY: seen} if seen is not None else {})
    await parts.reconciler.reconcile(KEY)
    return {what.reason: what for what in posted if what.reason in {"UpdateRejected", "ClientBanned"}}


async def test_a_client_that_is_kept_out_is_told_once_whatever_becomes_of_the_operator(cluster):
    cluster.put(training_body(clients=3))
    good, stale = ClientStatus(name="c0", online=True), ClientStatus(name="c2", online=True)
    reply = ReplyRecord(client="c2", node_id="7", fate=Fate.STALE, detail="the reply answers round 2")
    seen = sight([good, ClientStatus(name="c1", denied=True), stale], [reply])
    async with replica(cluster) as parts:
        await parts.worker._lister.everything()
        assert await told(parts, sight([good])) == {}
        news = await told(parts, seen)
        assert news["UpdateRejected"].note == "Round 3, client c2: the reply answers round 2."
        assert "Client c1 is" in news["ClientBanned"].note
        assert await told(parts, seen) == {}
    async with replica(cluster) as restarted:
        await restarted.worker._lister.everything()
        assert await told(restarted, None) == {}
        assert await told(restarted, seen) == {}
