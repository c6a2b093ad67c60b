"""What sketches tell of models of which little moves: honest work is left alone, what is sent again is found."""

import numpy as np
import pytest

from shieldwall.contract.records import Flag
from shieldwall.runtime.aggregation.gram import inner_products
from shieldwall.runtime.contribution.evidence import weigh
from shieldwall.runtime.contribution.innovation import floor_of
from shieldwall.runtime.contribution.marks import Marks
from shieldwall.runtime.contribution.memory import Memory
from shieldwall.runtime.contribution.sketch import WIDTH, sketches
from shieldwall.runtime.contribution.vectors import rounding_of
from shieldwall.runtime.model import Model

N, D, HEAD = 10, 100_000, 400
"""0.4 % of the parameters are trained."""
ROUNDING = float(np.finfo(np.float32).eps) * np.sqrt(D)
"""Of models of standard normal parameters."""


def drawn(seed):
    return lambda size: np.random.default_rng(seed).bytes(size)


def on_head(random, head=HEAD, size=D, common=None):
    vector = np.zeros(size, np.float32)
    vector[size - head :] = random.normal(size=head) if common is None else common + random.normal(size=head)
    return vector


def told(marks, rows, round_):
    return marks.repeats(dict(enumerate(rows)), round_, ROUNDING), marks.after(dict(enumerate(rows)), round_)


def test_an_honest_client_is_no_repeater_where_only_a_head_is_trained():
    for seed in range(60):
        random, marks = np.random.default_rng(seed), Marks.fresh(D, drawn(seed))
        common = random.normal(size=HEAD)
        for round_ in range(1, 6):
            updates = [on_head(random, common=common) for _ in range(N)]
            found, marks = told(marks, sketches(updates, marks.seed).values, round_)
            assert not any(found.values())


def test_an_honest_client_is_no_repeater_where_it_moves_a_few_rows_of_an_embedding():
    for seed in range(20):
        random, marks = np.random.default_rng(seed), Marks.fresh(D, drawn(seed))
        for round_ in range(1, 6):
            updates = np.zeros((N, D // 50, 50), np.float32)
            for update in updates:
                update[random.choice(D // 50, 3, replace=False)] = random.normal(size=(3, 50))
            found, marks = told(marks, sketches(list(updates.reshape(N, D)), marks.seed).values, round_)
            assert not any(found.values())


def test_what_is_sent_again_is_found_where_only_a_head_is_trained():
    for seed in range(20):
        random, marks = np.random.default_rng(seed), Marks.fresh(D, drawn(seed))
        base = random.normal(size=D).astype(np.float32)
        update = on_head(random)
        _, marks = told(marks, sketches([update], marks.seed).values, 1)
        again = (base + np.float32(0.3) * update) - base
        found, _ = told(marks, sketches([again, on_head(random)], marks.seed).values, 2)
        assert found == {0: True, 1: False}


def test_an_honest_client_that_turns_very_slowly_is_no_repeater():
    """Logistic regression on all data in each step: 1 − cosine of successive updates is about 1e-6."""
    random, marks = np.random.default_rng(9), Marks.fresh(D, drawn(9))
    updates = [random.normal(size=D).astype(np.float32) for _ in range(N)]
    for round_ in range(1, 12):
        slow = updates[:1] + [random.normal(size=D).astype(np.float32) for _ in range(N - 1)]
        found, marks = told(marks, sketches(slow, marks.seed).values, round_)
        assert not any(found.values())
        updates[0] = updates[0] + np.float32(1e-3) * random.normal(size=D).astype(np.float32)
    same = slow[:1] + [random.normal(size=D).astype(np.float32) for _ in range(N - 1)]
    found, _ = told(marks, sketches(same, marks.seed).values, 12)
    assert found[0]  # the very same is


def test_where_more_than_half_come_as_near_as_a_repetition_nobody_is_a_repeater():
    random, marks = np.random.default_rng(10), Marks.fresh(D, drawn(10))
    updates = [random.normal(size=D).astype(np.float32) for _ in range(N)]
    _, marks = told(marks, sketches(updates, marks.seed).values, 1)
    for still in (2, 5, 6, N):
        fresh = [*updates[:still], *(random.normal(size=D).astype(np.float32) for _ in range(N - still))]
        found, _ = told(marks, sketches(fresh, marks.seed).values, 2)
        assert [found[i] for i in range(N)] == [i < still <= N / 2 for i in range(N)]


def test_what_a_coarse_model_rounds_off_does_not_hide_a_repetition():
    random, marks = np.random.default_rng(11), Marks.fresh(D, drawn(11))
    bases = [Model.of({"w": random.normal(size=D).astype(np.float32)}) for _ in range(2)]
    update = np.float32(1e-4) * random.normal(size=D).astype(np.float32)
    for round_, base in enumerate(bases, 1):
        came = ((base.arrays["w"] + update) - base.arrays["w"]).astype(np.float32)
        rows = dict(zip("ab", sketches([came, random.normal(size=D)], marks.seed).values, strict=True))
        found, marks = marks.repeats(rows, round_, rounding_of(base)), marks.after(rows, round_)
    assert found == {"a": True, "b": False}
    assert marks.repeats(rows | {"b": -rows["b"]}, 3, 0.0) == {"a": True, "b": False}
    assert rounding_of(bases[0]) == pytest.approx(ROUNDING, rel=0.01)
    double = Model.of({"w": np.ones(4, np.float16), "x": np.zeros(3), "n": np.array(3)})
    assert rounding_of(double) == pytest.approx(2 * 2**-10)


def test_with_too_few_coordinates_that_move_a_repetition_is_not_told():
    for seed in range(10):
        random, marks = np.random.default_rng(seed), Marks.fresh(D, drawn(seed))
        _, marks = told(marks, sketches([on_head(random, 1)], marks.seed).values, 1)
        found, _ = told(marks, sketches([on_head(random, 1)], marks.seed).values, 2)
        assert found == {0: False}  # of one coordinate each update is a multiple of every other


def test_chance_is_reckoned_by_the_coordinates_that_move(tmp_path):
    """A liar who moves all of them changes nothing: it is the median that counts."""
    random = np.random.default_rng(1)
    updates = {str(i): on_head(random, 150) for i in range(N)}
    updates["0"] = random.normal(size=D).astype(np.float32)
    moving = Memory(tmp_path, drawn(1)).recall(updates, 1, ROUNDING).moving
    assert moving == 150
    gram = inner_products(list(updates.values()))
    assert weigh(gram, N, moving).floor is None  # 10 others explain 7 % of any noise
    assert floor_of(N, 0, D) == pytest.approx(3 * N / D)


def steps(memory, random, count, head=HEAD):
    """The deltas of so many rounds of a model that goes somewhere else in each, noted in ``memory``."""
    base, found = random.normal(size=D).astype(np.float32), []
    for round_ in range(1, count + 2):
        deltas = memory.deltas(Model.of({"w": base}), round_)
        updates = {str(i): on_head(random, head) for i in range(N)}
        memory.recall(updates, round_, ROUNDING, deltas.get(round_))
        if round_ <= count:
            before, base = base, base + np.float32(0.1) * on_head(random, head)
            found.append(base - before)
    return found, count + 1


@pytest.mark.parametrize("head", [HEAD, D])
def test_what_the_model_did_before_the_last_ten_rounds_is_a_replay_and_so_is_a_mixture_of_that(tmp_path, head):
    random, memory = np.random.default_rng(2), Memory(tmp_path, drawn(2))
    old, round_ = steps(memory, random, 18, head)
    base = random.normal(size=D).astype(np.float32)
    updates = {str(i): on_head(random, head) for i in range(N)}
    updates["0"] = (base + 3 * old[2]) - base
    updates["1"] = np.tensordot(random.normal(size=8), np.stack(old[:8]), 1).astype(np.float32)
    replays = memory.recall(updates, round_, ROUNDING, None).replays
    assert {name for name, replayed in replays.items() if replayed} == {"0", "1"}
    restarted = Memory(tmp_path, drawn(3)).recall(updates, round_, ROUNDING, None).replays
    assert restarted == replays
    gram = inner_products(list(updates.values()))
    flags = [one.flags for one in weigh(gram, N, D, replays=list(replays.values())).updates]
    assert [Flag.REPLAY in found for found in flags] == [True, True] + [False] * (N - 2)


def test_where_everybody_goes_on_as_the_model_did_nobody_replays_it(tmp_path):
    random, memory = np.random.default_rng(4), Memory(tmp_path, drawn(4))
    old, round_ = steps(memory, random, 5)
    updates = {str(i): old[0] + np.float32(0.001) * on_head(random) for i in range(N)}
    assert not any(memory.recall(updates, round_, ROUNDING, None).replays.values())


def test_steps_that_span_most_of_what_moves_are_not_all_compared_with():
    head, size = 40, 4000
    for seed in range(20):
        random, marks = np.random.default_rng(seed), Marks.fresh(size, drawn(seed))
        old = sketches([on_head(random, head, size) for _ in range(head - 1)], marks.seed).values
        for round_, step in enumerate(old, 2):
            marks = marks.after_step(step, round_)
        updates = sketches([on_head(random, head, size) for _ in range(N)], marks.seed).values
        assert not any(marks.replays(list(updates), head))


def test_a_round_that_is_tried_again_forgets_the_steps_after_it():
    marks, row = Marks.fresh(D, drawn(6)), np.ones(WIDTH)
    for round_ in range(2, 7):
        marks = marks.after_step(round_ * row, round_)
    assert marks.after_step(4 * row, 4).step_rounds == (2, 3, 4)
    assert marks.after_step(None, 4).step_rounds == (2, 3, 4)
    for round_ in range(7, 400):
        marks = marks.after_step(row, round_)
    assert (marks.step_rounds[0], len(marks.steps)) == (144, 256)


@pytest.mark.parametrize("size", [5, WIDTH, 128 * WIDTH, 128 * WIDTH + 1, 1_000_003])
def test_sketches_keep_inner_products_whatever_the_threads(size):
    random = np.random.default_rng(7)
    vectors = [random.normal(size=size).astype(dtype) for dtype in (np.float32, np.float64)]
    vectors.append((vectors[0] + 0.1 * random.normal(size=size)).astype(np.float32))
    found = sketches(vectors, b"s" * 16)
    lengths = np.linalg.norm(np.array([vector.astype(float) for vector in vectors]), axis=1)
    cosines = inner_products(vectors) / np.outer(lengths, lengths)
    estimated = found.values @ found.values.T / np.outer(lengths, lengths)
    np.testing.assert_allclose(estimated, cosines, atol=1e-6 if size <= WIDTH else 5 * np.sqrt(2 / WIDTH))
    np.testing.assert_array_equal(sketches(vectors, b"s" * 16, 2).values, found.values)
    assert found.moving.tolist() == [size] * 3


@pytest.mark.parametrize("value", [3e38, 1e308])
def test_an_update_beyond_what_a_sketch_holds_is_no_repetition_and_no_replay(tmp_path, value):
    memory, random = Memory(tmp_path, drawn(8)), np.random.default_rng(8)
    updates = {"a": np.full(D, value, np.float64), "b": random.normal(size=D)}
    for round_ in (1, 2, 3):
        found = memory.recall(updates, round_, ROUNDING, random.normal(size=D))
        assert not any(found.replays.values())
    assert not found.repeats["a"] or value < 1e300
