import errno

import numpy as np
import pytest

from shieldwall.runtime.contribution.marks import Marks
from shieldwall.runtime.contribution.memory import DELTAS, SPARE_MODELS, Memory
from shieldwall.runtime.contribution.sketch import sketches
from shieldwall.runtime.model import Model

D = 3000
ROUNDING = float(np.finfo(np.float32).eps) * np.sqrt(D)
"""Of the models here."""


def secret(size):
    return bytes(range(size))


def model(seed):
    return np.random.default_rng(seed).normal(size=D).astype(np.float32)


def deltas(memory, vector, number):
    """The deltas before a round that sent out a model of two arrays with these parameters."""
    halves = {"a": vector[: vector.size // 3].reshape(-1, 1), "steps": np.array(7), "b": vector[vector.size // 3 :]}
    return tuple(memory.deltas(Model.of(halves), number).values())


@pytest.fixture
def memory(tmp_path):
    return Memory(tmp_path / "kept", secret)


def test_deltas_are_what_the_model_did_between_rounds(memory):
    models = [model(seed) for seed in range(4)]
    for number, base in enumerate(models, 1):
        found = deltas(memory, base, number)
        assert len(found) == number - 1
    for delta, before, after in zip(found, models, models[1:], strict=False):
        np.testing.assert_array_equal(delta, after - before)


def test_no_more_than_ten_are_kept_and_no_model_but_the_last(memory, tmp_path):
    for number in range(1, 25):
        found = deltas(memory, model(number), number)
    assert len(found) == DELTAS
    assert len(list((tmp_path / "kept").glob("*.npy"))) == DELTAS + 1


def test_a_restart_and_a_repeated_round_find_the_same(memory, tmp_path):
    for number in range(1, 5):
        found = deltas(memory, model(number), number)
    for again in (memory, Memory(tmp_path / "kept", secret)):
        for one, other in zip(deltas(again, model(4), 4), found, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_crash_between_delta_and_base_costs_nothing(memory, tmp_path):
    deltas(memory, model(1), 1)
    np.save(tmp_path / "kept" / "delta-2.npy", model(2) - model(1))
    np.testing.assert_array_equal(deltas(memory, model(2), 2)[0], model(2) - model(1))


def test_going_back_to_an_older_round_forgets_what_came_after(memory):
    for number in range(1, 6):
        deltas(memory, model(number), number)
    assert len(deltas(memory, model(3), 3)) == 2


def test_another_model_has_no_past(memory):
    deltas(memory, model(1), 1)
    deltas(memory, model(2), 2)
    assert deltas(memory, np.zeros(D + 1, np.float32), 3) == ()
    assert deltas(memory, np.zeros(D, np.float64), 4) == ()


def repeats(memory, update, number, key="a"):
    return memory.recall({key: update, "other": model(1000 + number)}, number, ROUNDING).repeats[key]


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
    assert memory.recall({}, 12, ROUNDING).repeats == {}
    zero = {"z": np.zeros(D, np.float32)}
    assert memory.recall(zero, 13, ROUNDING).repeats == memory.recall(zero, 14, ROUNDING).repeats == {"z": False}


def test_an_unreadable_memory_is_an_empty_one(memory, tmp_path):
    repeats(memory, model(2), 1)
    (tmp_path / "kept" / "marks.npz").write_bytes(b"PK\x03\x04 torn")
    assert not repeats(memory, model(2), 2)
    (tmp_path / "kept" / "delta-2.npy").write_bytes(b"torn")
    deltas(memory, model(1), 1)
    (tmp_path / "kept" / "base-1.npy").write_bytes(b"torn")
    assert deltas(memory, model(3), 3) == ()


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_volume_costs_evidence_and_leaves_its_room_to_the_training(tmp_path, monkeypatch):
    logged = []
    memory = Memory(tmp_path / "kept", secret, logged.append)
    for number in range(1, 4):
        deltas(memory, model(number), number)
        assert not repeats(memory, model(9), number) or number > 1
    with monkeypatch.context() as patch:
        patch.setattr("shieldwall.runtime.durable.os.write", full)
        for number in (4, 5):
            assert deltas(memory, model(number), number) == ()
            assert repeats(memory, model(9), number)  # what is there can be read
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"marks.npz"}
    assert len(logged) == 1
    assert "No space left on device" in logged[0]
    deltas(memory, model(6), 6)
    np.testing.assert_array_equal(deltas(memory, model(7), 7)[0], model(7) - model(6))


def test_where_there_is_little_room_the_oldest_deltas_go_and_checkpoints_find_theirs(tmp_path):
    logged, one, limit = [], D * 4, 9
    directory = tmp_path / "kept"

    def free(where):
        return limit * one - sum(path.stat().st_size // one * one for path in where.iterdir())

    memory = Memory(directory, secret, logged.append, free)
    for number in range(1, 16):
        found = deltas(memory, model(number), number)
        assert free(directory) >= SPARE_MODELS * one
    np.testing.assert_array_equal(found[-1], model(15) - model(14))
    assert len(found) == limit - SPARE_MODELS - 2  # beside the base of this round and, while it is made, of the last
    assert len(logged) == 1
    limit = 1
    assert deltas(memory, model(16), 16) == ()
    assert list(directory.iterdir()) == []


def test_what_cannot_be_written_at_all_is_no_evidence_and_no_failure(tmp_path):
    (tmp_path / "kept").write_bytes(b"a file where the directory should be")
    logged = []
    memory = Memory(tmp_path / "kept", secret, logged.append)
    for number in (1, 2):
        assert deltas(memory, model(number), number) == ()
        assert not repeats(memory, model(9), number)
    assert len(logged) == 1


def test_the_signs_are_secret():
    one, other = (Marks.fresh(D, lambda size, letter=letter: letter * size).seed for letter in (b"a", b"b"))
    mine, theirs = sketches([model(1)], one).values[0], sketches([model(1)], other).values[0]
    assert abs(float(mine @ theirs)) < 0.2 * np.linalg.norm(mine) * np.linalg.norm(theirs)
