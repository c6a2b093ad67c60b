from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shieldwall.runtime.privacy.mechanism import add_noise, clip, noised_norm, os_generator

VALUES = st.floats(-(2.0**100), 2.0**100, width=32)


@given(vector=arrays(np.float32, st.integers(1, 40), elements=VALUES), bound=st.floats(1e-3, 1e3))
def test_a_clipped_vector_is_within_the_bound_and_points_the_same_way(vector, bound):
    clipped = vector.copy()
    clip(clipped, bound)

    before, after = np.linalg.norm(vector.astype(np.float64)), np.linalg.norm(clipped.astype(np.float64))
    assert after <= bound * (1 + 1e-5)
    if before <= bound:
        assert np.array_equal(clipped, vector)
    else:
        assert float(clipped.astype(np.float64) @ vector.astype(np.float64)) == pytest.approx(before * after, rel=1e-4)


@pytest.mark.parametrize("value", [1e300, 1e-300])
def test_clipping_is_right_at_the_ends_of_float64(value):
    vector = np.full(4, value)
    clip(vector, value)

    assert vector == pytest.approx(np.full(4, value / 2))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_noise_has_the_deviation_asked_for_in_every_block_and_leaves_the_mean(dtype):
    vector = np.full(50_001, 7.0, dtype)
    add_noise(vector, 0.5, np.random.default_rng(1))

    for part in np.array_split(vector, 5):
        assert part.mean() == pytest.approx(7.0, abs=0.02)
        assert part.std() == pytest.approx(0.5, rel=0.05)
    assert abs(np.corrcoef(vector[:16_400], vector[16_400:32_800])[0, 1]) < 0.05


@pytest.mark.parametrize("size", [1, 100, 10_000])
def test_the_norm_of_what_was_noised_stays_just_below_its_bound(size):
    generator = np.random.default_rng(2)
    lengths = [np.linalg.norm(generator.standard_normal(size) * 3.0) + 1.0 for _ in range(300)]

    assert max(lengths) <= noised_norm(1.0, 3.0, size)
    assert noised_norm(1.0, 3.0, size) <= max(lengths) + 6.5 * 3.0


def test_two_generators_of_the_operating_system_never_draw_the_same():
    assert os_generator().standard_normal(8).tolist() != os_generator().standard_normal(8).tolist()
