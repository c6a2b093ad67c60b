import numpy as np
import pytest

from shieldwall.runtime.contribution.marks import Marks
from shieldwall.runtime.contribution.memory import DELTAS, Memory

D = 3000


def secret(size):
    return bytes(range(size))


def model(seed):
    return np.random.default_rng(seed).normal(size=D).astype(np.float32)


@pytest.fixture
def memory(tmp_path):
    return Memory(tmp_path / "kept", secret)


def test_deltas_are_what_the_model_did_between_rounds(memory):
    models = [model(seed) for seed in range(4)]
    for number, base in enumerate(models, 1):
        found = memory.deltas(base, number)
        assert len(found) == number - 1
    for delta, before, after in zip(found, models, models[1:], strict=False):
        np.testing.assert_array_equal(delta, after - before)


def test_no_more_than_ten_are_kept_and_no_model_but_the_last(memory, tmp_path):
    for number in range(1, 25):
        found = memory.deltas(model(number), number)
    assert len(found) == DELTAS
    assert len(list((tmp_path / "kept").glob("*.npy"))) == DELTAS + 1


def test_a_restart_and_a_repeated_round_find_the_same(memory, tmp_path):
    for number in range(1, 5):
        found = memory.deltas(model(number), number)
    for again in (memory, Memory(tmp_path / "kept", secret)):
        for one, other in zip(again.deltas(model(4), 4), found, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_crash_between_delta_and_base_costs_nothing(memory, tmp_path):
    memory.deltas(model(1), 1)
    np.save(tmp_path / "kept" / "delta-2.npy", model(2) - model(1))
    np.testing.assert_array_equal(memory.deltas(model(2), 2)[0], model(2) - model(1))


def test_going_back_to_an_older_round_forgets_what_came_after(memory):
    for number in range(1, 6):
        memory.deltas(model(number), number)
    assert len(memory.deltas(model(3), 3)) == 2


def test_another_model_has_no_past(memory):
    memory.deltas(model(1), 1)
    memory.deltas(model(2), 2)
    assert memory.deltas(np.zeros(D + 1, np.float32), 3) == ()
    assert memory.deltas(np.zeros(D, np.float64), 4) == ()


def repeats(memory, update, number, key="a"):
    return memory.repeats({key: update, "other": model(1000 + number)}, number)[key]


def test_an_update_sent_again_is_found_after_a_restart_too(memory, tmp_path):
    base, update = model(1), np.float32(0.01) * model(2)
    assert not repeats(memory, update, 1)
    rounded = (base + update) - base  # as it comes out of the model it was added to
    assert repeats(Memory(tmp_path / "kept", secret), np.float32(3) * rounded, 4)
    assert not repeats(memory, update, 5, key="b")


def test_the_same_round_tried_again_is_no_repetition(memory):
    assert not repeats(memory, model(2), 3)
    assert not repeats(memory, model(2), 3)
    assert repeats(memory, model(2), 4)


def test_an_honest_client_that_hardly_moves_is_not_taken_for_a_repeater(memory):
    update, random = model(2), np.random.default_rng(3)
    assert not repeats(memory, update, 1)
    near = update + np.float32(0.03) * random.normal(size=D).astype(np.float32)  # cosine 0.9995
    assert not repeats(memory, near, 2)


def test_marks_are_forgotten_after_ten_rounds_and_nothing_is_nothing(memory):
    assert not repeats(memory, model(2), 1)
    assert not repeats(memory, model(2), 11)
    assert memory.repeats({}, 12) == {}
    zero = {"z": np.zeros(D, np.float32)}
    assert memory.repeats(zero, 13) == memory.repeats(zero, 14) == {"z": False}


def test_an_unreadable_memory_is_an_empty_one(memory, tmp_path):
    repeats(memory, model(2), 1)
    (tmp_path / "kept" / "marks.npz").write_bytes(b"PK\x03\x04 torn")
    assert not repeats(memory, model(2), 2)
    (tmp_path / "kept" / "delta-2.npy").write_bytes(b"torn")
    memory.deltas(model(1), 1)
    (tmp_path / "kept" / "base-1.npy").write_bytes(b"torn")
    assert memory.deltas(model(3), 3) == ()


def test_the_places_are_secret():
    one, other = Marks.fresh(D, lambda size: b"a" * size), Marks.fresh(D, lambda size: b"b" * size)
    assert not np.array_equal(one.places, other.places)
    assert len(set(one.places)) == 256
