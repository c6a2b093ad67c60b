import dataclasses
import datetime as dt

import pytest

from shieldwall.contract.records import Phase
from shieldwall.control.plan.orders import Observed
from shieldwall.control.status.sight import Trouble, Workload
from shieldwall.control.status.summarise import summarise

SERVER, AGGREGATOR, CLIENT = "digits-server", "digits-aggregator", "digits-client-site-1"


def core(status):
    """Ready, Reconciling and Stalled, with Ready's reason."""
    found = {each.type: each for each in status.conditions}
    words = "".join(found[name].status.value[0] for name in ("Ready", "Reconciling", "Stalled"))
    return words, found["Ready"].reason


def test_a_training_that_trains_is_ready(world):
    status = summarise(world.sight())
    assert core(status) == ("TFF", "Training")
    assert status.phase == "Training"
    assert status.message == "Round 7 of 30 is released."
    assert (status.summary.round, status.summary.clients) == ("7/30", "3/3")
    assert (status.round, status.accuracy, status.observed_generation) == (7, 0.91, 1)
    assert (status.model.checkpoint, status.model.sha256) == ("round-7.npz", "ab" * 32)


def test_what_is_not_issued_yet_is_being_made(world, condition):
    sight = world.sight(steward=None, observed=Observed(), workloads={})
    status = summarise(sight)
    assert core(status) == ("FTF", "IssuingCertificates")
    assert status.phase == "Starting"
    observed = world.observed(sight.training)
    fewer = dataclasses.replace(observed, leaves={k: v for k, v in observed.leaves.items() if "site-1" not in k})
    status = summarise(world.sight(steward=None, observed=fewer))
    assert "client/site-1" in condition(status, "Ready").message
    assert condition(status, "Certificates").reason == "Issuing"


def test_a_renewal_that_is_due_holds_nothing_up(world):
    later = world.now + dt.timedelta(hours=17)
    training = world.training()
    sight = world.sight(training, now=later, steward=world.steward(training, world.observed(training), seen=later))
    assert sight.plan.certificates
    assert core(summarise(sight)) == ("TFF", "Training")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({SERVER: Workload(1, 1, current=False)}, "RollingOut"),
        ({CLIENT: Workload(1, 1, current=False)}, "RollingOut"),
        ({AGGREGATOR: Workload(1, 0, current=True)}, "AggregatorNotReady"),
    ],
)
def test_pods_that_are_not_as_wanted_are_being_made(world, change, reason):
    training = world.training()
    status = summarise(world.sight(training, workloads=world.workloads(training, **change)))
    assert core(status) == ("FTF", reason)


def test_a_workload_that_does_not_exist_is_being_made(world):
    training = world.training()
    workloads = world.workloads(training)
    del workloads[CLIENT]
    assert core(summarise(world.sight(training, workloads=workloads))) == ("FTF", "RollingOut")


def test_one_client_pod_that_is_away_does_not_end_ready(world):
    training = world.training()
    workloads = world.workloads(training, **{CLIENT: Workload(1, 0, current=True)})
    assert core(summarise(world.sight(training, workloads=workloads))) == ("TFF", "Training")


@pytest.mark.parametrize(
    ("seconds", "reachable", "found", "phase"),
    [
        (60, False, ("TFF", "Training"), "Training"),
        (61, False, ("FTF", "StewardUnreachable"), "Unreachable"),
        (180, True, ("TFF", "Training"), "Training"),
        (181, True, ("FTF", "StewardUnreachable"), "Unreachable"),
    ],
)
def test_a_steward_that_is_silent_counts_for_a_minute(world, seconds, reachable, found, phase):
    training = world.training()
    steward = world.steward(training, world.observed(training), reachable=reachable)
    status = summarise(world.sight(training, now=world.now + dt.timedelta(seconds=seconds), steward=steward))
    assert (core(status), status.phase) == (found, phase)
    assert status.clients.ready == (3 if found[0][0] == "T" else 0)
    assert (status.security.score == 65) == (found[0][0] == "T")


def test_a_server_that_is_not_ready_is_named_as_such(world):
    training = world.training()
    workloads = world.workloads(training, **{SERVER: Workload(1, 0, current=True)})
    was_ready = summarise(world.sight(training))
    status = summarise(world.sight(training, workloads=workloads, steward=None, previous=was_ready))
    assert core(status) == ("FTF", "ServerNotReady")
    again = world.sight(training, workloads=workloads, steward=None, previous=status)
    assert core(summarise(again)) == ("FTF", "ServerNotReady"), "and stays so"


@pytest.mark.parametrize("ready", [0, 1])
def test_a_server_that_starts_is_given_time(world, ready):
    """No warning at each start; after five minutes, one."""
    training = world.training()
    workloads = world.workloads(training, **{SERVER: Workload(1, ready, current=True)})

    def after(minutes, previous):
        now = world.now + dt.timedelta(minutes=minutes)
        return summarise(world.sight(training, now=now, workloads=workloads, steward=None, previous=previous))

    rolling = summarise(world.sight(training, workloads={}, steward=None))
    assert core(rolling) == ("FTF", "RollingOut")
    for previous in (None, rolling):
        first = after(0, previous)
        assert core(first) == ("FTF", "ServerStarting")
        assert core(after(4, first)) == ("FTF", "ServerStarting")
        late = after(5, first)
        assert core(late) == ("FTF", "StewardUnreachable" if ready else "ServerNotReady")
        assert core(after(6, late)) == core(late), "and not back"


def test_a_server_that_starts_after_a_suspension_is_given_time_too(world):
    stopped = world.training(spec={"suspend": True})
    suspended = summarise(world.sight(stopped, steward=None))
    assert core(suspended) == ("TFF", "Suspended")
    training = world.training(generation=2)
    workloads = world.workloads(training, **{SERVER: Workload(1, 0, current=True)})
    status = summarise(world.sight(training, workloads=workloads, steward=None, previous=suspended))
    assert core(status) == ("FTF", "ServerStarting")


@pytest.mark.parametrize("steward", [None, "seen"])
def test_what_is_refused_is_why_the_rest_is_not_there(world, condition, steward):
    """A quota: what Ready said was that pods are being brought to the spec, for ever."""
    training = world.training()
    refused = Trouble("ObjectRefused", "403 Forbidden: exceeded quota: small")
    workloads = world.workloads(training)
    del workloads[CLIENT]
    more = {} if steward else {"steward": None}
    status = summarise(world.sight(training, workloads=workloads, retrying=refused, **more))
    assert core(status) == ("FTF", "ObjectRefused")
    assert condition(status, "Ready").message == condition(status, "Reconciling").message == refused.message
    assert status.message == refused.message


@pytest.mark.parametrize(
    ("phase", "found"),
    [
        (Phase.STARTING, ("FTF", "Starting")),
        (Phase.WAITING, ("FTF", "WaitingForClients")),
        (Phase.TRAINING, ("TFF", "Training")),
        (Phase.COMPLETED, ("TFF", "Completed")),
        (Phase.FAILED, ("FFT", "RunsFailed")),
    ],
)
def test_the_stewards_phase_decides_at_last(world, phase, found):
    training = world.training()
    steward = world.steward(training, world.observed(training), status={"phase": phase, "message": "It ended badly."})
    status = summarise(world.sight(training, steward=steward))
    assert (core(status), status.phase) == (found, phase.value)
    if phase is Phase.FAILED:
        assert status.message.startswith("It ended badly. Look for the cause")


def test_a_completed_training_tells_how_many_rounds_it_lost_and_why(world):
    training = world.training()
    message = "The training ended with 28 rounds released; 2 rounds were lost: in round 9, 1 reply came."
    said = {"phase": Phase.COMPLETED, "round": 30, "lost": 2, "message": message}
    steward = world.steward(training, world.observed(training), status=said)
    assert f"The training is complete. {message}" in summarise(world.sight(training, steward=steward)).message


def test_a_completed_training_needs_no_aggregator(world):
    training = world.training()
    steward = world.steward(training, world.observed(training), status={"phase": Phase.COMPLETED})
    workloads = world.workloads(training, **{AGGREGATOR: Workload(1, 0, current=True)})
    assert core(summarise(world.sight(training, steward=steward, workloads=workloads))) == ("TFF", "Completed")


def test_trouble_stalls_and_says_why(world, condition):
    trouble = Trouble("ForeignObject", "Service digits-server is not ours.")
    status = summarise(world.sight(trouble=trouble))
    assert core(status) == ("FFT", "ForeignObject")
    assert condition(status, "Stalled").message == trouble.message


def test_a_write_that_is_tried_again_ends_no_readiness(world, condition):
    retrying = Trouble("ApiError", "The API server answered 429.")
    first = summarise(world.sight(retrying=retrying))
    assert core(first) == ("FTF", "ApiError")
    ready = summarise(world.sight())
    again = summarise(world.sight(retrying=retrying, previous=ready))
    assert core(again) == ("TTF", "Training")
    assert condition(again, "Reconciling").reason == "ApiError"
    changed = world.training(generation=2)
    assert core(summarise(world.sight(changed, retrying=retrying, previous=ready))) == ("FTF", "ApiError")


def test_a_write_that_is_tried_again_makes_no_reason_flap(world, condition):
    retrying = Trouble("ApiError", "The API server answered 429.")
    first = summarise(world.sight(retrying=retrying, steward=None, previous=summarise(world.sight())))
    assert core(first) == ("FTF", "StewardUnreachable")
    assert condition(first, "Reconciling").reason == "ApiError"
    assert summarise(world.sight(retrying=retrying, steward=None, previous=first)) == first


def test_a_suspended_training_is_ready_once_its_pods_have_gone(world, condition):
    training = world.training(spec={"suspend": True})
    stopping = world.workloads(training, **{CLIENT: Workload(0, 1, current=True)})
    status = summarise(world.sight(training, workloads=stopping))
    assert core(status) == ("FTF", "Suspending")
    status = summarise(world.sight(training))
    assert core(status) == ("TFF", "Suspended")
    assert (status.phase, status.message) == (
        "Suspended",
        "Suspended: no pod runs. Round 7 of 30 is released. Set spec.suspend to false to go on.",
    )
    assert condition(status, "Suspended").status == "True"
    assert condition(status, "Certificates").status == "Unknown"
    assert (status.round, status.clients.ready, status.security.score) == (7, 0, 0)


def test_what_was_reached_is_kept_while_the_steward_was_not_asked(world):
    before = summarise(world.sight())
    after = summarise(world.sight(world.training(spec={"suspend": True}), steward=None, previous=before))
    assert (after.round, after.accuracy, after.model) == (before.round, before.accuracy, before.model)
    assert after.summary.round == "7/30"


def test_a_pause_hides_neither_the_training_nor_a_change_that_nobody_acted_on(world, condition):
    paused = {"shieldwall.dev/paused": "true"}
    before = summarise(world.sight())
    status = summarise(world.sight(world.training(annotations=paused), previous=before))
    assert core(status) == ("TFF", "Training")
    assert (status.phase, condition(status, "Suspended").reason) == ("Training", "Paused")
    changed = world.training(annotations=paused, generation=2)
    status = summarise(world.sight(changed, previous=status))
    assert core(status) == ("FFF", "Paused")
    assert status.observed_generation == 1
    assert {each.observed_generation for each in status.conditions} == {1}
    resumed = summarise(world.sight(world.training(generation=2), previous=status))
    assert (core(resumed), resumed.observed_generation) == (("TFF", "Training"), 2)


@pytest.mark.parametrize(
    ("before", "ready", "phase"),
    [
        (None, 0, "Starting"),
        (None, 1, "Unreachable"),
        ("Starting", 0, "Starting"),
        ("Suspended", 0, "Starting"),
        ("Training", 0, "Unreachable"),
        ("Unreachable", 0, "Unreachable"),
    ],
)
def test_an_operator_that_has_just_started_takes_nobody_who_is_silent_for_one_who_starts(world, before, ready, phase):
    training = world.training()
    previous = None
    if before is not None:
        previous = summarise(world.sight(training)).model_copy(update={"phase": before})
    workloads = world.workloads(training, **{"digits-server": Workload(1, ready, current=True)})
    assert summarise(world.sight(training, steward=None, workloads=workloads, previous=previous)).phase == phase
