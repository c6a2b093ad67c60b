"""Rules about statistics and privacy: where noise or its accounting makes a watch unsound, it is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.control.api.contribution import ContributionPolicy
from shieldwall.control.api.crossrule import CrossRule
from shieldwall.control.api.privacy import MODE, PrivacyMode
from shieldwall.control.api.validation import ValidationPolicy

if TYPE_CHECKING:
    from shieldwall.control.api.spec import FederatedTrainingSpec as Spec

_GIVEN: Final = "has(self.contribution.policy)"


def _bans_nobody(spec: Spec) -> bool:
    """Whether what is given of contribution bans nobody; by default nothing does where these rules ask."""
    return spec.contribution.policy in {None, ContributionPolicy.NONE} or spec.contribution.ban.dry_run


def _without_bans(mode: PrivacyMode, sentence: str) -> CrossRule:
    """Under ``mode`` nobody may be banned."""
    return CrossRule(
        "contribution.policy",
        f"{MODE} != '{mode}' || !{_GIVEN} || self.contribution.policy == 'None' || self.contribution.ban.dryRun",
        lambda spec: spec.privacy_mode is not mode or _bans_nobody(spec),
        sentence,
        frozenset({"contribution", "privacy"}),
    )


def _rejection_is_sound(spec: Spec) -> bool:
    rejects = spec.validation.policy is ValidationPolicy.REJECT
    return spec.privacy_mode is not PrivacyMode.CLIENT_LEVEL_CENTRAL or not rejects


WATCHING: Final = (
    CrossRule(
        "contribution.minCosine",
        f"!{_GIVEN} || self.contribution.policy != 'MinCosine' || has(self.contribution.minCosine)",
        lambda spec: (
            spec.contribution.policy is not ContributionPolicy.MIN_COSINE or spec.contribution.min_cosine is not None
        ),
        "MinCosine gives a strike for a cosine below minCosine. Give minCosine, such as 0.0.",
        frozenset({"contribution"}),
    ),
    _without_bans(
        PrivacyMode.CLIENT_LEVEL_LOCAL,
        "Under ClientLevelLocal every honest update is mostly noise and looks like no contribution, so nobody may be"
        " banned for it. Leave policy out, or give ban: {dryRun: true}.",
    ),
    _without_bans(
        PrivacyMode.CLIENT_LEVEL_CENTRAL,
        "Under ClientLevelCentral a ban is decided by updates to which no noise is added, and who is banned shows in"
        " every later release, so the noise would not give the epsilon that is accounted. Leave policy out, or give"
        " ban: {dryRun: true}.",
    ),
    CrossRule(
        "validation.policy",
        f"{MODE} != 'ClientLevelCentral' || !has(self.validation.policy) || self.validation.policy != 'Reject'",
        _rejection_is_sound,
        "Under ClientLevelCentral a refusal by comparison with other clients has no bounded sensitivity, so the noise"
        " would not give the epsilon that is accounted. Leave policy out, or give Report.",
        frozenset({"validation", "privacy"}),
    ),
)
