"""An adversary that looks for the two neighbouring sets of updates that move a rule's result most."""

from functools import cache

import numpy as np

from shieldwall.runtime.aggregation import Updates, aggregate

CLIP = 1.0


def within_clip(updates):
    """Every row scaled down to norm CLIP at most."""
    norms = np.linalg.norm(updates, axis=-1, keepdims=True)
    return updates * np.minimum(1.0, CLIP / np.maximum(norms, 1e-300))


@cache
def buckets(n):
    """A seed of Bucketing by which the first client is in the last bucket, the smallest one."""
    return next(seed for seed in range(1000) if np.random.default_rng(seed).permutation(n)[-1] == 0)


def result(policy, updates, examples=None):
    """What the rule makes of (n, d) updates: (d,). Always by the same buckets: no client says who is in which."""
    return aggregate(Updates.of(list(updates), examples), policy, seed=buckets(len(updates))).delta


def moved(policy, updates, other):
    """How far the result moves when the first client's update becomes ``other``."""
    neighbour = updates.copy()
    neighbour[0] = other
    return float(np.linalg.norm(result(policy, updates) - result(policy, neighbour)))


def starts(random, n, d, count):
    """Pairs to begin with: clusters at both ends of a line, of every size, then anything in the ball."""
    end = np.zeros(d)
    end[0] = CLIP
    for ahead in range(n + 1):
        clusters = np.tile(end, (n, 1))
        clusters[ahead:] *= -1
        jitter = 1e-3 * random.standard_normal((n, d))
        yield within_clip(clusters + jitter), -clusters[0]
    for _ in range(count):
        radius = random.choice([0.1, 1.0, 3.0])
        yield within_clip(radius * random.standard_normal((n, d))), within_clip(radius * random.standard_normal(d))


def climb(policy, pair, random, steps=120):
    """The farthest move that is found from one pair by small changes, each kept if it helps."""
    (updates, other), far = pair, moved(policy, *pair)
    for step in range(steps):
        width = 0.5 * 0.97**step
        some = random.random((len(updates), 1)) < 0.4
        nearby = within_clip(updates + width * some * random.standard_normal(updates.shape))
        also = within_clip(other + width * random.standard_normal(other.shape))
        if (now := moved(policy, nearby, also)) > far:
            far, updates, other = now, nearby, also
    return far


def worst_move(policy, n, d, seed):
    """The farthest move that was found: the four best of many starts, and what is near them."""
    random = np.random.default_rng(seed)
    pairs = sorted(starts(random, n, d, 60), key=lambda pair: -moved(policy, *pair))
    return max(climb(policy, pair, random) for pair in pairs[:4])
