"""The values that the sentences about broken rules name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.control.api.crossrule import Term

if TYPE_CHECKING:
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


_NO_LIAR: Final = "byzantine: 0, which withstands no liar, or "


def _theorem_terms(word: str, offset: int) -> dict[str, Term]:
    """Terms about a theorem that wants ``n >= 2f + offset``: what f needs, the largest f, the smallest n.

    An f of 0 is no bound but the end of the defence, and is named as such.
    """
    needed = f"2 * {BYZANTINE} + {offset}"

    def needs(spec: FederatedTrainingSpec) -> int:
        return 2 * spec.aggregation.tolerated + offset

    def fewer(spec: FederatedTrainingSpec) -> str:
        if replies(spec) < offset:
            return ""
        most = (replies(spec) - offset) // 2
        return f"byzantine <= {most}, or " if most > 0 else _NO_LIAR

    def more(spec: FederatedTrainingSpec) -> str:
        enough = needs(spec) <= len(spec.clients)
        return f"minReplies >= {needs(spec)}" if enough else f"at least {needs(spec)} clients"

    return {
        f"{word}_needs": Term("%d", needed, needs),
        f"{word}_fewer": Term(
            "%s",
            f"({REPLIES} >= {offset + 2} ? 'byzantine <= %d, or '.format([({REPLIES} - {offset}) / 2])"
            f" : ({REPLIES} >= {offset} ? '{_NO_LIAR}' : ''))",
            fewer,
        ),
        f"{word}_more": Term(
            "%s",
            f"({needed} <= {CLIENTS} ? 'minReplies >= %d'.format([{needed}])"
            f" : 'at least %d clients'.format([{needed}]))",
            more,
        ),
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
    "most": Term("%d", f"{REPLIES} - {BYZANTINE}", lambda spec: replies(spec) - spec.aggregation.tolerated),
    **_theorem_terms("krum", 3),
    **_theorem_terms("half", 1),
    "stray": Term(
        "%s",
        "self.clients.filter(c, !(has(c.region) && c.region in self.residency.regions))[0].name",
        _stray,
    ),
    "external": Term("%s", "self.clients.filter(c, has(c.external) && c.external)[0].name", _external),
    "ttl": Term("%s", "self.identity.certificateTTL", lambda spec: spec.identity.certificate_ttl),
}
