import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shieldwall.lab.partition import SMALLEST, dirichlet

CLASSES = np.repeat(np.arange(10), 100)
ALPHAS = st.sampled_from([math.inf, 10.0, 0.5, 0.1, 0.01])


@given(ALPHAS, st.integers(1, 60), st.integers(0, 99))
def test_every_sample_is_somebodys_and_nobody_has_too_few(alpha, clients, seed):
    parts = dirichlet(CLASSES, clients, alpha, np.random.default_rng(seed))
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(CLASSES)))
    assert min(map(len, parts)) >= SMALLEST


def skew(alpha):
    """Classes that make up nine tenths of a client's samples, in the mean."""
    parts = dirichlet(CLASSES, 15, alpha, np.random.default_rng(3))
    counts = [np.sort(np.bincount(CLASSES[part], minlength=10))[::-1] for part in parts]
    return np.mean([1 + np.argmax(np.cumsum(count) >= 0.9 * count.sum()) for count in counts])


def test_a_smaller_alpha_leaves_a_client_fewer_classes():
    assert skew(math.inf) > 8
    assert skew(math.inf) > skew(0.5) > skew(0.1)
    assert skew(0.1) < 4


def test_with_an_infinite_alpha_everybody_has_as_many():
    parts = dirichlet(CLASSES, 15, math.inf, np.random.default_rng(3))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_the_same_seed_gives_the_same_parts():
    one, other = (dirichlet(CLASSES, 15, 0.1, np.random.default_rng(5)) for _ in range(2))
    assert [part.tolist() for part in one] == [part.tolist() for part in other]


def test_too_few_samples_are_refused():
    with pytest.raises(ValueError, match="too few for 200 clients"):
        dirichlet(CLASSES, 200, 0.5, np.random.default_rng(0))
