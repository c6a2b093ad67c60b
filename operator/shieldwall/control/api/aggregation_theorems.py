"""A rule of aggregation is refused outside its theorem (``shieldwall.contract.theorem``), and never bends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.contract.policy import PreAggregation, Rule
from shieldwall.contract.theorem import THEOREMS
from shieldwall.control.api.crossrule import CrossRule
from shieldwall.control.api.privacy import MODE, PrivacyMode
from shieldwall.control.api.terms import BUCKETED, BYZANTINE, GIVEN, IN_BUCKETS, REPLIES, given, replies

if TYPE_CHECKING:
    from shieldwall.control.api.spec import FederatedTrainingSpec as Spec

_AGGREGATION: Final = frozenset({"aggregation"})
_CLIPPING: Final = frozenset({"aggregation", "privacy"})
_REPLIES: Final = frozenset({"aggregation", "rounds", "clients.count"})


def _bucketed(spec: Spec) -> bool:
    return spec.aggregation.before is PreAggregation.BUCKETING


def _enough(spec: Spec) -> bool:
    return replies(spec) >= spec.aggregation.replies_needed


def _select_fits(spec: Spec) -> bool:
    aggregation = spec.aggregation
    if aggregation.rule is not Rule.MULTI_KRUM or aggregation.select is None or not _enough(spec):
        return True  # outside Krum's theorem its own sentence is enough
    return aggregation.select <= given(spec) - aggregation.tolerated


def _clips(spec: Spec) -> bool:
    """Whether a norm to clip to is given; under ClientLevelCentral it is privacy.clip."""
    return spec.aggregation.max_norm is not None or spec.privacy_mode is PrivacyMode.CLIENT_LEVEL_CENTRAL


def _clip_below_reject(spec: Spec) -> bool:
    return spec.aggregation.max_norm is None or spec.aggregation.max_norm <= spec.aggregation.reject_norm


def _theorem(word: str, *rules: Rule) -> CrossRule:
    """What ``rules`` need of as many updates as there are replies; ``word`` is that of their terms."""
    theorem = THEOREMS[rules[0]]
    return CrossRule(
        "aggregation.byzantine",
        f"!(self.aggregation.rule in {[rule.value for rule in rules]}) || {BUCKETED}"
        f" || {REPLIES} >= {theorem.factor} * {BYZANTINE} + {theorem.offset}",
        lambda spec: spec.aggregation.rule not in rules or _bucketed(spec) or _enough(spec),
        f"{{rule}} tolerates f Byzantine clients only if {theorem.condition} ({theorem.paper})."
        f" f = {{f}} needs {{{word}_needs}} replies; {{have}}. Use {{{word}_fewer}}{{{word}_more}}.",
        _REPLIES,
    )


AGGREGATION: Final = (
    _theorem("krum", Rule.KRUM, Rule.MULTI_KRUM),
    _theorem("half", Rule.FED_MEDIAN, Rule.FED_TRIMMED_AVG),
    _theorem("half", Rule.GEOMETRIC_MEDIAN),
    _theorem("half", Rule.CLIPPED_MEAN),
    _theorem("bulyan", Rule.BULYAN),
    _theorem("tenth", Rule.CENTERED_CLIPPING),
    CrossRule(
        "aggregation.byzantine",
        f"!{BUCKETED} || self.aggregation.rule == 'FedAvg' || {REPLIES} >= {IN_BUCKETS}",
        lambda spec: not _bucketed(spec) or spec.aggregation.rule is Rule.FED_AVG or _enough(spec),
        "{rule} is given a bucket for every {size} replies, and f of these may be lies (Karimireddy 2022)."
        " f = {f} needs {bucket_needs} replies; {have}. Use {bucket_fewer}{bucket_more}.",
        _REPLIES,
    ),
    CrossRule(
        "aggregation.preAggregation",
        "!has(self.aggregation.preAggregation) || self.aggregation.preAggregation == 'None'"
        " || self.aggregation.rule != 'FedAvg'",
        lambda spec: spec.aggregation.before is None or spec.aggregation.rule is not Rule.FED_AVG,
        "FedAvg weighs clients by their examples, and {pre} leaves none to weigh by. Leave preAggregation out, or use"
        " a robust rule.",
        _AGGREGATION,
    ),
    CrossRule(
        "aggregation.bucketSize",
        f"!has(self.aggregation.bucketSize) || {BUCKETED}",
        lambda spec: spec.aggregation.bucket_size is None or _bucketed(spec),
        "Only Bucketing fills buckets. Leave bucketSize out, or use preAggregation: Bucketing.",
        _AGGREGATION,
    ),
    CrossRule(
        "aggregation.select",
        "!has(self.aggregation.select) || self.aggregation.rule == 'MultiKrum'",
        lambda spec: spec.aggregation.select is None or spec.aggregation.rule is Rule.MULTI_KRUM,
        "Only MultiKrum selects updates to average; the rule is {rule}. Leave select out, or use MultiKrum.",
        _AGGREGATION,
    ),
    CrossRule(
        "aggregation.select",
        "!has(self.aggregation.select) || self.aggregation.rule != 'MultiKrum'"
        f" || ({BUCKETED} ? {REPLIES} < {IN_BUCKETS} : {REPLIES} < 2 * {BYZANTINE} + 3)"
        f" || self.aggregation.select <= {GIVEN} - {BYZANTINE}",
        _select_fits,
        "MultiKrum may average at most n - f of the n updates, or buckets, that it is given (Blanchard 2017)."
        " select is {select}; with f = {f}, {have}. Use select <= {most}.",
        _REPLIES,
    ),
    CrossRule(
        "aggregation.beta",
        "!has(self.aggregation.beta) || self.aggregation.rule == 'FedTrimmedAvg'",
        lambda spec: spec.aggregation.beta is None or spec.aggregation.rule is Rule.FED_TRIMMED_AVG,
        "Only FedTrimmedAvg cuts a fraction beta; the rule is {rule}. Leave beta out, or use FedTrimmedAvg.",
        _AGGREGATION,
    ),
    CrossRule(
        "aggregation.maxNorm",
        f"self.aggregation.rule != 'ClippedMean' || has(self.aggregation.maxNorm) || {MODE} == 'ClientLevelCentral'",
        lambda spec: spec.aggregation.rule is not Rule.CLIPPED_MEAN or _clips(spec),
        "ClippedMean bounds a liar by the norm it clips to (Sun 2019). Give maxNorm, such as 1.0.",
        _CLIPPING,
    ),
    CrossRule(
        "aggregation.maxNorm",
        "self.aggregation.rule != 'CenteredClipping' || has(self.aggregation.maxNorm)"
        f" || {MODE} == 'ClientLevelCentral'",
        lambda spec: spec.aggregation.rule is not Rule.CENTERED_CLIPPING or _clips(spec),
        "CenteredClipping clips to the radius maxNorm (Karimireddy 2021). Give maxNorm, such as 1.0.",
        _CLIPPING,
    ),
    CrossRule(
        "aggregation.maxNorm",
        "!has(self.aggregation.maxNorm) || self.aggregation.maxNorm <= self.aggregation.rejectNorm",
        _clip_below_reject,
        "Replies above rejectNorm are refused, so a larger maxNorm never clips. Use maxNorm <= rejectNorm.",
        _AGGREGATION,
    ),
    CrossRule(
        "aggregation.rule",
        "self.aggregation.rule != 'FedAvg' || self.aggregation.insecure",
        lambda spec: spec.aggregation.rule is not Rule.FED_AVG or spec.aggregation.insecure,
        "FedAvg lets a single liar steer the model. Use FedTrimmedAvg, or say it out loud with insecure: true.",
        _AGGREGATION,
    ),
    CrossRule(
        "aggregation.insecure",
        "!self.aggregation.insecure || self.aggregation.rule == 'FedAvg'",
        lambda spec: not spec.aggregation.insecure or spec.aggregation.rule is Rule.FED_AVG,
        "Only FedAvg is insecure; the rule is {rule}. Leave insecure: true out.",
        _AGGREGATION,
    ),
    CrossRule(
        "aggregation.byzantine",
        f"self.aggregation.rule != 'FedAvg' || {BYZANTINE} == 0",
        lambda spec: spec.aggregation.rule is not Rule.FED_AVG or spec.aggregation.tolerated == 0,
        "FedAvg tolerates no Byzantine client; byzantine is {f}. Leave byzantine out, or use a robust rule.",
        _AGGREGATION,
    ),
)
