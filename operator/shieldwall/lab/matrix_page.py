"""The matrix as a page of Markdown."""

from __future__ import annotations

import inspect
import math
import re
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Final

from shieldwall.contract.policy import PreAggregation, Rule
from shieldwall.lab.attacks import PLANS, Goal, LabAttack
from shieldwall.lab.matrix import ALPHAS, CLIENTS, LIARS, ROUNDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shieldwall.lab.matrix import Defence, Result

HELD: Final = 3.0
"""Points of accuracy that an untargeted attack may cost the default."""
_PAPER: Final = re.compile(r"arXiv:\d{4}\.\d{5}|NDSS \d{4}")
_DEFAULTS: Final = (f"NearestNeighborMixing + {Rule.FED_TRIMMED_AVG}", Rule.FED_TRIMMED_AVG.value)
"""The default rule: the first of these that was measured."""
_CLAIMED: Final = ALPHAS[:2]


@dataclass(frozen=True, slots=True)
class Facts:
    """About the measurement itself."""

    command: str
    seeds: int
    seconds: float
    peak_mebibytes: float
    refused: Sequence[str]
    """Defences that no f fits."""


class Table:
    """Mean accuracies and attack successes over seeds, in percent."""

    def __init__(self, results: Sequence[Result], task: str, alpha: float) -> None:
        grouped: dict[tuple[str | None, str], list[Result]] = {}
        for result in results:
            if (result.task, result.alpha) == (task, alpha):
                grouped.setdefault((result.attack, result.defence), []).append(result)
        self._found = grouped

    def __bool__(self) -> bool:
        return bool(self._found)

    def accuracy(self, attack: str | None, defence: str) -> float:
        """A training that did not finish counts as nothing learnt."""
        return 100 * fmean(result.accuracy or 0.0 for result in self._found[attack, defence])

    def success(self, attack: str | None, defence: str) -> float:
        """How much of what carries the trigger is taken for the target."""
        return 100 * fmean(result.success or 0.0 for result in self._found[attack, defence])

    def lost(self, attack: str, defence: str) -> float:
        """Points that the attack costs."""
        return self.accuracy(None, defence) - self.accuracy(attack, defence)

    def attacks(self, goal: Goal) -> list[LabAttack]:
        """Of this goal, in their order."""
        there = {attack for attack, _ in self._found}
        return [kind for kind in LabAttack if kind in there and PLANS[kind].goal is goal]

    def worst(self, defence: str) -> LabAttack:
        """The untargeted attack that costs most."""
        return max(self.attacks(Goal.UNTARGETED), key=lambda attack: self.lost(attack, defence))


def page(
    results: Sequence[Result],
    defences: Sequence[Defence],
    fates: Mapping[LabAttack, Mapping[str, int]],
    facts: Facts,
) -> str:
    """The whole page."""
    names = [defence.name for defence in defences]
    tasks = list(dict.fromkeys(result.task for result in results))
    tables = {(task, alpha): Table(results, task, alpha) for task in tasks for alpha in ALPHAS}
    tables = {place: table for place, table in tables.items() if table}
    parts = [_head(facts, defences), _default(tables, names), _summaries(tables, names)]
    parts += [_matrix(table, defences, task, alpha) for (task, alpha), table in tables.items()]
    parts += [_protocol(fates), _attacks()]
    return "\n\n".join(parts) + "\n"


def _head(facts: Facts, defences: Sequence[Defence]) -> str:
    f = ", ".join(f"{each.name} {each.policy.byzantine}" for each in defences if 0 < each.policy.byzantine < LIARS)
    less = f" Where the theorem holds at n = {CLIENTS} for a smaller f only, that f was used: {f}." if f else ""
    none = f" No f ≥ 1 fits {', '.join(facts.refused)}." if facts.refused else ""
    measured = {each.policy.pre_aggregation for each in defences}
    absent = [before.value for before in PreAggregation if before not in measured]
    missing = f" Not measured here: {', '.join(absent)}." if absent else ""
    return f"""# Attacks and rules

Generated; do not edit. Made by

```console
$ {facts.command}
```

{LIARS} of {CLIENTS} clients attack, all with one attack, knowing every honest update of the round and the rule.
{ROUNDS} rounds by the pods' own round code (`shieldwall.lab` puts a Grid in one process around it), a network of one
hidden layer; means over {facts.seeds} seeds, in percent. Data are shared out by a Dirichlet distribution: α = ∞ is an
even mix, 0.1 leaves a client two or three classes.{less}{none}

The rule is measured alone: validation and contribution are off, so no update is refused as an outlier and no free-rider
is banned. What a training does by default, with both, `shieldwall simulate` shows.{missing}

The trials took {facts.seconds / 60:.0f} minutes in all, and {facts.peak_mebibytes:.0f} MiB at most."""


def _default(tables: Mapping[tuple[str, float], Table], names: Sequence[str]) -> str:
    default = next((name for name in _DEFAULTS if name in names), names[0])
    broken = [
        f"| {task} | {_skew(alpha)} | {attack} | {table.accuracy(None, default):.1f} "
        f"| {table.accuracy(attack, default):.1f} | {table.lost(attack, default):.1f} "
        f"| {', '.join(_holding(table, attack, default, names)) or 'none'} |"
        for (task, alpha), table in tables.items()
        if alpha in _CLAIMED
        for attack in table.attacks(Goal.UNTARGETED)
        if table.lost(attack, default) > HELD
    ]
    claim = f"The claim: no untargeted attack costs {default}, the default, more than {HELD:g} points at α = ∞ and 0.5."
    if not broken:
        return f"## The default\n\n{claim} **It holds.**"
    head = ["| task | α | attack | no attack | attacked | points lost | held by |", "|---|---|---|--:|--:|--:|---|"]
    rows = "\n".join([*head, *broken])
    return f"""## The default

{claim} **It does not hold for these:**

{rows}

Where another rule held the attack within {HELD:g} points, and left a better model than the default, the loss is the
default's own. Where none did, this is what theory says: where clients' data differ, honest updates differ too, and a
lie within their spread cannot be told from a client with other data. Every rule, whatever it does, is off by at least
a constant times f/n·ζ², ζ² being the variance between honest clients (Karimireddy 2022, arXiv:2006.09365, Theorem III;
Allouah 2023, arXiv:2302.01772, Proposition 1), and f/n is {LIARS / CLIENTS:g} here. At α = ∞ ζ² is only what different
samples of one mix leave, which outweighs the mean update late in training; at 0.5 it does so from the start. So no rule
can promise {HELD:g} points against lies that are tried on the rule itself (`ipm-adaptive`, `alie-adaptive`). They need
every honest update before they lie, which nobody outside a laboratory has."""


def _holding(table: Table, attack: LabAttack, default: str, names: Sequence[str]) -> list[str]:
    """Robust rules that this attack costs little, and whose attacked model is better than the default's."""
    floor, robust = table.accuracy(attack, default), [name for name in names if name != Rule.FED_AVG]
    return [name for name in robust if table.lost(attack, name) <= HELD and table.accuracy(attack, name) > floor]


def _summaries(tables: Mapping[tuple[str, float], Table], names: Sequence[str]) -> str:
    return "## What each rule costs and saves\n\n" + "\n\n".join(
        _summary(table, names, task, alpha) for (task, alpha), table in tables.items()
    )


def _summary(table: Table, names: Sequence[str], task: str, alpha: float) -> str:
    head = [
        f"### {task}, α = {_skew(alpha)}",
        "",
        "| rule | no attack | cost of the rule | worst untargeted | points lost | worst free-rider | backdoor |",
        "|---|--:|--:|---|--:|--:|--:|",
    ]
    return "\n".join([*head, *(_summary_row(table, name) for name in names)])


def _summary_row(table: Table, name: str) -> str:
    calm, worst = table.accuracy(None, name), table.worst(name)
    free = min((table.accuracy(attack, name) for attack in table.attacks(Goal.FREE)), default=math.nan)
    backdoor = max((table.success(attack, name) for attack in table.attacks(Goal.TARGETED)), default=math.nan)
    return (
        f"| {name} | {calm:.1f} | {table.accuracy(None, Rule.FED_AVG.value) - calm:.1f} "
        f"| {worst}: {table.accuracy(worst, name):.1f} | {table.lost(worst, name):.1f} | {free:.1f} | {backdoor:.1f} |"
    )


def _matrix(table: Table, defences: Sequence[Defence], task: str, alpha: float) -> str:
    blocks = [f"## Every attack: {task}, α = {_skew(alpha)}"]
    for before in dict.fromkeys(defence.before for defence in defences):
        group = [defence for defence in defences if defence.before == before]
        title = f"Accuracy, {'rules alone' if before is None else f'{before} before the rule'}"
        lines = [
            f"| {title} | {' | '.join(defence.policy.rule for defence in group)} |",
            "|---|" + "--:|" * len(group),
            _line("no attack", [table.accuracy(None, each.name) for each in group]),
        ]
        lines += [
            _line(attack, [table.accuracy(attack, each.name) for each in group])
            for goal in Goal
            for attack in table.attacks(goal)
        ]
        lines += [
            _line(f"*success of {attack}*", [table.success(attack, each.name) for each in group])
            for attack in table.attacks(Goal.TARGETED)
        ]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _line(name: str, values: Sequence[float]) -> str:
    return f"| {name} | {' | '.join(f'{value:.1f}' for value in values)} |"


def _protocol(fates: Mapping[LabAttack, Mapping[str, int]]) -> str:
    lines = ["| attack | what it sends | what became of the attackers' replies |", "|---|---|---|"]
    for kind, counts in fates.items():
        became = ", ".join(f"{count} {fate}" for fate, count in sorted(counts.items()))
        lines.append(f"| {kind} | {PLANS[kind].what} | {became} |")
    return (
        "## Attacks on the protocol\n\nThese meet no rule: admission and signatures judge each reply alone."
        " Three rounds, three attackers, real signatures.\n\n" + "\n".join(lines)
    )


def _attacks() -> str:
    lines = ["| attack | goal | what attackers send | papers |", "|---|---|---|---|"]
    for kind, plan in PLANS.items():
        if plan.goal is not Goal.PROTOCOL:
            papers = dict.fromkeys(_PAPER.findall(inspect.getdoc(plan.craft) or ""))
            lines.append(f"| {kind} | {plan.goal} | {plan.what} | {', '.join(papers)} |")
    return "## The attacks\n\n" + "\n".join(lines)


def _skew(alpha: float) -> str:
    return "∞" if math.isinf(alpha) else f"{alpha:g}"
