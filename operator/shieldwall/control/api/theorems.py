"""The rules that cross fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.control.api.aggregation_theorems import AGGREGATION
from shieldwall.control.api.crossrule import CrossRule
from shieldwall.control.api.identity import LONGEST_LIFE, SHORTEST_LIFE
from shieldwall.control.api.terms import CLIENTS

if TYPE_CHECKING:
    from shieldwall.control.api.spec import FederatedTrainingSpec as Spec


def _issuers(spec: Spec) -> int:
    issuer = spec.identity.issuer
    return sum(kind is not None for kind in (issuer.built_in, issuer.secret, issuer.cert_manager))


def _regions_allowed(spec: Spec) -> bool:
    return spec.residency is None or all(client.region in spec.residency.regions for client in spec.clients)


THEOREMS: Final = (
    *AGGREGATION,
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
