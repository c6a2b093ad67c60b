"""When a run is started, followed, continued, and when the training is over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shieldwall.contract.policy import Mode, RoundsPolicy
from shieldwall.contract.privacy import BUDGET_SPENT
from shieldwall.contract.records import Phase
from shieldwall.runtime.steward.flower import Run, RunStage
from shieldwall.runtime.steward.run import FRUITLESS_RUNS, Observation, RunState, next_step
from shieldwall.runtime.tally import Tally

ROUNDS = RoundsPolicy(count=3, min_replies=2, grace_seconds=10)
NOW = 1000.0


def seen(*runs, online=3, released=0, tally=None):
    tally = tally or Tally(released, 0, released)
    return Observation(reachable=True, online=online, clients=3, runs=runs, released=released, tally=tally)


def run(stage=RunStage.RUNNING, result="", details="", run_id="7"):
    return Run(run_id, stage, result, details)


def finished(result, details="", run_id="7"):
    return run(RunStage.FINISHED, result, details, run_id)


TRAINING = RunState().started("7", 0)


def step(state, observation, now=NOW):
    return next_step(state, observation, ROUNDS, now)


def test_it_waits_for_the_superlink():
    found = step(RunState(), Observation(reachable=False))
    assert (found.phase, found.start) == (Phase.STARTING, False)
    assert step(TRAINING, Observation(reachable=False)).phase is Phase.TRAINING


def test_it_starts_when_all_are_online():
    found = step(RunState(), seen())
    assert (found.phase, found.start) == (Phase.WAITING, True)


def test_it_waits_for_enough_clients():
    found = step(RunState(), seen(online=1))
    assert (found.phase, found.start) == (Phase.WAITING, False)
    assert found.message == "1 of 3 clients are online; at least 2 are needed."


def test_the_rest_have_the_grace_to_join():
    state = step(RunState(), seen(online=2)).state
    assert state.quorum_since == NOW
    assert not step(state, seen(online=2), NOW + 9.9).start
    assert step(state, seen(online=2), NOW + 10).start
    assert step(state, seen(online=3), NOW + 1).start


def test_the_grace_begins_anew_when_too_few_are_left():
    state = step(RunState(), seen(online=2)).state
    state = step(state, seen(online=1), NOW + 5).state
    state = step(state, seen(online=2), NOW + 6).state
    assert not step(state, seen(online=2), NOW + 12).start


@pytest.mark.parametrize("stage", [RunStage.PENDING, RunStage.STARTING, RunStage.RUNNING])
def test_it_follows_the_run(stage):
    found = step(TRAINING, seen(run(stage), released=1))
    assert (found.state, found.phase, found.start) == (TRAINING, Phase.TRAINING, False)


def test_after_a_restart_it_takes_over_a_run_that_goes_on():
    found = step(RunState(), seen(run(), finished("failed", run_id="6"), released=1))
    assert (found.state.current, found.state.runs, found.state.baseline) == ("7", ("7",), 1)
    assert (found.phase, found.start) == (Phase.TRAINING, False)


def test_it_is_complete_when_the_run_is_finished_and_every_round_released():
    assert step(TRAINING, seen(run(), released=3)).phase is Phase.TRAINING
    for result in ("completed", "failed"):
        found = step(TRAINING, seen(finished(result), released=3))
        assert (found.phase, found.start) == (Phase.COMPLETED, False)
    assert step(found.state, seen(finished("completed"), released=3), NOW + 99).phase is Phase.COMPLETED


@pytest.mark.parametrize("result", ["failed", "stopped", "completed"])
def test_a_run_that_ends_early_is_continued(result):
    found = step(TRAINING, seen(finished(result, "No heartbeat"), released=2))
    assert (found.start, found.state.current, found.state.fruitless) == (True, None, 0)


def test_a_run_lost_with_flowers_database_is_continued():
    found = step(TRAINING, seen(released=1))
    assert found.start
    assert "lost" in found.state.last_end


def test_runs_without_a_release_are_started_later_and_later():
    waits, state, now = [], TRAINING, NOW
    for number in range(FRUITLESS_RUNS - 1):
        found = step(state, seen(finished("failed", run_id=str(7 + number))), now)
        while not found.start:
            now += 0.5
            found = step(found.state, seen(finished("failed")), now)
        waits.append(now)
        state = found.state.started(str(8 + number), 0)
    pauses = [after - before for before, after in zip([NOW, *waits], waits, strict=False)]
    assert pauses == [1.0, 5.0, 15.0, 30.0]


def test_too_many_runs_without_a_release_are_a_failure_that_says_why():
    state = TRAINING.model_copy(update={"fruitless": FRUITLESS_RUNS - 1})
    found = step(state, seen(finished("failed", "the app raised ValueError")))
    assert (found.phase, found.start) == (Phase.FAILED, False)
    assert found.message == "5 runs in a row released no round; the last one failed: the app raised ValueError."
    again = step(found.state, seen(finished("failed")), NOW + 1e6)
    assert (again.phase, again.start) == (Phase.FAILED, False)


def test_another_policy_is_tried_as_if_none_had_failed_and_the_same_is_not():
    """The image is in the policy: a new one is how people mend an app that raises."""
    failed = TRAINING.model_copy(update={"current": None, "fruitless": FRUITLESS_RUNS, "not_before": NOW + 1e6})
    failed = failed.model_copy(update={"policy_sha256": "a"})
    assert step(failed.under("a"), seen()).phase is Phase.FAILED
    mended = failed.under("b")
    assert step(mended, seen()).phase is not Phase.FAILED
    assert (mended.policy_sha256, mended.not_before, mended.runs) == ("b", 0.0, failed.runs)


SPENT = f"ServerApp failed with exception: {BUDGET_SPENT}: epsilon = 0.98 of 1, and round 3 would make it 1.02"


@pytest.mark.parametrize("mode", Mode)
def test_a_training_whose_budget_is_spent_ends_with_its_last_release_and_says_so(mode):
    found = next_step(TRAINING, seen(finished("failed", SPENT), released=2), ROUNDS, NOW, mode)

    assert (found.phase, found.start) == (Phase.COMPLETED, False)
    assert found.message == (
        "The privacy budget is spent: epsilon = 0.98 of 1, and round 3 would make it 1.02;"
        " the training ends after round 2 of 3."
    )
    later = next_step(found.state, seen(finished("failed", SPENT), released=2), ROUNDS, NOW + 1e6, mode)
    assert (later.phase, later.start) == (Phase.COMPLETED, False)


def test_a_training_whose_budget_was_spent_before_its_first_release_has_failed():
    found = step(TRAINING, seen(finished("failed", SPENT)))

    assert (found.phase, found.start) == (Phase.FAILED, False)
    assert "privacy budget is spent" in found.message


def test_another_policy_is_tried_after_the_budget_was_spent():
    state = step(TRAINING.under("a"), seen(finished("failed", SPENT), released=2)).state

    assert step(state.under("b"), seen(released=2)).start is True


def test_a_budget_that_is_spent_to_the_last_round_completes_the_training():
    found = step(TRAINING, seen(finished("failed", SPENT), released=3))

    assert found.phase is Phase.COMPLETED


def test_a_release_makes_up_for_fruitless_runs():
    state = TRAINING.model_copy(update={"fruitless": FRUITLESS_RUNS - 1})
    assert step(state, seen(finished("failed"), released=1)).state.fruitless == 0


def test_a_refused_start_is_a_fruitless_run():
    state = RunState().refused("bad configuration", NOW)
    assert (state.fruitless, state.runs) == (1, ())
    assert not step(state, seen(), NOW).start
    assert step(state, seen(), NOW + 1).start


def test_a_run_of_the_past_is_not_taken_over():
    found = step(RunState(runs=("7",)), seen(finished("failed")))
    assert found.state.current is None


STAGES = st.sampled_from(RunStage)
RUNS = st.builds(Run, st.sampled_from("789"), STAGES, st.sampled_from(["failed", "completed", "stopped"]), st.just(""))
OBSERVED = st.builds(
    Observation,
    reachable=st.booleans(),
    online=st.integers(0, 3),
    clients=st.just(3),
    runs=st.lists(RUNS, max_size=3).map(tuple),
    released=st.integers(0, 3),
)


@given(observations=st.lists(OBSERVED, max_size=30))
def test_whatever_happens_no_run_is_started_beside_another_or_without_need(observations):
    state, now = RunState(), NOW
    for number, observation in enumerate(observations):
        now += 1
        found = step(state, observation, now)
        state = found.state
        if found.start:
            assert observation.reachable
            assert observation.online >= ROUNDS.min_replies
            assert observation.released < ROUNDS.count
            assert all(each.stage is RunStage.FINISHED for each in observation.runs)
            assert state.fruitless < FRUITLESS_RUNS
            state = state.started(str(100 + number), observation.released)
        assert RunState.model_validate_json(state.model_dump_json()) == state


def test_deciding_twice_decides_the_same():
    observation = seen(finished("failed"), released=1)
    assert step(TRAINING, observation) == step(TRAINING, observation)


def wrapped(state, observation):
    return next_step(state, observation, ROUNDS, NOW, Mode.WRAPPED)


def test_a_wrapped_app_is_complete_when_it_ends_well_whatever_its_rounds():
    found = wrapped(TRAINING, seen(finished("completed"), released=2))
    assert (found.phase, found.message) == (Phase.COMPLETED, "The training ended with 2 rounds released.")
    assert wrapped(found.state, seen(finished("completed"), released=2)).phase is Phase.COMPLETED


WHY = "in round 3, 2 replies were admitted where 3 are needed"
NOTHING = Tally(0, 3, 3, WHY)


def test_a_wrapped_app_that_ended_without_a_release_has_failed_and_says_why_and_what_to_do():
    found = wrapped(TRAINING, seen(finished("completed"), tally=NOTHING))
    assert (found.phase, found.start) == (Phase.FAILED, False)
    assert found.message.startswith(f"The app ended and released no round: {WHY}. Mend the clients")
    assert "rounds.minReplies" in found.message
    assert wrapped(found.state, seen(finished("completed"), tally=NOTHING)).phase is Phase.FAILED


def test_what_an_earlier_run_released_does_not_make_an_empty_one_complete():
    assert wrapped(TRAINING, seen(finished("completed"), released=2, tally=NOTHING)).phase is Phase.FAILED


def test_a_state_of_before_that_says_complete_without_a_release_is_a_failure():
    found = next_step(RunState(complete=True), seen(released=0), ROUNDS, NOW, Mode.WRAPPED)
    assert (found.phase, found.start) == (Phase.FAILED, False)
    assert "asked no client to train" in found.message


def test_a_wrapped_app_that_ended_empty_is_tried_again_under_another_policy_and_a_complete_one_is_not():
    state = wrapped(TRAINING.under("a"), seen(finished("completed"), tally=NOTHING)).state
    assert not wrapped(state.under("a", 0), seen()).start
    assert next_step(state.under("b", 0), seen(), ROUNDS, NOW + 99, Mode.WRAPPED).start
    assert wrapped(state.under("b", 2), seen(released=2)).phase is Phase.COMPLETED


@pytest.mark.parametrize("mode", Mode)
def test_lost_rounds_are_told_of_a_training_that_is_complete(mode):
    tally = Tally(2, 1, 3, "in round 2, 2 replies were admitted where 3 are needed")
    found = next_step(TRAINING, seen(finished("completed"), released=3, tally=tally), ROUNDS, NOW, mode)
    assert found.phase is Phase.COMPLETED
    assert found.message == (
        "The training ended with 2 rounds released; 1 round was lost: in round 2,"
        " 2 replies were admitted where 3 are needed."
    )


def test_a_managed_training_whose_last_rounds_were_skipped_ends_and_goes_on_when_more_are_asked_for():
    observed = seen(finished("completed"), released=1, tally=Tally(1, 2, 3, WHY))
    found = step(TRAINING, observed)
    assert (found.phase, found.start) == (Phase.COMPLETED, False)
    assert "2 rounds were lost" in found.message
    more = ROUNDS.model_copy(update={"count": 4})
    assert next_step(found.state, observed, more, NOW + 99).start


def test_a_managed_training_that_skipped_all_its_rounds_has_failed():
    assert step(TRAINING, seen(finished("completed"), tally=NOTHING)).phase is Phase.FAILED


def test_a_managed_run_that_fails_amid_skipped_rounds_is_continued():
    assert step(TRAINING, seen(finished("failed"), tally=Tally(1, 1, 2, WHY), released=1)).start


def test_a_wrapped_app_that_fails_after_its_last_round_is_not_complete():
    found = wrapped(TRAINING, seen(finished("failed", "no space left"), released=3))
    assert found.phase is Phase.WAITING
    assert found.state.fruitless == 1


def test_a_wrapped_app_that_always_fails_is_given_up():
    state, released = RunState(), 0
    for number in range(FRUITLESS_RUNS):
        released += 3
        state = state.started(str(number), released)
        found = wrapped(state, seen(finished("failed", "no space left", str(number)), released=released))
        state = found.state
    assert found.phase is Phase.FAILED
    assert found.message == "5 runs in a row did not come to their end; the last one failed: no space left."
