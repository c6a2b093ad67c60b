"""Contribution, 25 points: every update of the last round was scored, and who only takes is shut out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.contract.policy import FEWEST_FOR_BANS
from shieldwall.contract.records import Fate, Flag, Held
from shieldwall.control.api.contribution import ContributionPolicy
from shieldwall.control.status.checks import NO_ROUND, UNSEEN, Claim, failed, observed, unknown
from shieldwall.control.status.text import count, some

if TYPE_CHECKING:
    from shieldwall.contract.records import ClientStatus
    from shieldwall.control.status.checks import Finding
    from shieldwall.control.status.view import View

FLAG_WORDS: Final = {
    Flag.TINY: "its updates are next to nothing",
    Flag.COPY: "another client sends the same",
    Flag.REPLAY: "it sends what the model did earlier",
    Flag.REPEAT: "it sends what it sent before",
    Flag.NO_INNOVATION: "others bear out nothing of what it says anew",
    Flag.LOW_COSINE: "it points away from the aggregate",
    Flag.OPPOSED: "it points away from the others",
}
"""What a flag means, as the end of a sentence."""
HELD_WORDS: Final = {
    Held.DRY_RUN: "dry run",
    Held.PARDONED: "it was reinstated",
    Held.EXEMPT: "it is exempt",
    Held.EARLY: "the training is too young",
    Held.FEW_CLIENTS: "too few clients take part",
    Held.MOST_BANNED: "as many are banned as may be",
    Held.REPLIES_NEEDED: "its replies are needed",
}
"""Why a ban that is due does not come about."""

_OFF: Final = "Contribution is not watched: nobody is told apart from a free-rider."
_DRY: Final = "Free-riders are reported only: contribution.ban.dryRun is true."


def why(client: ClientStatus) -> str:
    """What its last round showed, in words."""
    return ", ".join(FLAG_WORDS[flag] for flag in client.flags) or "its strikes"


def _scored(view: View) -> Finding:
    if view.sight.training.spec.contribution_policy is ContributionPolicy.NONE:
        return failed(_OFF)
    if view.fresh is None:
        return UNSEEN
    last = view.fresh.last_round
    if last is None:
        return NO_ROUND
    admitted = [reply for reply in last.replies if reply.fate is Fate.ADMITTED]
    if left_out := [reply.client for reply in admitted if reply.flags is None]:
        return failed(f"Round {last.round}: not scored are {some(left_out)}.")
    if last.innovation_floor is None and view.sight.training.spec.contribution_policy is ContributionPolicy.INNOVATION:
        return unknown("The model has too few parameters for its clients: innovation cannot be told from chance.")
    return observed(f"Round {last.round}: {count(len(admitted), 'update was/updates were')} scored.")


def _banned(view: View) -> Finding:
    refused = _not_meant_to(view)
    if refused is not None:
        return failed(refused)
    if view.fresh is None or view.fresh.last_round is None:
        return UNSEEN if view.fresh is None else NO_ROUND
    clients = view.clients().values()
    if left := [client for client in clients if client.held is not None]:
        reason = HELD_WORDS[left[0].held] if left[0].held is not None else ""
        return failed(f"Strikes enough and not banned are {some([client.name for client in left])}: {reason}.")
    banned = sum(client.banned_since is not None for client in clients)
    return observed(f"{count(banned, 'client is/clients are')} banned; nobody else has strikes enough.")


def _not_meant_to(view: View) -> str | None:
    """Why the spec bans nobody, whatever clients do."""
    spec = view.sight.training.spec
    if spec.contribution_policy is ContributionPolicy.NONE:
        return _OFF
    if spec.contribution.ban.dry_run:
        return _DRY
    if len(spec.clients) < FEWEST_FOR_BANS:
        return f"With fewer than {FEWEST_FOR_BANS} clients free-riders are reported only."
    return "aggregation.byzantine is 0, so nobody may be banned." if spec.aggregation.tolerated == 0 else None


CLAIMS: Final = (
    Claim("ContributionScored", 15, _scored),
    Claim("FreeRidersBanned", 10, _banned),
)
