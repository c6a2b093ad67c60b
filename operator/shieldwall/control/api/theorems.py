"""The rules that cross fields: a rule of aggregation is refused outside its theorem, and never bends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.control.api.aggregation import AggregationRule as Rule
from shieldwall.control.api.crossrule import CrossRule
from shieldwall.control.api.identity import LONGEST_LIFE, SHORTEST_LIFE
from shieldwall.control.api.terms import BYZANTINE, CLIENTS, REPLIES, replies

if TYPE_CHECKING:
    from shieldwall.control.api.spec import FederatedTrainingSpec as Spec

_AGGREGATION: Final = frozenset({"aggregation"})
_REPLIES: Final = frozenset({"aggregation", "rounds", "clients.count"})
_KRUM: Final = frozenset({Rule.KRUM, Rule.MULTI_KRUM})
_HALF: Final = frozenset({Rule.FED_MEDIAN, Rule.FED_TRIMMED_AVG})


def _select_fits(spec: Spec) -> bool:
    aggregation = spec.aggregation
    if aggregation.rule is not Rule.MULTI_KRUM or aggregation.select is None:
        return True
    outside_the_theorem = replies(spec) < aggregation.replies_needed
    return outside_the_theorem or aggregation.select <= replies(spec) - aggregation.tolerated


def _issuers(spec: Spec) -> int:
    issuer = spec.identity.issuer
    return sum(kind is not None for kind in (issuer.built_in, issuer.secret, issuer.cert_manager))


def _regions_allowed(spec: Spec) -> bool:
    return spec.residency is None or all(client.region in spec.residency.regions for client in spec.clients)


def _clip_below_reject(spec: Spec) -> bool:
    return spec.aggregation.max_norm is None or spec.aggregation.max_norm <= spec.aggregation.reject_norm


THEOREMS: Final = (
    CrossRule(
        "aggregation.byzantine",
        f"!(self.aggregation.rule in ['Krum', 'MultiKrum']) || {REPLIES} >= 2 * {BYZANTINE} + 3",
        lambda spec: spec.aggregation.rule not in _KRUM or replies(spec) >= spec.aggregation.replies_needed,
        "{rule} tolerates f Byzantine clients only if n >= 2f+3 (Blanchard 2017)."
        " f = {f} needs {krum_needs} replies; {have}. Use {krum_fewer}{krum_more}.",
        _REPLIES,
    ),
    CrossRule(
        "aggregation.byzantine",
        f"!(self.aggregation.rule in ['FedMedian', 'FedTrimmedAvg']) || {REPLIES} > 2 * {BYZANTINE}",
        lambda spec: spec.aggregation.rule not in _HALF or replies(spec) >= spec.aggregation.replies_needed,
        "{rule} tolerates f Byzantine clients only if n > 2f (Yin 2018)."
        " f = {f} needs {half_needs} replies; {have}. Use {half_fewer}{half_more}.",
        _REPLIES,
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
        # Outside Krum's theorem its own sentence is enough.
        f" || {REPLIES} < 2 * {BYZANTINE} + 3 || self.aggregation.select <= {REPLIES} - {BYZANTINE}",
        _select_fits,
        "MultiKrum may average at most n - f updates (Blanchard 2017)."
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
        "self.aggregation.rule != 'ClippedMean' || has(self.aggregation.maxNorm)",
        lambda spec: spec.aggregation.rule is not Rule.CLIPPED_MEAN or spec.aggregation.max_norm is not None,
        "ClippedMean bounds a liar by the norm it clips to (Sun 2019). Give maxNorm, such as 1.0.",
        _AGGREGATION,
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
    CrossRule(
        "rounds.minReplies",
        f"!has(self.rounds.minReplies) || self.rounds.minReplies <= {CLIENTS}",
        lambda spec: spec.rounds.min_replies is None or spec.rounds.min_replies <= len(spec.clients),
        "A round cannot wait for {min} replies when spec.clients has {clients}. Use minReplies <= {clients}.",
        frozenset({"rounds", "clients.count"}),
    ),
    CrossRule(
        "app",
        "has(self.app.model) != has(self.app.serverApp)",
        lambda spec: (spec.app.model is None) != (spec.app.server_app is None),
        "Give exactly one of model (Shieldwall's ServerApp trains it) and serverApp (the app's own ServerApp runs).",
        frozenset({"app"}),
    ),
    CrossRule(
        "app.evaluate",
        "!has(self.app.serverApp) || !has(self.app.evaluate)",
        lambda spec: spec.app.server_app is None or spec.app.evaluate is None,
        "An app with its own serverApp evaluates in it. Leave evaluate out, or give model instead of serverApp.",
        frozenset({"app"}),
    ),
    CrossRule(
        "clients",
        "!has(self.residency) || self.clients.all(c, has(c.region) && c.region in self.residency.regions)",
        _regions_allowed,
        "Each client needs a region that is listed in spec.residency.regions; {stray} has none of them.",
        frozenset({"clients", "residency"}),
    ),
    CrossRule(
        "identity.certificateTTL",
        "duration(self.identity.certificateTTL) >= duration('1h')"
        " && duration(self.identity.certificateTTL) <= duration('720h')",
        lambda spec: SHORTEST_LIFE <= spec.identity.lifetime <= LONGEST_LIFE,
        "Certificates live from 1h to 720h, so that an issuing CA outlives them three times; {ttl} is outside.",
        frozenset({"identity"}),
    ),
    CrossRule(
        "identity.issuer",
        "(has(self.identity.issuer.builtIn) ? 1 : 0) + (has(self.identity.issuer.secret) ? 1 : 0)"
        " + (has(self.identity.issuer.certManager) ? 1 : 0) <= 1",
        lambda spec: _issuers(spec) <= 1,
        "There can be one issuer only. Give one of builtIn, secret and certManager.",
        frozenset({"identity"}),
    ),
)
