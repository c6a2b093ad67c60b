"""Whether a policy's promise of privacy can hold at all; asked before a training begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shieldwall.accounting import CountTooLoudError, UnsoundPairError, sensitivity_of, true_epsilon, update_noise
from shieldwall.contract.policy import Mode
from shieldwall.contract.privacy import PrivacyMode
from shieldwall.contract.records import Outcome
from shieldwall.runtime.aggregation import required_replies
from shieldwall.runtime.privacy.errors import UnsoundPrivacyError
from shieldwall.runtime.privacy.record_level import RecordLevel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shieldwall.contract.policy import RuntimePolicy
    from shieldwall.contract.privacy import PrivacyPolicy, Spend
    from shieldwall.contract.records import RoundRecord


def require_sound(policy: RuntimePolicy, privacy: PrivacyPolicy) -> None:
    """Raise UnsoundPrivacyError for a policy under which ε would not be what it says."""
    central = privacy.mode is PrivacyMode.CLIENT_LEVEL_CENTRAL
    if privacy.mode is PrivacyMode.RECORD_LEVEL:
        RecordLevel.of(privacy)
    if not central and (privacy.adaptive is not None or privacy.population is not None):
        raise UnsoundPrivacyError(f"{privacy.mode} has neither an adaptive clip nor amplification by secret sampling")
    if not central:
        return
    _require_sound_rule(policy, privacy)
    if policy.validation is not None and policy.validation.reject:
        raise UnsoundPrivacyError(
            "validation refuses updates by comparing clients with each other, and no bound on what one of them changes"
            " is known. Set spec.validation.policy to Report or None"
        )
    if policy.contribution is not None and not policy.contribution.dry_run:
        raise UnsoundPrivacyError(
            "bans are decided by updates to which no noise is added, and who is banned shows in every later release."
            " Set spec.contribution.policy to None, or its ban to {dryRun: true}"
        )
    if privacy.population is not None and policy.app.mode is Mode.WRAPPED:
        raise UnsoundPrivacyError(
            "the app's own ServerApp chooses who is asked, and whether that is by a secret draw is not known. Leave"
            " amplification out, or use managed mode"
        )


def _require_sound_rule(policy: RuntimePolicy, privacy: PrivacyPolicy) -> None:
    aggregation, multiplier = policy.aggregation, privacy.noise_multiplier
    n = max(policy.rounds.min_replies, required_replies(aggregation), len(policy.clients))
    try:
        sensitivity_of(aggregation, n, privacy.clip)
    except UnsoundPairError as error:
        spent = true_epsilon(aggregation, n, multiplier, policy.rounds.count, privacy.delta)
        raise UnsoundPrivacyError(
            f"{error}. Noise {multiplier:g} on {n} clients gives epsilon = {spent:.4g}, not {privacy.epsilon:g}"
        ) from error
    if privacy.adaptive is not None:
        try:
            update_noise(multiplier, privacy.adaptive.count_noise)
        except CountTooLoudError as error:
            raise UnsoundPrivacyError(f"adaptiveClipping: {error}") from error


def require_ledger(privacy: PrivacyPolicy, spends: Sequence[Spend], records: Sequence[RoundRecord]) -> None:
    """Raise UnsoundPrivacyError where what is on the volume already costs more than any ledger can say."""
    bare = next((one for one in records if one.outcome is Outcome.RELEASED and one.privacy is None), None)
    if bare is not None:
        raise UnsoundPrivacyError(
            f"round {bare.round} was released without privacy, and what it told has no ε. Begin with an empty volume"
        )
    by_record = next((spend for spend in spends if spend.mode is PrivacyMode.RECORD_LEVEL), None)
    if by_record is not None and privacy.mode is not PrivacyMode.RECORD_LEVEL:
        raise UnsoundPrivacyError(
            f"round {by_record.round} hid single records only, and what it told of a whole client has no ε that is"
            " known. Begin with an empty volume"
        )
