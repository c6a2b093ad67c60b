"""The page of what differential privacy costs and saves, as Markdown, and its plots."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Final

import numpy as np

from shieldwall.contract.privacy import PrivacyMode
from shieldwall.lab.policies import DELTA
from shieldwall.lab.privacy.attack import EACH, SHADOWS, VICTIMS
from shieldwall.lab.privacy.intervals import bootstrapped
from shieldwall.lab.privacy.utility import CLIENTS, EPSILONS, ROUNDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.figure import Figure

    from shieldwall.lab.privacy.utility import Utility

AIM: Final = 65.0
"""Percent of record-level accuracy on digits with 10 clients and ε = 1."""
_COLOURS: Final = ("#1d4ed8", "#c2410c", "#15803d")
_HEADS: Final = {
    "membership": ("privacy", "whose", "area", "most allowed", "told at 1 %", "most allowed"),
    "inversion": ("privacy", "images", "correlation", "SSIM", "PSNR, dB", "told from 99 others"),
    "audit": ("privacy", "runs", "ε accounted", "ε proved", "ε proved, noise off"),
}


@dataclass(frozen=True)
class Attacked:
    """One attack's lines of a table."""

    key: str
    attack: str
    rows: list[list[str]]
    held: bool
    seconds: float


class Accuracies:
    """By mode, ε and number of clients, over seeds."""

    def __init__(self, results: Iterable[Utility]) -> None:
        self._by: dict[tuple[PrivacyMode | None, float, int], list[float]] = defaultdict(list)
        for one in results:
            self._by[one.mode, one.epsilon, one.clients].append(100 * one.accuracy)

    def of(self, mode: PrivacyMode | None, epsilon: float, clients: int) -> list[float]:
        """In percent; ε = ∞ is no privacy at all."""
        return self._by[None if math.isinf(epsilon) else mode, epsilon, clients]

    def text(self, mode: PrivacyMode, epsilon: float, clients: int) -> str:
        """Mean and standard deviation."""
        values = self.of(mode, epsilon, clients)
        return f"{fmean(values):.1f} ± {stdev(values):.1f}" if len(values) > 1 else f"{values[0]:.1f}"


def utility_plots(results: Sequence[Utility]) -> dict[str, Figure]:
    """Accuracy over ε, a line for each cohort, one panel a mode."""
    from matplotlib.figure import Figure  # takes a second to import

    accuracies, places = Accuracies(results), (*EPSILONS, math.inf)
    figure = Figure(figsize=(8.4, 3.6), layout="constrained")
    modes = (PrivacyMode.RECORD_LEVEL, PrivacyMode.CLIENT_LEVEL_CENTRAL)
    for axes, mode in zip(figure.subplots(1, 2, sharey=True), modes, strict=True):
        for clients, colour in zip(CLIENTS, _COLOURS, strict=True):
            values = [accuracies.of(mode, epsilon, clients) for epsilon in places]
            means = [fmean(each) for each in values]
            spread = [stdev(each) if len(each) > 1 else 0.0 for each in values]
            axes.errorbar(range(len(places)), means, spread, color=colour, marker="o", capsize=3, label=str(clients))
        axes.axhline(10, color="#9a9a9a", linestyle=":")
        axes.set(title=mode.value, xlabel="ε", xticks=range(len(places)), ylim=(0, 100))
        axes.set_xticklabels([_epsilon(each) for each in places])
    figure.axes[0].set_ylabel("accuracy, percent")
    figure.axes[1].legend(title="clients", fontsize=8)
    return {"utility.png": figure}


def page(
    results: Sequence[Utility], claimed: Sequence[Utility], attacks: Sequence[Attacked], command: str, pictures: str
) -> str:
    """All of it; ``claimed`` are the trainings that the claim is about, over more seeds."""
    accuracies, seeds = Accuracies(results), len({one.seed for one in results})
    blocks = [
        _TOP.format(command=command),
        _COSTS.format(seeds=seeds, rounds=ROUNDS, delta=f"{DELTA:g}", pictures=pictures),
        _costs(accuracies),
        _claim(claimed, accuracies),
        _spent({one.cell: one for one in (*results, *claimed)}.values()),
        _INVERSION.format(victims=VICTIMS, batches=VICTIMS // 2, pictures=pictures),
        _table("inversion", _attacked("inversion", attacks)),
        _MEMBERSHIP.format(shadows=SHADOWS, each=EACH, pictures=pictures),
        _table("membership", _attacked("membership", attacks)),
        _AUDIT.format(pictures=pictures),
        _table("audit", _audits(attacks)),
        _held(attacks),
        _LIMITS,
    ]
    return "\n\n".join(blocks) + "\n"


def _costs(accuracies: Accuracies) -> str:
    lines = [
        "| mode | clients | " + " | ".join(f"ε = {_epsilon(each)}" for each in (*EPSILONS, math.inf)) + " |",
        "|---|--:|" + "--:|" * (len(EPSILONS) + 1),
    ]
    for mode in (PrivacyMode.RECORD_LEVEL, PrivacyMode.CLIENT_LEVEL_CENTRAL):
        for clients in CLIENTS:
            values = [accuracies.text(mode, epsilon, clients) for epsilon in (*EPSILONS, math.inf)]
            lines.append(f"| {mode} | {clients} | {' | '.join(values)} |")
    return "\n".join(lines)


def _claim(claimed: Sequence[Utility], accuracies: Accuracies) -> str:
    values = [100 * one.accuracy for one in claimed]
    mean = bootstrapped(values, fmean, np.random.default_rng(0))
    below = sum(value < AIM for value in values)
    client = fmean(accuracies.of(PrivacyMode.CLIENT_LEVEL_CENTRAL, 1.0, CLIENTS[0]))
    verdict = "**It holds**" if mean.low >= AIM else "**It does not hold**"
    found = f"{mean.value:.1f} % ({mean.low:.1f}–{mean.high:.1f}, 95 %) over {len(values)} trainings"
    return _CLAIM.format(aim=AIM, verdict=verdict, found=found, below=below, client=client)


def _spent(results: Iterable[Utility]) -> str:
    private = [one for one in results if one.mode is not None]
    over = sum(one.spent > one.epsilon for one in private)
    many = f"**{over}**" if over else "none"
    return f"By the trainings' own ledgers {many} of {len(private)} private trainings spent more than its ε."


def _attacked(attack: str, attacks: Sequence[Attacked]) -> list[list[str]]:
    """Rows of all cases; what is the same without privacy stands there once."""
    rows: dict[tuple[str, str], list[str]] = {}
    for one in attacks:
        for row in one.rows if one.attack == attack else []:
            rows.setdefault((row[0], row[1]), row)
    return sorted(rows.values(), key=lambda row: row[1])


def _audits(attacks: Sequence[Attacked]) -> list[list[str]]:
    """One row a case: between what the bounds of its runs lie."""
    rows = []
    for one in attacks:
        if one.attack == "audit":
            _, _, accounted, proved, _, off = zip(*one.rows, strict=True)
            cells = [f"{min(each)}–{max(each)}" if len(set(each)) > 1 else each[0] for each in (proved, off)]
            rows.append([one.rows[0][0], str(len(one.rows)), accounted[0], *cells])
    return rows


def _table(attack: str, rows: Sequence[Sequence[str]]) -> str:
    lines = [_HEADS[attack], ["---", *["--:"] * (len(_HEADS[attack]) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _held(attacks: Sequence[Attacked]) -> str:
    broken = [one.key for one in attacks if not one.held]
    if broken:
        return f"**Not as promised: {', '.join(broken)}.**"
    return (
        "No attack showed more than was promised: in no audit was the ε proved above the ε accounted, in every one it"
        " was with the noise switched off, and no membership attack was above what its (ε, δ) allows."
    )


def _epsilon(value: float) -> str:
    return "∞" if math.isinf(value) else f"{value:g}"


_TOP: Final = """# Privacy, measured

Generated; do not edit. Made by

```console
$ {command}
```

Clients answer by the code that runs in trainers (`runtime/privacy/client.py`), rounds are the aggregator's, and noise
is calibrated as the operator does it. Adjacency is replace-one throughout, which needs twice the noise of the
add-or-remove that many papers count by. Any training can be attacked in the same way:

```console
$ shieldwall simulate training.yaml --privacy-attack inversion --output attacked
```"""

_COSTS: Final = """## What it costs

Accuracy in percent on held-out images of scikit-learn's digits, mean and standard deviation over {seeds} seeds; 1,438
images are shared out evenly, so that more clients have fewer each: 143, 14 and 4. δ = {delta}, {rounds} rounds,
ClippedMean. ε = ∞ is plain training. Clients train a linear classifier on fixed features of strokes
(`lab/privacy/features.py`), which were made without the data; records' gradients are clipped to 0.3, clients' updates
to 1. Features, clips and step lengths were chosen by hand on these very images, and no ε covers that.

![Accuracy over ε]({pictures}/utility.png)"""

_CLAIM: Final = """The claim: with 10 clients and ε = 1 record-level privacy leaves {aim:.0f} % or more.
{verdict} in the mean: {found}. One training may well end below it, as {below} of these did:
nobody can choose the noise. Client-level privacy of the same ε leaves {client:.1f} %, where chance is 10 %: with ten
clients it hides a tenth of all that there is to learn from."""

_INVERSION: Final = """## Gradient inversion

The attacker sees what a client sends in one round of one step on a network with 32 hidden units: by a closed form
where it trained on one record ({victims} clients a seed), by L-BFGS from a random start where it trained on a batch of
4 ({batches} clients a seed). Noise alone is what comes out when nothing went in; a batch has four chances to be told.

![One record: original, without privacy, with]({pictures}/inversion-1.png)

![A batch of four]({pictures}/inversion-4.png)"""

_MEMBERSHIP: Final = """## Membership inference

{shadows} models a seed on random halves of a pool, each the victim once and a shadow otherwise (LiRA); clients have
{each} records each, and without privacy they learn them by heart. The area is 0.5 for a coin. *Most allowed* is the
most that any attack can reach against the ε of these rounds; a dash where the mode promises nothing: RecordLevel says
nothing about whole clients.

![Receiver operating characteristics]({pictures}/membership.png)"""

_AUDIT: Final = """## Audits of ε

Canaries, of which each is one of two that lie as far apart as any, are told by what is released of them; from how many
are told rightly follows a lower bound on ε, at 95 % confidence (Steinke 2023). It has to stay below what is accounted,
and to pass it when the noise is switched off and nobody told: an audit that cannot fail shows nothing. So none is made
where δ lets no number of canaries refute ε, from about 6 on at δ = 1e-5. What is accounted is what the rounds cost that
were run; a local mode's noise is calibrated for two rounds more, which may have to be repeated.

![Audits by seed]({pictures}/audit.png)"""

_LIMITS: Final = """## What this shows and what it does not

- An attack that fails proves nothing about better ones; (ε, δ) does, and an attack or audit above it would prove a
  mistake in the code. What one run proves is a third to a half of what is accounted: that is how close it comes.
- Attackers here know much: the model, the procedure, other clients' data, every round. Without privacy, nobody needs
  that much: one gradient of one record gives the image back exactly.
- Inversion is shown at its worst for the client: one step, one record or four. More records and more steps hide
  images by themselves, and promise nothing.
- Under ClientLevelCentral the attacker sees releases. The aggregator itself sees raw updates, and inverts them as
  without privacy: that mode trusts it. RecordLevel and ClientLevelLocal do not.
- RecordLevel hides records. That a hospital takes part, and what all its records have in common, is not hidden.
- Nothing here is about queries to a model, about metrics that an app publishes itself, or about apps that train
  beside `dp_sgd`."""
