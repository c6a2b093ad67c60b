"""Strikes, bans and probation: a pure fold over the records of rounds, bound to node keys and not to names.

What a client has done follows from the records and the policy alone, so it survives any restart, telling a record
twice changes nothing (the steward keeps each once), and another threshold judges the same past anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING, Final

from shieldwall.contract.policy import FEWEST_FOR_BANS, ContributionKind
from shieldwall.contract.records import Flag, Held, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shieldwall.contract.policy import ContributionPolicy, RuntimePolicy
    from shieldwall.contract.records import ReplyRecord, RoundRecord

FIRST_ROUND: Final = 5
"""Nobody is banned before it."""
RELATIVE_FLOOR: Final = 0.2
"""Of the median of the moving R²: less is none."""
WINDOW: Final = 5
"""Scored rounds whose median R² counts: one strange round decides nothing, and a past of honest work ends."""
PROBATION_ROUNDS: Final = 10
PROBATION_STRIKES: Final = 2
"""So many strikes short of the next ban a client comes back from one."""
REPORTED_ONLY: Final = frozenset({Flag.OPPOSED, Flag.COPY})
"""Who stands against all others may be right; of two that send one update either may be the other's victim."""


@dataclass(frozen=True, slots=True)
class Conduct:
    """What one node key's rounds amount to."""

    client: str
    """Whose it was last."""
    recent: tuple[float, ...] = ()
    """R² of its last scored rounds, oldest first."""
    strikes: int = 0
    flags: tuple[Flag, ...] = ()
    """Of the last round in which it was scored."""
    banned_since: int | None = None
    """The round after which it was shut out; None when it is not."""
    probation_until: int | None = None
    """The last round of a probation."""
    pardoned_until: int | None = None
    """The last round in which it is not banned again, as somebody reinstated it."""
    bans: int = 0
    held: Held | None = None
    """Strikes are enough for a ban: why there is none."""

    @property
    def innovation(self) -> float | None:
        """Moving R²: the median of the recent ones; None when there is none."""
        return median(self.recent) if self.recent else None


Conducts = Mapping[str, Conduct]
"""By SHA-256 (hex) of the node key."""


@dataclass(frozen=True, slots=True)
class Court:
    """By what rounds are judged."""

    policy: ContributionPolicy
    byzantine: int
    """f: at most so many bans at once."""
    needed: int
    """Replies that a round needs: a ban never makes the next round impossible."""
    exempt: frozenset[str] = field(default_factory=frozenset)
    """Node keys that are never banned."""
    members: frozenset[str] | None = None
    """Node keys of the training's clients: bans of keys that were replaced take nobody's place. None: all are."""

    @classmethod
    def of(cls, policy: RuntimePolicy, keys: Mapping[str, str]) -> Court | None:
        """By the policy; None where it looks at no contribution. ``keys``: SHA-256 (hex) of node keys, by client."""
        if policy.contribution is None:
            return None
        return cls(
            policy.contribution,
            policy.aggregation.byzantine,
            policy.rounds.min_replies,
            frozenset(keys[name] for name in policy.contribution.exempt if name in keys),
            frozenset(keys.values()),
        )


@dataclass(frozen=True, slots=True)
class Pardon:
    """Somebody reinstated a client."""

    key: str
    round: int
    """The last round that was released by then."""


def after_record(conducts: Conducts, record: RoundRecord, court: Court) -> dict[str, Conduct]:
    """The conducts after one more record; the same arguments always give the same."""
    known = dict(conducts)
    if record.outcome is not Outcome.RELEASED:
        return known
    known = {key: _freed(conduct, record.round, court.policy) for key, conduct in known.items()}
    scored = {reply.node_key: reply for reply in record.replies if reply.node_key and _is_scored(reply)}
    moved = {key: _moved(known.get(key), reply) for key, reply in scored.items()}
    typical = [each.innovation for each in moved.values() if each.innovation is not None]
    floor = _floor(typical, record.innovation_floor)
    for key, conduct in moved.items():
        flags = _flags(conduct, scored[key], floor, court.policy)
        known[key] = _struck(replace(conduct, flags=flags), court.policy)
    return _judged(known, frozenset(scored), record.round, court)


def after_pardon(conducts: Conducts, pardon: Pardon, policy: ContributionPolicy) -> dict[str, Conduct]:
    """The conducts after a client was reinstated: with a clean slate, and not banned for as long as a ban lasts."""
    before = conducts.get(pardon.key)
    if before is None:
        return dict(conducts)
    until = pardon.round + policy.ban_rounds
    return {**conducts, pardon.key: Conduct(before.client, pardoned_until=until, bans=before.bans)}


def banned_keys(conducts: Conducts) -> frozenset[str]:
    """Node keys that are shut out now."""
    return frozenset(key for key, conduct in conducts.items() if conduct.banned_since is not None)


def _is_scored(reply: ReplyRecord) -> bool:
    """Also an outlier that was refused: it was looked at like any other."""
    return reply.flags is not None


def _freed(conduct: Conduct, round_: int, policy: ContributionPolicy) -> Conduct:
    """After its rounds a ban ends in probation, and a probation in nothing."""
    if conduct.banned_since is not None and round_ >= conduct.banned_since + policy.ban_rounds:
        strikes = max(policy.strikes - PROBATION_STRIKES, 0)
        until = round_ + PROBATION_ROUNDS
        return replace(conduct, banned_since=None, strikes=strikes, probation_until=until, recent=())
    if conduct.probation_until is not None and round_ > conduct.probation_until:
        conduct = replace(conduct, probation_until=None)
    if conduct.pardoned_until is not None and round_ > conduct.pardoned_until:
        conduct = replace(conduct, pardoned_until=None)
    return conduct


def _moved(before: Conduct | None, reply: ReplyRecord) -> Conduct:
    conduct = replace(before, client=reply.client) if before is not None else Conduct(reply.client)
    if reply.innovation is None:
        return conduct
    return replace(conduct, recent=(*conduct.recent, reply.innovation)[-WINDOW:])


def _floor(typical: Iterable[float], chance: float | None) -> float | None:
    """Below what a moving R² is none; None where half of the clients are no better than chance: no power to tell."""
    values = list(typical)
    if chance is None or not values or median(values) <= chance:
        return None
    return max(chance, RELATIVE_FLOOR * median(values))


def _flags(conduct: Conduct, reply: ReplyRecord, floor: float | None, policy: ContributionPolicy) -> tuple[Flag, ...]:
    found = list(reply.flags or ())
    if floor is not None and conduct.innovation is not None and conduct.innovation < floor:
        found.append(Flag.NO_INNOVATION)
    if policy.min_cosine is not None and reply.cosine is not None and reply.cosine < policy.min_cosine:
        found.append(Flag.LOW_COSINE)
    return tuple(found)


def _struck(conduct: Conduct, policy: ContributionPolicy) -> Conduct:
    counting = frozenset(conduct.flags) - REPORTED_ONLY
    if policy.kind is ContributionKind.MIN_COSINE:
        counting &= {Flag.LOW_COSINE}
    else:
        counting -= {Flag.LOW_COSINE}
    change = 1 if counting else -1
    return replace(conduct, strikes=min(max(conduct.strikes + change, 0), policy.strikes))


def _judged(known: dict[str, Conduct], scored: frozenset[str], round_: int, court: Court) -> dict[str, Conduct]:
    """Ban who has the strikes, the least innovative first, while nothing stands against it."""
    due = [key for key in scored if known[key].strikes >= court.policy.strikes]
    due.sort(key=lambda key: (known[key].innovation or 0.0, key))
    live = len(scored)
    shut_out = banned_keys(known)
    free = court.byzantine - len(shut_out if court.members is None else shut_out & court.members)
    known |= {key: replace(known[key], held=None) for key in scored}
    for key in due:
        held = _held_back(known[key], key in court.exempt, round_, court.policy)
        if held is None and live < FEWEST_FOR_BANS:
            held = Held.FEW_CLIENTS
        elif held is None and free <= 0:
            held = Held.MOST_BANNED
        elif held is None and live <= court.needed:
            held = Held.REPLIES_NEEDED
        if held is not None:
            known[key] = replace(known[key], held=held)
            continue
        known[key] = replace(known[key], banned_since=round_, bans=known[key].bans + 1, probation_until=None)
        live, free = live - 1, free - 1
    return known


def _held_back(conduct: Conduct, exempt: bool, round_: int, policy: ContributionPolicy) -> Held | None:  # noqa: FBT001  # a fact
    """What stands against a ban of this client, whoever else is banned."""
    if policy.dry_run:
        return Held.DRY_RUN
    if exempt:
        return Held.EXEMPT
    if conduct.pardoned_until is not None:
        return Held.PARDONED
    return Held.EARLY if round_ < FIRST_ROUND else None
