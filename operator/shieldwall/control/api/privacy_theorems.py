"""Rules about privacy: what a mode needs, and what would make its ε false (``shieldwall.accounting``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.accounting.adaptive import COHORT
from shieldwall.accounting.sensitivity import MIXED, TABLE, UNKNOWN_IN_BUCKETS
from shieldwall.contract.policy import PreAggregation, Rule
from shieldwall.control.api.crossrule import CrossRule
from shieldwall.control.api.privacy import MODE, MODE_TO_BE_SAID, Privacy, PrivacyMode
from shieldwall.control.api.terms import ASKED, CLIENTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from shieldwall.control.api.spec import FederatedTrainingSpec as Spec

_PRIVACY: Final = frozenset({"privacy"})
_SAYS: Final = (
    "epsilon", "delta", "clip", "noiseMultiplier", "records", "batchSize", "steps", "adaptiveClipping", "acknowledge",
)  # fmt: skip
"""What mode: None leaves no room for; of budgetRef its own rule tells."""
_BATCHES: Final = ("records", "batchSize", "steps")
_NONE_ALONE: Final = Privacy(mode=PrivacyMode.NONE)
_SOUND: Final = "Under ClientLevelCentral the noise has to cover what one client can change:"


def _has(*fields: str, between: str = " || ") -> str:
    return between.join(f"has(self.privacy.{field})" for field in fields)


def _central(spec: Spec) -> bool:
    return spec.privacy_mode is PrivacyMode.CLIENT_LEVEL_CENTRAL


def _client_level(spec: Spec) -> bool:
    return spec.privacy_mode in {PrivacyMode.CLIENT_LEVEL_CENTRAL, PrivacyMode.CLIENT_LEVEL_LOCAL}


def _batches(privacy: Privacy) -> tuple[int | None, ...]:
    return privacy.records, privacy.batch_size, privacy.steps


def _says_nothing_else(privacy: Privacy) -> bool:
    return privacy.model_copy(update={"budget_ref": None}) == _NONE_ALONE


def _about(field: str, cel: str, holds: Callable[[Spec, Privacy], bool], sentence: str, *reads: str) -> CrossRule:
    """A rule that asks nothing where privacy is not spoken of; ``cel`` and ``holds`` are the condition where it is."""
    return CrossRule(
        f"privacy.{field}" if field else "privacy",
        f"!has(self.privacy) || {cel}",
        lambda spec: spec.privacy is None or holds(spec, spec.privacy),
        sentence,
        _PRIVACY | set(reads),
    )


def _needed(field: str, given: Callable[[Privacy], bool], cel: str, sentence: str) -> CrossRule:
    """What every mode but None needs."""
    return _about(
        field,
        f"{MODE} == 'None' || {cel}",
        lambda spec, privacy: spec.privacy_mode is PrivacyMode.NONE or given(privacy),
        sentence,
    )


def _only(
    field: str, modes: tuple[PrivacyMode, ...], cel: str, given: Callable[[Privacy], bool], said: str
) -> CrossRule:
    """What is spoken of under ``modes`` only; under None nothing is, which another rule says."""
    allowed = (PrivacyMode.NONE, *modes)
    return _about(
        field,
        f"{MODE} in {[mode.value for mode in allowed]} || !({cel})",
        lambda spec, privacy: spec.privacy_mode in allowed or not given(privacy),
        said,
    )


def _with_central(
    field: str, cel: str, holds: Callable[[Spec, Privacy], bool], sentence: str, *reads: str
) -> CrossRule:
    """What ClientLevelCentral asks of another section; ``cel`` and ``holds`` are the condition there."""
    return CrossRule(
        field,
        f"{MODE} != 'ClientLevelCentral' || {cel}",
        lambda spec: not _central(spec) or spec.privacy is None or holds(spec, spec.privacy),
        sentence,
        _PRIVACY | set(reads),
    )


def _refused(reason: str) -> CrossRule:
    """The rules of aggregation that the table of sensitivities refuses for ``reason``."""
    rules = [rule for rule, entry in TABLE.items() if entry.refused == reason]
    return _with_central(
        "aggregation.rule",
        f"!(self.aggregation.rule in {[rule.value for rule in rules]})",
        lambda spec, _: spec.aggregation.rule not in rules,
        f"{_SOUND} {{rule}} {reason}.",
        "aggregation",
    )


def _refused_before(before: PreAggregation, but: Rule | None, reason: str) -> CrossRule:
    """What goes before a rule is refused, except before ``but``."""
    excepted = f" || self.aggregation.rule == '{but}'" if but is not None else ""
    return _with_central(
        "aggregation.preAggregation",
        f"!has(self.aggregation.preAggregation) || self.aggregation.preAggregation != '{before}'{excepted}",
        lambda spec, _: spec.aggregation.before is not before or spec.aggregation.rule is but,
        f"{_SOUND} {reason}.",
        "aggregation",
    )


def _below_count_noise(_: Spec, privacy: Privacy) -> bool:
    adaptive, noise = privacy.adaptive_clipping, privacy.noise_multiplier
    return adaptive is None or noise is None or noise < adaptive.count_noise


def _count_within_cohort(spec: Spec, privacy: Privacy) -> bool:
    adaptive = privacy.adaptive_clipping
    return adaptive is None or adaptive.count_noise * COHORT <= spec.asked


def _tells_one_record(spec: Spec, privacy: Privacy) -> bool:
    if privacy.delta is None or privacy.records is None:
        return True
    return privacy.delta * privacy.records * len(spec.clients) < 1


def _batch_fits(_: Spec, privacy: Privacy) -> bool:
    return privacy.records is None or privacy.batch_size is None or privacy.batch_size <= privacy.records


PRIVACY: Final = (
    _about(
        "mode",
        f"has(self.privacy.mode) || {CLIENTS} < {MODE_TO_BE_SAID}",
        lambda spec, privacy: privacy.mode is not None or len(spec.clients) < MODE_TO_BE_SAID,
        "With {clients} clients say which mode: ClientLevelCentral hides all that a client has, RecordLevel one of its"
        " records.",
        "clients.count",
    ),
    _about(
        "mode",
        f"{MODE} != 'None' || !({_has(*_SAYS)} || self.privacy.amplification)",
        lambda spec, privacy: spec.privacy_mode is not PrivacyMode.NONE or _says_nothing_else(privacy),
        "With mode: None no noise is added, and nothing else of privacy counts. Leave the rest out, or choose a mode.",
    ),
    _needed(
        "epsilon",
        lambda privacy: privacy.epsilon is not None or privacy.noise_multiplier is not None,
        f"{_has('epsilon', 'noiseMultiplier')}",
        "Give epsilon, from which the noise follows, such as 1.0, or noiseMultiplier, from which epsilon follows.",
    ),
    _needed(
        "delta",
        lambda privacy: privacy.delta is not None,
        "has(self.privacy.delta)",
        "Give delta, the probability with which epsilon may be exceeded, such as 0.00001.",
    ),
    _needed(
        "clip",
        lambda privacy: privacy.clip is not None,
        "has(self.privacy.clip)",
        "Give clip, the norm that bounds what one client or record can change, such as 1.0.",
    ),
    _about(
        "delta",
        f"!({MODE} in ['ClientLevelLocal', 'ClientLevelCentral']) || !has(self.privacy.delta)"
        f" || self.privacy.delta * double({CLIENTS}) < 1.0",
        lambda spec, privacy: not _client_level(spec) or privacy.delta is None or privacy.delta * len(spec.clients) < 1,
        "A mechanism that gives one client in {clients} away has delta = 1/{clients}. Use a delta far below it.",
        "clients.count",
    ),
    _about(
        "delta",
        "!has(self.privacy.delta) || !has(self.privacy.records)"
        f" || self.privacy.delta * double(self.privacy.records) * double({CLIENTS}) < 1.0",
        _tells_one_record,
        "A mechanism that gives one record in {all_records} away has delta = 1/{all_records}. Use a delta far below"
        " it.",
        "clients.count",
    ),
    _about(
        "",
        f"{MODE} != 'RecordLevel' || ({_has(*_BATCHES, between=' && ')})",
        lambda spec, privacy: spec.privacy_mode is not PrivacyMode.RECORD_LEVEL or None not in _batches(privacy),
        "RecordLevel counts the batches of DP-SGD. Give records, the fewest that any client has, batchSize, and steps,"
        " the most that a client makes in a round.",
    ),
    _only(
        "",
        (PrivacyMode.RECORD_LEVEL,),
        _has(*_BATCHES),
        lambda privacy: set(_batches(privacy)) != {None},
        "Only RecordLevel draws batches of records; the mode is {mode}. Leave records, batchSize and steps out.",
    ),
    _about(
        "batchSize",
        f"!({_has('records', 'batchSize', between=' && ')}) || self.privacy.batchSize <= self.privacy.records",
        _batch_fits,
        "A batch cannot be drawn from fewer records than it has. Use batchSize <= {records}.",
    ),
    *(_refused(reason) for reason in dict.fromkeys(entry.refused for entry in TABLE.values() if entry.refused)),
    _refused_before(PreAggregation.NEAREST_NEIGHBOR_MIXING, None, f"NearestNeighborMixing {MIXED.refused}"),
    _refused_before(PreAggregation.BUCKETING, Rule.FED_TRIMMED_AVG, f"{{rule}} {UNKNOWN_IN_BUCKETS.refused}"),
    _with_central(
        "aggregation.maxNorm",
        "!has(self.aggregation.maxNorm) || !has(self.privacy.clip) || self.aggregation.maxNorm == self.privacy.clip",
        lambda spec, privacy: spec.aggregation.max_norm is None or privacy.clip in {None, spec.aggregation.max_norm},
        "Under ClientLevelCentral updates are clipped to privacy.clip, by which the noise is calibrated. Leave maxNorm"
        " out.",
        "aggregation",
    ),
    _with_central(
        "privacy.clip",
        "!has(self.privacy.clip) || self.privacy.clip <= self.aggregation.rejectNorm",
        lambda spec, privacy: privacy.clip is None or privacy.clip <= spec.aggregation.reject_norm,
        "Replies above aggregation.rejectNorm are refused, so a larger clip never clips. Use clip <= rejectNorm.",
        "aggregation",
    ),
    _with_central(
        "privacy.mode",
        "!has(self.app.serverApp)",
        lambda spec, _: spec.app.server_app is None,
        "Under ClientLevelCentral nothing but the noisy aggregate may decide what is released, and the app's own"
        " serverApp is handed each client's metrics, to which no noise is added. Give model instead of serverApp, or"
        " use RecordLevel or ClientLevelLocal.",
        "app",
    ),
    _only(
        "amplification",
        (PrivacyMode.CLIENT_LEVEL_CENTRAL,),
        "self.privacy.amplification",
        lambda privacy: privacy.amplification,
        "Only ClientLevelCentral can keep secret who takes part: under {mode} the server, from which data are to be"
        " hidden, asks the clients itself. Leave amplification out.",
    ),
    _with_central(
        "privacy.amplification",
        "!self.privacy.amplification || self.rounds.fractionTrain < 1.0",
        lambda spec, privacy: not privacy.amplification or spec.rounds.fraction_train < 1,
        "Where every client takes part there is nothing to keep secret. Leave amplification out, or use a"
        " rounds.fractionTrain below 1.",
        "rounds",
    ),
    _only(
        "adaptiveClipping",
        (PrivacyMode.CLIENT_LEVEL_CENTRAL,),
        "has(self.privacy.adaptiveClipping)",
        lambda privacy: privacy.adaptive_clipping is not None,
        "Only ClientLevelCentral sees the norms that a clip could follow; the mode is {mode}. Leave adaptiveClipping"
        " out.",
    ),
    _about(
        "adaptiveClipping.countNoise",
        "!has(self.privacy.adaptiveClipping) || !has(self.privacy.noiseMultiplier)"
        " || self.privacy.noiseMultiplier < self.privacy.adaptiveClipping.countNoise",
        _below_count_noise,
        "The count of updates within the clip is released too, and with countNoise at or below noiseMultiplier it alone"
        " spends all there is (Andrew 2019, Theorem 1). Leave adaptiveClipping out, or use a countNoise above"
        " noiseMultiplier and, with {asked} clients a round, of at most {asked}/10.",
        "clients.count",
        "rounds",
    ),
    _about(
        "adaptiveClipping.countNoise",
        f"!has(self.privacy.adaptiveClipping) || self.privacy.adaptiveClipping.countNoise * {COHORT}.0"
        f" <= double({ASKED})",
        _count_within_cohort,
        "Unless countNoise is at most a tenth of the clients of a round, the clip follows noise instead of norms"
        " (Andrew 2019). {asked} clients a round allow {asked}/10. Leave adaptiveClipping out, or use more clients.",
        "clients.count",
        "rounds",
    ),
)
