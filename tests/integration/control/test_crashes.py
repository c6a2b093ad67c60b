"""The operator killed between every pair of writes of a first reconcile, and what replicas do to each other."""

from __future__ import annotations

import base64
import signal
import time
from datetime import UTC, datetime

import pytest

from .conftest import eventually, operator, passes, quiet, replica, training
from .test_objects import OBJECTS

pytestmark = pytest.mark.slow
WRITES = ("create", "replace", "apply", "merge", "delete")


class KilledError(BaseException):
    """Nothing catches it, like a SIGKILL."""


def mortal(api, lives: int, *, after: bool) -> None:
    """Die at write number ``lives``: before it is sent, or when it is answered and nobody has heard of it."""
    left = [lives]
    for name in WRITES:
        original = getattr(api, name)

        async def write(*args, original=original, **kwargs):
            left[0] -= 1
            if left[0] < 0 and not after:
                raise KilledError
            answer = await original(*args, **kwargs)
            if left[0] < 0:
                raise KilledError
            return answer

        setattr(api, name, write)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("after", [False, True], ids=["before-the-write", "after-the-write"])
async def test_killed_at_every_write_it_ends_with_the_same_objects_and_one_authority(space, after):
    """One write further in each life: every replica dies at its first write but one, the next goes on."""
    space.apply(training(space))
    authorities, roots, lives = set(), set(), 0
    for lives in range(200):  # noqa: B007
        async with replica(space) as parts:
            await parts.worker._lister.everything()
            mortal(parts.api, 0 if after else 1, after=after)
            try:
                await parts.reconciler.reconcile((space.name, "digits"))
            except KilledError:
                authorities |= certificate_in(space, "digits-ca")
                roots |= certificate_in(space, "shieldwall-root-ca")
            else:
                break
    assert lives > len(OBJECTS), "each object is a write, and so are the root and the status"
    assert len(authorities) == 1
    assert len(roots) == 1
    async with replica(space) as parts:
        await quiet(parts, space)
        assert set(space.owned()) == OBJECTS
        before = datetime.now(UTC)
        assert await passes(parts, space) == 0
        assert space.writes(before) == []


def certificate_in(space, secret):
    found = space.find("secrets", secret)
    return {base64.b64decode(found["data"]["tls.crt"])} if found else set()


ELECTION = {"enabled": True, "leaseDurationSeconds": 15, "renewDeadlineSeconds": 10, "retryPeriodSeconds": 2}


@pytest.mark.timeout(200)
def test_when_the_leader_is_killed_the_other_acts_within_20_s(space, tmp_path):
    with (
        operator(space, tmp_path / "one", leaderElection=ELECTION) as one,
        operator(space, tmp_path / "two", leaderElection=ELECTION) as two,
    ):
        processes = {"one": one, "two": two}
        leader = eventually(lambda: holder(space))
        space.apply(training(space))
        eventually(lambda: OBJECTS <= set(space.owned()))
        assert "leads" in (tmp_path / leader / "operator.log").read_text()
        other = next(name for name in processes if name != leader)
        assert "leads" not in (tmp_path / other / "operator.log").read_text()
        eventually(lambda: "ready:" in (tmp_path / other / "operator.log").read_text())
        processes[leader].send_signal(signal.SIGKILL)
        processes[leader].wait()
        began = time.monotonic()
        space.apply(training(space, clients=4))
        eventually(lambda: space.find("deployments", "digits-client-c3"), 25)
        assert time.monotonic() - began < 20
        assert holder(space) == other


@pytest.mark.timeout(200)
def test_a_leader_that_is_told_to_stop_hands_over_at_once(space, tmp_path):
    with (
        operator(space, tmp_path / "one", leaderElection=ELECTION) as one,
        operator(space, tmp_path / "two", leaderElection=ELECTION) as two,
    ):
        processes = {"one": one, "two": two}
        leader = eventually(lambda: holder(space))
        other = next(name for name in processes if name != leader)
        eventually(lambda: "ready:" in (tmp_path / other / "operator.log").read_text())
        processes[leader].send_signal(signal.SIGTERM)
        assert processes[leader].wait(15) == 0
        eventually(lambda: holder(space) == other, 6)


def holder(space):
    lease = space.server.request("GET", f"/apis/coordination.k8s.io/v1/namespaces/{space.name}/leases/shieldwall")
    return lease["spec"]["holderIdentity"].partition("_")[0]
