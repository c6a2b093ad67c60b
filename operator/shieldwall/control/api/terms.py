"""The values that the sentences about broken rules name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.accounting.floor import MOST_STEPS
from shieldwall.contract.cohort import ROUNDING
from shieldwall.contract.policy import PreAggregation, Rule
from shieldwall.contract.theorem import BUCKET_SIZE, PRE_AGGREGATIONS, THEOREMS, Theorem
from shieldwall.control.api.crossrule import Term
from shieldwall.control.api.privacy import MODE

if TYPE_CHECKING:
    from collections.abc import Callable

    from shieldwall.control.api.spec import FederatedTrainingSpec

CLIENTS: Final = "size(self.clients)"
BYZANTINE: Final = (
    "(has(self.aggregation.byzantine) ? self.aggregation.byzantine : (self.aggregation.rule == 'FedAvg' ? 0 : 1))"
)
REPLIES: Final = f"(has(self.rounds.minReplies) ? self.rounds.minReplies : {CLIENTS})"
"""The replies that a theorem may count on: what is asked for, else as many as there are clients."""


def replies(spec: FederatedTrainingSpec) -> int:
    """REPLIES in Python."""
    return spec.rounds.min_replies if spec.rounds.min_replies is not None else len(spec.clients)


def _have(spec: FederatedTrainingSpec) -> str:
    if spec.rounds.min_replies is not None:
        return f"spec.rounds.minReplies is {spec.rounds.min_replies}"
    return f"spec.clients has {len(spec.clients)}"


def _stray(spec: FederatedTrainingSpec) -> str:
    regions = spec.residency.regions if spec.residency is not None else ()
    return next((client.name for client in spec.clients if client.region not in regions), "")


def _external(spec: FederatedTrainingSpec) -> str:
    return next((client.name for client in spec.clients if client.external), "")


def _records(spec: FederatedTrainingSpec) -> int:
    return (spec.privacy.records if spec.privacy is not None else None) or 0


def _steps(spec: FederatedTrainingSpec) -> int:
    return (spec.privacy.steps if spec.privacy is not None else None) or 0


_NO_LIAR: Final = "byzantine: 0, which withstands no liar, or "


def theorem_in_buckets(spec: FederatedTrainingSpec) -> Theorem:
    """What the rule needs when it is given buckets of which f may be lies: its own theorem, or that of Bucketing."""
    theorem = THEOREMS[spec.aggregation.rule]
    return theorem if theorem.factor else PRE_AGGREGATIONS[PreAggregation.BUCKETING]


def _in_buckets(value: Callable[[Theorem], int]) -> str:
    """``value`` of the rule's ``theorem_in_buckets``, as CEL."""
    default = value(PRE_AGGREGATIONS[PreAggregation.BUCKETING])
    cases = [
        f"self.aggregation.rule == '{rule}' ? {value(theorem)} : "
        for rule, theorem in THEOREMS.items()
        if theorem.factor and value(theorem) != default
    ]
    return f"({''.join(cases)}{default})"


_FACTOR: Final = _in_buckets(lambda theorem: theorem.factor)
_OFFSET: Final = _in_buckets(lambda theorem: theorem.offset)
SIZE: Final = f"(has(self.aggregation.bucketSize) ? self.aggregation.bucketSize : {BUCKET_SIZE})"
BUCKETED: Final = (
    f"(has(self.aggregation.preAggregation) && self.aggregation.preAggregation == '{PreAggregation.BUCKETING}')"
)
_BUCKETS: Final = f"(({REPLIES} + {SIZE} - 1) / {SIZE})"
GIVEN: Final = f"({BUCKETED} ? {_BUCKETS} : {REPLIES})"
"""How many updates the rule is given: the replies, or the buckets that they fill."""
IN_BUCKETS: Final = f"({SIZE} * ({_FACTOR} * {BYZANTINE} + {_OFFSET} - 1) + 1)"
"""The replies that the rule needs when they are put in buckets."""


_RULE_NEEDS: Final = "".join(
    f"self.aggregation.rule == '{rule}' ? {theorem.factor} * f + {theorem.offset} : "
    for rule, theorem in THEOREMS.items()
    if theorem.factor
)
_BEFORE: Final = "(has(self.aggregation.preAggregation) && self.aggregation.preAggregation != 'None')"
_MIXED: Final = PRE_AGGREGATIONS[PreAggregation.NEAREST_NEIGHBOR_MIXING]
_FEWEST: Final = (
    f"[{BYZANTINE}].map(f, [{_RULE_NEEDS}1]"
    ".map(n, has(self.aggregation.select) && n < f + self.aggregation.select ? f + self.aggregation.select : n)"
    f".map(n, {_BEFORE} && n < {_MIXED.factor} * f + {_MIXED.offset} ? {_MIXED.factor} * f + {_MIXED.offset} : n)"
    f".map(n, n < 1 ? 1 : n).map(n, {BUCKETED} ? {SIZE} * (n - 1) + 1 : n)[0])[0]"
)
"""``replies_with_select``; a list of one is how CEL names a value."""
ASKED: Final = (
    f"[has(self.rounds.minReplies) ? self.rounds.minReplies : {_FEWEST}]"
    f".map(least, [int(self.rounds.fractionTrain * double({CLIENTS}) + {ROUNDING:.9f})]"
    f".map(n, n < least ? least : n).map(n, n < 1 ? 1 : n).map(n, n > {CLIENTS} ? {CLIENTS} : n)[0])[0]"
)
"""``FederatedTrainingSpec.asked`` as CEL."""


def given(spec: FederatedTrainingSpec) -> int:
    """GIVEN in Python."""
    return _buckets(spec) if spec.aggregation.before is PreAggregation.BUCKETING else replies(spec)


def _size(spec: FederatedTrainingSpec) -> int:
    return spec.aggregation.bucket_size or BUCKET_SIZE


def _buckets(spec: FederatedTrainingSpec) -> int:
    return -(-replies(spec) // _size(spec))


def _more(spec: FederatedTrainingSpec, needs: int) -> str:
    return f"minReplies >= {needs}" if needs <= len(spec.clients) else f"at least {needs} clients"


def _more_cel(needs: str) -> str:
    return f"({needs} <= {CLIENTS} ? 'minReplies >= %d'.format([{needs}]) : 'at least %d clients'.format([{needs}]))"


def _fewer(n: int, offset: int, factor: int) -> str:
    """The largest f of ``n >= factor * f + offset``; an f of 0 is no bound but the end of the defence, and named so."""
    if n < offset:
        return ""
    most = (n - offset) // factor
    return f"byzantine <= {most}, or " if most > 0 else _NO_LIAR


def _fewer_cel(n: str, offset: object, factor: object) -> str:
    return (
        f"({n} >= {offset} + {factor} ? 'byzantine <= %d, or '.format([({n} - {offset}) / {factor}])"
        f" : ({n} >= {offset} ? '{_NO_LIAR}' : ''))"
    )


def _theorem_terms(word: str, theorem: Theorem) -> dict[str, Term]:
    """Terms about a theorem: what f needs, the largest f, the smallest n."""
    factor, offset = theorem.factor, theorem.offset
    needed = f"{factor} * {BYZANTINE} + {offset}"

    def needs(spec: FederatedTrainingSpec) -> int:
        return factor * spec.aggregation.tolerated + offset

    return {
        f"{word}_needs": Term("%d", needed, needs),
        f"{word}_fewer": Term(
            "%s", _fewer_cel(REPLIES, offset, factor), lambda spec: _fewer(replies(spec), offset, factor)
        ),
        f"{word}_more": Term("%s", _more_cel(needed), lambda spec: _more(spec, needs(spec))),
    }


def _bucket_terms() -> dict[str, Term]:
    def needs(spec: FederatedTrainingSpec) -> int:
        theorem = theorem_in_buckets(spec)
        return _size(spec) * (theorem.factor * spec.aggregation.tolerated + theorem.offset - 1) + 1

    def fewer(spec: FederatedTrainingSpec) -> str:
        theorem, buckets = theorem_in_buckets(spec), _buckets(spec)
        return _fewer(buckets, theorem.offset, theorem.factor)

    return {
        "size": Term("%d", SIZE, _size),
        "bucket_needs": Term("%d", IN_BUCKETS, needs),
        "bucket_fewer": Term("%s", _fewer_cel(_BUCKETS, _OFFSET, _FACTOR), fewer),
        "bucket_more": Term("%s", _more_cel(IN_BUCKETS), lambda spec: _more(spec, needs(spec))),
    }


TERMS: Final = {
    "rule": Term("%s", "self.aggregation.rule", lambda spec: spec.aggregation.rule.value),
    "f": Term("%d", BYZANTINE, lambda spec: spec.aggregation.tolerated),
    "clients": Term("%d", CLIENTS, lambda spec: len(spec.clients)),
    "have": Term(
        "%s",
        "(has(self.rounds.minReplies) ? 'spec.rounds.minReplies is %d'.format([self.rounds.minReplies])"
        f" : 'spec.clients has %d'.format([{CLIENTS}]))",
        _have,
    ),
    "min": Term("%d", "self.rounds.minReplies", lambda spec: spec.min_replies),
    "select": Term("%d", "self.aggregation.select", lambda spec: spec.aggregation.select or 0),
    "most": Term("%d", f"{GIVEN} - {BYZANTINE}", lambda spec: given(spec) - spec.aggregation.tolerated),
    "pre": Term("%s", "self.aggregation.preAggregation", lambda spec: spec.aggregation.pre_aggregation or ""),
    **_theorem_terms("krum", THEOREMS[Rule.KRUM]),
    **_theorem_terms("half", THEOREMS[Rule.FED_MEDIAN]),
    **_theorem_terms("bulyan", THEOREMS[Rule.BULYAN]),
    **_theorem_terms("tenth", THEOREMS[Rule.CENTERED_CLIPPING]),
    **_bucket_terms(),
    "stray": Term(
        "%s",
        "self.clients.filter(c, !(has(c.region) && c.region in self.residency.regions))[0].name",
        _stray,
    ),
    "external": Term("%s", "self.clients.filter(c, has(c.external) && c.external)[0].name", _external),
    "mode": Term("%s", MODE, lambda spec: spec.privacy_mode.value),
    "records": Term("%d", "self.privacy.records", _records),
    "all_records": Term("%d", f"self.privacy.records * {CLIENTS}", lambda spec: _records(spec) * len(spec.clients)),
    "steps": Term("%d", "self.privacy.steps", _steps),
    "most_steps": Term("%d", f"({MOST_STEPS} / self.rounds.count)", lambda spec: MOST_STEPS // spec.rounds.count),
    "count": Term("%d", "self.rounds.count", lambda spec: spec.rounds.count),
    "asked": Term("%d", ASKED, lambda spec: spec.asked),
    "ttl": Term("%s", "self.identity.certificateTTL", lambda spec: spec.identity.certificate_ttl),
}
