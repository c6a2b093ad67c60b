"""Differential privacy: what is told of it, 25 points, and the conditions Privacy and PrivacySignal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from shieldwall.control.api.calibration import calibrated
from shieldwall.control.api.privacy import LOW_SIGNAL, Acknowledgement, PrivacyMode
from shieldwall.control.api.privacy_sentences import number
from shieldwall.control.api.status import ConditionStatus, PrivacyStatus
from shieldwall.control.status.certificates import Verdict
from shieldwall.control.status.checks import NO_ROUND, UNSEEN, Claim, failed, observed, unknown
from shieldwall.control.status.recount import Told, privacy_of
from shieldwall.control.status.spending import spending
from shieldwall.control.status.text import count

if TYPE_CHECKING:
    from shieldwall.contract.privacy import PrivacyPolicy
    from shieldwall.control.status.checks import Finding
    from shieldwall.control.status.view import View

ADJACENCY: Final = "replace-one"
_TOLERANCE: Final = 1.01
"""Between two accountants of one ε."""
_MOST_ROUNDS: Final = 1_000_000
_UNITS: Final = {
    PrivacyMode.RECORD_LEVEL: "record",
    PrivacyMode.CLIENT_LEVEL_LOCAL: "client",
    PrivacyMode.CLIENT_LEVEL_CENTRAL: "client",
}
_NO_NOISE: Final = "privacy.mode is None: no noise is added to what is released."
_UNPROTECTED: Final = (
    "No noise is added, so that a model may tell of single records: release no model whose records must stay hidden. A"
    " new training with privacy.mode RecordLevel hides them."
)
_GDPR: Final = (
    " spec.residency says that personal data are processed: what a model tells of them is a risk that its record of"
    " processing (GDPR, Art. 30 and 35) has to answer for."
)


def privacy_status(view: View) -> PrivacyStatus:
    """What was accounted last; as status has it when the steward was not asked yet."""
    mode, policy = view.sight.training.spec.privacy_mode, calibrated(view.sight.training.spec)
    if policy is None:
        return PrivacyStatus(mode=mode.value)
    known, told = _known(view) or PrivacyStatus(), privacy_of(view.last)
    spent = known if told is None else spending(known, told.privacy)
    return PrivacyStatus(
        mode=mode.value,
        unit=_UNITS[mode],
        adjacency=ADJACENCY,
        epsilonSpent=spent.epsilon_spent,
        epsilonTarget=policy.epsilon,
        delta=policy.delta if spent.epsilon_spent is None else spent.delta,
        releases=spent.releases,
        epsilonLost=spent.epsilon_lost,
        deltaLost=spent.delta_lost,
        noiseMultiplier=policy.noise_multiplier,
        roundsLeft=min(max(told.privacy.rounds_left, 0), _MOST_ROUNDS) if told is not None else known.rounds_left,
        signalToNoise=_signal(view) if told is not None else known.signal_to_noise,
    )


def epsilon_column(privacy: PrivacyStatus) -> str | None:
    """What ``kubectl get`` shows, such as 0.31/1."""
    if privacy.epsilon_target is None:
        return None
    return f"{number(privacy.epsilon_spent or 0.0)}/{privacy.epsilon_target:g}"


def privacy_verdict(view: View, privacy: PrivacyStatus) -> Verdict:
    """Whether what is released stays within the ε that was promised."""
    policy, spent, left = calibrated(view.sight.training.spec), privacy.epsilon_spent, privacy.rounds_left
    if policy is None:
        flagged = _UNPROTECTED + (_GDPR if view.sight.training.spec.residency is not None else "")
        return Verdict(ConditionStatus.FALSE, "Unprotected", flagged)
    limit = policy.epsilon
    promised = f"One {privacy.unit} changes what is released by ε = {limit:g} at δ = {policy.delta:g} at most"
    if spent is None:
        return Verdict(ConditionStatus.UNKNOWN, "NotObserved", f"{promised}; nothing of it is seen spent yet.")
    account = f"ε = {number(spent)} of {limit:g} is spent"
    if (unkept := _unkept(privacy, policy, account)) is not None:
        return unkept
    if not left and (view.released or 0) < view.sight.training.spec.rounds.count:
        message = f"{account}, and no further round fits. A larger privacy.epsilon takes back what was promised."
        return Verdict(ConditionStatus.TRUE, "BudgetSpent", message)
    return Verdict(ConditionStatus.TRUE, "WithinBudget", f"{promised}; {account}.")


def _unkept(privacy: PrivacyStatus, policy: PrivacyPolicy, account: str) -> Verdict | None:
    """Why the promise is not kept, or nobody knows that it is; None where it is kept."""
    if privacy.epsilon_lost is not None:
        message = (
            f"{account}, ε = {number(privacy.epsilon_lost)} of it by a ledger that later told of less: the model's"
            " volume was lost or set back to an older copy. Release no further model of this training."
        )
        return Verdict(ConditionStatus.FALSE, "LedgerSetBack", message)
    if privacy.epsilon_spent is not None and privacy.epsilon_spent > policy.epsilon * _TOLERANCE:
        message = f"{account}, more than privacy.epsilon allows: release no further model, and look at its ledger."
        return Verdict(ConditionStatus.FALSE, "Exceeded", message)
    if privacy.delta is not None and privacy.delta > policy.delta:
        message = f"{account}, {_other_delta(privacy.delta, policy.delta)}"
        return Verdict(ConditionStatus.UNKNOWN, "OtherDelta", message)
    return None


def signal_verdict(view: View, privacy: PrivacyStatus) -> Verdict:
    """Whether a round's noise leaves something of what one client says, or somebody has taken it upon them."""
    signal, spoken = privacy.signal_to_noise, view.sight.training.spec.privacy
    if privacy.epsilon_target is None:
        return Verdict(ConditionStatus.UNKNOWN, "NoNoise", "No noise is added: see Privacy.")
    if signal is None:
        return Verdict(ConditionStatus.UNKNOWN, "NotObserved", "No round has told its signal-to-noise yet.")
    if signal >= LOW_SIGNAL:
        message = f"The signal-to-noise of a round is {signal:.2g}; {LOW_SIGNAL} is enough."
        return Verdict(ConditionStatus.TRUE, "SignalAboveNoise", message)
    low = f"The noise outweighs what one client says in a round: signal-to-noise is {signal:.2g}, below {LOW_SIGNAL}"
    word = Acknowledgement.LOW_SIGNAL_TO_NOISE
    if spoken is not None and word in (spoken.acknowledge or ()):
        return Verdict(ConditionStatus.TRUE, "Acknowledged", f"{low}, which privacy.acknowledge takes into account.")
    message = (
        f"{low}. Use RecordLevel, more clients, a larger epsilon or fewer rounds, or take it into account with"
        f" privacy.acknowledge: [{word}]."
    )
    return Verdict(ConditionStatus.FALSE, "SignalBelowNoise", message)


def _known(view: View) -> PrivacyStatus | None:
    """What status has, if it is of this mode."""
    previous = view.sight.previous.privacy if view.sight.previous is not None else None
    return previous if previous is not None and previous.mode == view.sight.training.spec.privacy_mode.value else None


def _other_delta(counted: float, asked: float) -> str:
    return (
        f"counted by δ = {counted:g}. By privacy.delta = {asked:g} it is more: the next round tells how much. Where"
        " none comes, set privacy.delta back."
    )


def _digits(value: float) -> float:
    return float(f"{value:.6g}")


def _signal(view: View) -> float | None:
    """Of the newest record that tells it: a round that released nothing has none."""
    if view.last is None:
        return None
    told = (record.privacy for record in (view.last.newest, view.last.last_round) if record is not None)
    signals = (each.signal_to_noise for each in told if each is not None)
    signal = next((each for each in signals if each is not None and math.isfinite(each) and each >= 0), None)
    return _digits(signal) if signal is not None else None


def _last(view: View) -> Told | Finding:
    if view.sight.training.spec.privacy_mode is PrivacyMode.NONE:
        return failed(_NO_NOISE)
    if view.fresh is None:
        return UNSEEN
    newest = view.fresh.newest or view.fresh.last_round
    if newest is None:
        return NO_ROUND
    told = privacy_of(view.fresh)
    return told if told is not None else failed(f"Round {newest.round} says nothing of the privacy that it spent.")


def _accounted(view: View) -> Finding:
    """The ε of the last record, against what its releases cost by the noise that the spec asks for."""
    told, bounds = _last(view), view.sight.recount
    if not isinstance(told, Told):
        return told
    if bounds is None:
        return unknown(f"Round {told.round}: ε was not counted again.")
    said = f"Round {told.round}: ε = {number(told.privacy.epsilon)}"
    if bounds.least / _TOLERANCE <= told.privacy.epsilon <= bounds.most * _TOLERANCE:
        return observed(f"{said}, as counted again from {count(told.privacy.releases, 'release/releases')}.")
    wanted = " to ".join(dict.fromkeys((number(bounds.least), number(bounds.most))))
    return unknown(f"{said}; with the spec's noise it would be {wanted}. Was the noise another one?")


def _within(view: View) -> Finding:
    """The ε of the last record, against what may be spent."""
    told, policy = _last(view), calibrated(view.sight.training.spec)
    if not isinstance(told, Told):
        return told
    if policy is None:
        return failed(_NO_NOISE)
    said = f"ε = {number(told.privacy.epsilon)} of {policy.epsilon:g} is spent"
    if privacy_status(view).epsilon_lost is not None:
        return failed(f"{said} by a ledger that told of more before.")
    if told.privacy.epsilon > policy.epsilon * _TOLERANCE:
        return failed(f"{said}: more than may be.")
    if told.privacy.delta > policy.delta:
        return unknown(f"{said}, {_other_delta(told.privacy.delta, policy.delta)}")
    return observed(f"{said}; {count(max(told.privacy.rounds_left, 0), 'more round fits/more rounds fit')}.")


CLAIMS: Final = (
    Claim("PrivacyAccounted", 15, _accounted),
    Claim("PrivacyWithinBudget", 10, _within),
)
