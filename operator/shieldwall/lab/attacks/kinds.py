"""The attacks by name, and what each one turns: the data, the update, the claim or the message."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from shieldwall.lab.attacks import optimised, targeted, untargeted
from shieldwall.lab.attacks.freeriders import FreeRider
from shieldwall.local.attackers.kinds import AttackKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shieldwall.lab.attacks.view import Lies, View


class Goal(StrEnum):
    """What an attacker wants."""

    UNTARGETED = "untargeted"
    """A worse model."""
    TARGETED = "targeted"
    """A model that obeys a trigger."""
    FREE = "free-riding"
    """The model, for nothing."""
    PROTOCOL = "protocol"
    """To be counted with what is no honest reply."""


class Poison(StrEnum):
    """What is done to the data that attackers train on."""

    LABELS = "labels"
    """Classes reversed."""
    TRIGGER = "trigger"
    """Half of the images with a trigger, and the target for their class."""


class LabAttack(StrEnum):
    """What an attacking client does, round after round; the names of ``shieldwall run`` where it has them."""

    SIGN_FLIP = "sign-flip"
    GAUSSIAN = "gaussian"
    LABEL_FLIP = "label-flip"
    ALIE = "alie"
    ALIE_FIXED = "alie-fixed"
    ALIE_ADAPTIVE = "alie-adaptive"
    IPM = "ipm"
    IPM_ADAPTIVE = "ipm-adaptive"
    MIN_MAX = "min-max"
    MIN_SUM = "min-sum"
    MIMIC = "mimic"
    SLOW_DRIFT = "slow-drift"
    BACKDOOR = "backdoor"
    MODEL_REPLACEMENT = "model-replacement"
    MODEL_REPLACEMENT_FITTED = "model-replacement-fitted"
    FREE_ZERO = AttackKind.FREE_ZERO
    FREE_SCALED = AttackKind.FREE_SCALED
    FREE_NOISE = AttackKind.FREE_NOISE
    FREE_REPLAY = AttackKind.FREE_REPLAY
    FREE_REPLAY_NOISE = AttackKind.FREE_REPLAY_NOISE
    FREE_DELAYED = AttackKind.FREE_DELAYED
    FREE_COLLUDING = AttackKind.FREE_COLLUDING
    FREE_STALE = AttackKind.FREE_STALE
    FREE_STALE_NOISE = AttackKind.FREE_STALE_NOISE
    NAN = "nan"
    INFINITY = "infinity"
    WRONG_SHAPE = "wrong-shape"
    WRONG_NAMES = "wrong-names"
    INFLATED_EXAMPLES = "inflated-examples"
    UNSIGNED = "unsigned"
    ALTERED = "altered"
    REPLAYED = "replayed"
    IMPOSTOR = "impostor"


@dataclass(frozen=True, slots=True)
class Plan:
    """How an attack is made."""

    goal: Goal
    what: str
    """A few words for tables."""
    craft: Callable[[View], Lies] = targeted.as_trained
    """From what the attackers know to what they send."""
    poison: Poison | None = None


def _untargeted(what: str, craft: Callable[[View], Lies], poison: Poison | None = None) -> Plan:
    return Plan(Goal.UNTARGETED, what, craft, poison)


def _backdoor(what: str, craft: Callable[[View], Lies]) -> Plan:
    return Plan(Goal.TARGETED, what, craft, Poison.TRIGGER)


def _free(what: str, kind: AttackKind) -> Plan:
    return Plan(Goal.FREE, what, FreeRider(kind))


def _protocol(what: str) -> Plan:
    return Plan(Goal.PROTOCOL, what)


PLANS: Final[Mapping[LabAttack, Plan]] = MappingProxyType(
    {
        LabAttack.SIGN_FLIP: _untargeted("own update × −10", untargeted.sign_flip),
        LabAttack.GAUSSIAN: _untargeted("noise, ten times the honest norm", untargeted.gaussian),
        LabAttack.LABEL_FLIP: _untargeted("trained on reversed classes", targeted.as_trained, Poison.LABELS),
        LabAttack.ALIE: _untargeted("mean − z·spread, z that a majority hides", untargeted.alie),
        LabAttack.ALIE_FIXED: _untargeted("mean − 1.5·spread", untargeted.alie_fixed),
        LabAttack.ALIE_ADAPTIVE: _untargeted("mean − z·spread, z tried on the rule", optimised.alie_adaptive),
        LabAttack.IPM: _untargeted("−0.5 × honest mean", untargeted.ipm),
        LabAttack.IPM_ADAPTIVE: _untargeted("−ε × honest mean, ε tried on the rule", optimised.ipm_adaptive),
        LabAttack.MIN_MAX: _untargeted("as far as the farthest honest pair", optimised.min_max),
        LabAttack.MIN_SUM: _untargeted("as far as the worst sum of distances", optimised.min_sum),
        LabAttack.MIMIC: _untargeted("copies of one honest client", untargeted.mimic),
        LabAttack.SLOW_DRIFT: _untargeted("the same small push in every round", untargeted.slow_drift),
        LabAttack.BACKDOOR: _backdoor("trained with a trigger", targeted.as_trained),
        LabAttack.MODEL_REPLACEMENT: _backdoor("the same × n/f", targeted.model_replacement),
        LabAttack.MODEL_REPLACEMENT_FITTED: _backdoor(
            "the same within the largest honest norm", targeted.model_replacement_fitted
        ),
        LabAttack.FREE_ZERO: _free("no update at all", AttackKind.FREE_ZERO),
        LabAttack.FREE_SCALED: _free("the last global update × 0.5 to 2", AttackKind.FREE_SCALED),
        LabAttack.FREE_NOISE: _free("noise as long as the last global update", AttackKind.FREE_NOISE),
        LabAttack.FREE_REPLAY: _free("the last global update", AttackKind.FREE_REPLAY),
        LabAttack.FREE_REPLAY_NOISE: _free("the same under noise", AttackKind.FREE_REPLAY_NOISE),
        LabAttack.FREE_DELAYED: _free("an old global update", AttackKind.FREE_DELAYED),
        LabAttack.FREE_COLLUDING: _free("noise that all of them share", AttackKind.FREE_COLLUDING),
        LabAttack.FREE_STALE: _free("their first update for ever", AttackKind.FREE_STALE),
        LabAttack.FREE_STALE_NOISE: _free("the same under noise", AttackKind.FREE_STALE_NOISE),
        LabAttack.NAN: _protocol("one number that is none"),
        LabAttack.INFINITY: _protocol("one number that is infinite"),
        LabAttack.WRONG_SHAPE: _protocol("arrays of another shape"),
        LabAttack.WRONG_NAMES: _protocol("an array under another name"),
        LabAttack.INFLATED_EXAMPLES: Plan(
            Goal.PROTOCOL, "own update × −10, claimed for a trillion examples", untargeted.sign_flip
        ),
        LabAttack.UNSIGNED: _protocol("no signature"),
        LabAttack.ALTERED: _protocol("altered after it was signed"),
        LabAttack.REPLAYED: _protocol("the first signed reply again"),
        LabAttack.IMPOSTOR: _protocol("in another client's name"),
    }
)
NEEDS_SIGNATURES: Final = frozenset({LabAttack.UNSIGNED, LabAttack.ALTERED, LabAttack.REPLAYED, LabAttack.IMPOSTOR})
"""What only a signature stands against."""
