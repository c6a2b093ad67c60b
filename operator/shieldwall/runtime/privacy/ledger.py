"""What the ledger's lines come to: ε of the client that spent most, and how many rounds are left. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from shieldwall.accounting import FixedSize, Poisson, Release, epsilon_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from shieldwall.contract.privacy import Spend

    Cost = Counter[Release]

_MOST_ROUNDS: Final = 1 << 20
"""Nobody plans for more."""


def releases_of(spend: Spend) -> Cost:
    """What one line cost each of its clients; raises ValueError for a line that says what cannot be."""
    sampling: Poisson | FixedSize | None = None
    if spend.rate is not None:
        sampling = Poisson(spend.rate)
    elif spend.population is not None and spend.sample is not None and spend.sample < spend.population:
        sampling = FixedSize(spend.population, spend.sample)
    return Counter({Release(spend.noise_multiplier, sampling): spend.releases})


def charged(spends: Sequence[Spend], present: Sequence[str]) -> tuple[Spend, ...]:
    """The lines, of which each that names somebody who is not ``present`` any more counts for all who are.

    The data of that name may be there under another one, whatever it was called in between: it was in one place at
    each line, so nobody's can have been in more than these.
    """
    known = frozenset(present)

    def counted(spend: Spend) -> Spend:
        if known.issuperset(spend.clients):
            return spend
        return spend.model_copy(update={"clients": tuple(sorted(known.union(spend.clients)))})

    return tuple(map(counted, spends))


def costs_of(spends: Iterable[Spend]) -> dict[str, Cost]:
    """What all lines cost each client; one that has no line spent nothing."""
    costs: dict[str, Cost] = {}
    for spend in spends:
        for client in spend.clients:
            costs.setdefault(client, Counter()).update(releases_of(spend))
    return costs


def epsilon_spent(spends: Iterable[Spend], delta: float) -> float:
    """ε that holds with ``delta`` for every client's data; raises EpsilonUnknownError for a mixture of samplings."""
    return _worst(costs_of(spends), delta)


def rounds_left(spends: Sequence[Spend], following: Spend, epsilon: float, delta: float, guess: int) -> int:
    """So many more lines like ``following`` may be written until some client's ε would pass ``epsilon``.

    ``guess`` is tried first; where it is right two sums are made.
    """
    costs = costs_of(spends)
    if _worst(costs, delta) > epsilon:
        return 0
    spending = {client: costs.get(client, Counter()) for client in following.clients}

    def allowed(rounds: int) -> bool:
        more = Counter({release: count * rounds for release, count in releases_of(following).items()})
        return _worst({client: cost + more for client, cost in spending.items()}, delta) <= epsilon

    low, high, stride = 0, max(1, guess), 1
    if allowed(high):
        low = high
        while low < _MOST_ROUNDS and allowed(low + stride):
            low, stride = low + stride, 2 * stride
        high = low + stride
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if allowed(middle) else (low, middle)
    return low


def _worst(costs: Mapping[str, Cost], delta: float) -> float:
    """Of many clients most cost the same."""
    distinct = {frozenset(cost.items()) for cost in costs.values()}
    return max((epsilon_of(dict(cost), delta) for cost in distinct), default=0.0)
