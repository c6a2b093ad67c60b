"""Free-riders found and honest clients banned, by kind of free-rider and by how unlike the clients' data are.

python benchmarks/contribution/measure.py [--seeds 20] [--output docs/contribution-measured.md]
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: each process is one thread

import argparse
import math
import time
from collections import defaultdict
from multiprocessing import Pool
from pathlib import Path
from typing import TYPE_CHECKING, Final

from federation import Job, Old, Result, run
from scipy.stats import binomtest

from shieldwall.local.attackers import AttackKind as Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ALPHAS: Final = (math.inf, 0.5, 0.1)
CAUGHT: Final = {
    Kind.FREE_ZERO: "sends the model back as it came",
    Kind.FREE_SCALED: "the global model's last step, × 0.5 to 2",
    Kind.FREE_NOISE: "Gaussian noise of the last step's norm",
    Kind.FREE_REPLAY: "the global model's last step",
    Kind.FREE_REPLAY_NOISE: "the same and 30 % noise",
    Kind.FREE_DELAYED: "the global model's step of five rounds ago",
    Kind.FREE_COLLUDING: "all send one noise, each with 30 % of its own",
    Kind.FREE_STALE: "one honest update, sent for ever",
}
MISSED: Final = {
    Kind.FREE_STALE_NOISE: "one honest update, sent for ever with fresh 30 % noise",
    Kind.SLOW_DRIFT: "honest updates and 20 % in one fixed direction (poison)",
}
OLD: Final = {
    Old.STEP: "the global model's step of twelve rounds ago",
    Old.MIXTURE: "a random mixture of all its steps from before the last ten",
    Old.DISGUISED: "its step of twelve rounds ago and 30 % noise",
}
ONE_DIGIT: Final = "one digit a client"
OTHERS: Final = {
    "10 clients, f = 2": {"clients": 10, "byzantine": 2},
    "15 clients, 8 local epochs": {"epochs": 8},
    "24 clients, f = 5": {"clients": 24, "byzantine": 5},
    ONE_DIGIT: {},
}
_BANNED_BY: Final = 15
_HONEST: Final = ("honest clients banned", "honest clients with five strikes, banned or not")


def wilson(hits: int, of: int) -> str:
    """``98.3 % (91.1–99.7)``: a share and its Wilson score interval at 95 % (Wilson 1927)."""
    if of == 0:
        return "–"
    interval = binomtest(hits, of).proportion_ci(0.95, method="wilson")
    return f"{hits / of:.1%} ({100 * interval.low:.1f}–{100 * interval.high:.1f})".replace("%", " %")


def found(results: Iterable[Result]) -> tuple[str, str, str]:
    """The shares of free-riders banned ever and by round 15, and the latest round of a first ban."""
    rounds = [result.banned.get(rider) for result in results for rider in result.riders]
    known = [number for number in rounds if number is not None]
    by = sum(number <= _BANNED_BY for number in known)
    return wilson(len(known), len(rounds)), wilson(by, len(rounds)), str(max(known, default="–"))


def wronged(results: Iterable[Result]) -> str:
    """The share of honest clients that were ever banned."""
    honest = [
        client in result.banned for result in results for client in set(range(result.job.clients)) - {*result.riders}
    ]
    return wilson(sum(honest), len(honest))


def struck(results: Iterable[Result]) -> str:
    """The share of honest clients that ever had strikes enough, banned or not."""
    honest = [
        client in result.struck for result in results for client in set(range(result.job.clients)) - {*result.riders}
    ]
    return wilson(sum(honest), len(honest))


def refused(results: Sequence[Result]) -> str:
    """The share of honest updates that validation refused."""
    return wilson(sum(result.refused for result in results), sum(result.honest for result in results))


def _all(by: dict[tuple[Kind | None, float], list[Result]], alpha: float) -> list[Result]:
    return [result for (_, each), results in by.items() if each == alpha for result in results]


def _honest(results: Sequence[Result]) -> tuple[str, str]:
    return wronged(results), struck(results)


def _alpha(alpha: float) -> str:
    return "∞" if math.isinf(alpha) else f"{alpha:g}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines) + "\n"


def page(results: Sequence[Result], others: Sequence[tuple[str, Result]], seeds: int, command: str) -> str:
    """The page, Markdown."""
    by: dict[tuple[Kind | None, float], list[Result]] = defaultdict(list)
    for result in results:
        if result.job.old is None:
            by[result.job.kind, result.job.alpha].append(result)
    clean = [
        (_alpha(alpha), wronged(by[None, alpha]), struck(by[None, alpha]), refused(by[None, alpha])) for alpha in ALPHAS
    ]
    rows = [
        (f"`{kind}`", _alpha(alpha), *found(by[kind, alpha]), wronged(by[kind, alpha]), refused(by[kind, alpha]))
        for kind in (*CAUGHT, *MISSED)
        for alpha in ALPHAS
    ]
    together = [
        (_alpha(alpha), found([one for kind in CAUGHT for one in by[kind, alpha]])[0], *_honest(_all(by, alpha)))
        for alpha in ALPHAS
    ]
    old = [
        (words, _alpha(alpha), found(given)[0], found(given)[2], *_honest(given))
        for what, words in OLD.items()
        for alpha in ALPHAS
        for given in [[one for one in results if (one.job.old, one.job.alpha) == (what, alpha)]]
    ]
    apart: dict[tuple[str, Kind | None, float], list[Result]] = defaultdict(list)
    for name, result in others:
        apart[name, result.job.kind, result.job.alpha].append(result)
    more = [
        (name, f"`{kind}`" if kind else "none", _alpha(alpha), found(given)[0], *_honest(given))
        for (name, kind, alpha), given in apart.items()
    ]
    return TEMPLATE.format(
        command=command,
        seeds=seeds,
        clean=_table(("α", *_HONEST, "honest updates refused by validation"), clean),
        kinds="\n".join(f"- `{kind}`: {words}." for kind, words in (CAUGHT | MISSED).items()),
        together=_table(("α", "banned, of all kinds listed as caught", *_HONEST), together),
        caught=", ".join(f"`{kind}`" for kind in CAUGHT),
        rows=_table(
            (
                "kind",
                "α",
                "banned",
                f"banned by round {_BANNED_BY}",
                "latest",
                "honest clients banned",
                "honest refused",
            ),
            rows,
        ),
        more=_table(("setting", "kind", "α", "banned", *_HONEST), more),
        old=_table(("what they take", "α", "banned", "latest", *_HONEST), old),
        missed=", ".join(f"`{kind}`" for kind in MISSED),
    )


TEMPLATE: Final = """# Free-riders: what is found, and who is wronged

Made by `{command}`, with the code that
runs in the pods (`runtime/contribution`, `runtime/validation`) and the defaults of `spec.contribution` and
`spec.validation`. The rule is the trimmed mean alone: NNM, which the default of `spec.aggregation` puts in front, is
left out here.

Fifteen clients share 1400 images of scikit-learn's digits by a Dirichlet(α) draw for each class (α = ∞: evenly, at
random); a network of 4,810 parameters, two local epochs, FedTrimmedAvg with f = 3, thirty rounds, {seeds} seeds. Three
clients are free-riders of one kind, or none is. In brackets: the Wilson interval at 95 %, over the clients of all
seeds. A client counts as banned when it was banned once.

No more than f clients are banned at once: once three free-riders are, an honest client's strikes cannot become a ban,
and of the runs that are taken together below most are such. So it is told too who ever had five strikes, which are a
ban wherever there is a place.

## Without a free-rider

{clean}
## With three

{kinds}

{rows}
## Together

Listed as caught: {caught}. Seeds, and so splits and start models, are the same for every kind: these intervals are
narrower than they should be.

{together}
## What the model did before the last ten rounds

The last ten steps of the global model are kept whole; of those before, up to 256, a secret sketch is. Three free-riders
work until there is a step of twelve rounds ago, in round 13, and take from then on.

{old}
## Missed

{missed} are not found, and are not counted as found where a few are. A stale update is
an honest client's still: what it says is borne out by what the others say, and fresh noise keeps it from being an exact
repeat. The same holds for a step from before the last ten rounds with fresh noise of more than about 5 % of its length,
and for any step from more than 256 rounds ago. A slow drift trains like everybody else; what bounds it is the
aggregation rule. By design a client that works in every other round is never banned: it loses as many strikes as it
gets. Nor is one that sends another client's update of the same round: nobody can tell which of the two it was, so one
of them counts, drawn anew in each round, and neither has a strike for it. And f free-riders that send one noise are
told only while there are no more of them than f.

## Other settings

Ten seeds each. In the last one no client's data are like more than one other's.

{more}"""


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("docs/contribution-measured.md"))
    options = parser.parse_args()
    began = time.monotonic()
    jobs = [
        Job(kind, alpha, seed) for kind in (None, *CAUGHT, *MISSED) for alpha in ALPHAS for seed in range(options.seeds)
    ]
    jobs += [Job(None, alpha, seed, old=what) for what in OLD for alpha in ALPHAS for seed in range(options.seeds)]
    aside = [
        (name, Job(kind, alpha, seed, **setting))
        for name, setting in OTHERS.items()
        for kind in (None, Kind.FREE_NOISE)
        for alpha in ((0.0,) if name == ONE_DIGIT else ALPHAS)
        for seed in range(options.seeds // 2)
    ]
    with Pool(options.processes) as pool:
        done = pool.map(run, [*jobs, *(job for _, job in aside)], chunksize=2)
    results, others = (
        done[: len(jobs)],
        [(name, each) for (name, _), each in zip(aside, done[len(jobs) :], strict=True)],
    )
    command = f"python benchmarks/contribution/measure.py --seeds {options.seeds}"
    options.output.write_text(page(results, others, options.seeds, command), encoding="utf-8")
    print(f"{len(done)} trainings in {time.monotonic() - began:.0f} s: {options.output}")


if __name__ == "__main__":
    main()
