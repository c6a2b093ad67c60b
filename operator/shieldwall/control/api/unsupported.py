"""Fields that the API has and the pods do not honour yet: refused with a sentence, never silently ignored.

Whoever makes one effective deletes its entry here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.control.api.crossrule import CrossRule

if TYPE_CHECKING:
    from collections.abc import Callable

    from shieldwall.control.api.spec import FederatedTrainingSpec as Spec


def _built_in(spec: Spec) -> bool:
    return spec.identity.issuer.secret is None and spec.identity.issuer.cert_manager is None


def _entry(field: str, cel: str, holds: Callable[[Spec], bool], hint: str) -> CrossRule:
    """A rule whose sentence begins with the same words for every field."""
    return CrossRule(field, cel, holds, f"not supported yet. {hint}", frozenset({field.split(".", maxsplit=1)[0]}))


UNSUPPORTED: Final = (
    _entry(
        "residency",
        "!has(self.residency)",
        lambda spec: spec.residency is None,
        "The regions of clients place their pods; leave residency out.",
    ),
    _entry("queries", "!self.queries.enabled", lambda spec: not spec.queries.enabled, "Leave queries.enabled false."),
    _entry(
        "clients",
        "!self.clients.exists(c, has(c.external) && c.external)",
        lambda spec: not any(client.external for client in spec.clients),
        "External clients cannot enrol; {external} is one. Leave external false.",
    ),
    _entry(
        "identity.issuer",
        "!has(self.identity.issuer.secret) && !has(self.identity.issuer.certManager)",
        _built_in,
        "The operator's own root issues every training's CA. Use issuer: {builtIn: {}}.",
    ),
)
