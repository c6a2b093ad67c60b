"""Bans in the steward: on every request, over restarts of either side, told once however often they are told."""

import pytest

from shieldwall.contract.policy import AggregationPolicy, ClientPolicy, ContributionPolicy, Rule
from shieldwall.contract.records import (
    DenyList,
    Fate,
    Flag,
    Held,
    OpenRound,
    Outcome,
    Reinstatements,
    ReplyRecord,
    RoundRecord,
)
from shieldwall.runtime.steward import gate
from shieldwall.runtime.steward.metrics import registry_for, render
from shieldwall.runtime.steward.office import Office
from shieldwall.runtime.steward.run import RunState

RIDER = "rome"


@pytest.fixture
def policy(world):
    """A policy under which three clients are enough to ban: the guard of six is the conduct's own test."""
    plain = world.policy(count=50, min_replies=1)
    return plain.model_copy(
        update={
            "aggregation": AggregationPolicy(rule=Rule.FED_MEDIAN, byzantine=1),
            "contribution": ContributionPolicy(ban_rounds=10),
        }
    )


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr("shieldwall.runtime.contribution.conduct.FEWEST_FOR_BANS", 2)


@pytest.fixture
def opened(policy, world, tmp_path):
    """Opens the office anew, as a restart does."""

    def start(**changes):
        office = Office(policy.model_copy(update=changes), tmp_path)
        office.note_nodes(world.nodes(*world.clients))
        office.remember(RunState(runs=("1",), current="1"))
        return office

    return start


def record(office, number, bad=(RIDER,), attempt=1):
    replies = [
        ReplyRecord(
            client=member.client,
            node_id="1",
            node_key=member.key_sha256,
            fate=Fate.ADMITTED,
            innovation=0.5,
            norm=1.0,
            norm_z=0.5,
            likeness=0.3,
            flags=(Flag.REPLAY,) if member.client in bad else (),
        )
        for member in office.registry.members.values()
        if member.key_sha256 not in office.standings.banned
    ]
    return RoundRecord(
        run_id="1",
        round=number,
        attempt=attempt,
        outcome=Outcome.RELEASED,
        opened=0,
        seconds=0,
        rule="FedMedian",
        admitted=3,
        byzantine=1,
        replies=tuple(replies),
        innovation_floor=0.01,
    )


def banned_after(office, rounds=5):
    for number in range(1, rounds + 1):
        office.close_round(record(office, number))
    return office


def state(office, name=RIDER):
    return next(client for client in office.clients() if client.name == name)


def ask(office, world, name=RIDER):
    shown = world.certificate(world.identity(name))
    return office.authorize(world.headers(shown, name), "/v1/fleet/pull-messages", b"", world.now)


def test_a_ban_is_in_force_at_the_gate_in_the_grant_and_in_status(opened, world):
    office = banned_after(opened(), 4)
    assert isinstance(ask(office, world), gate.Allow)
    office.close_round(record(office, 5))
    assert ask(office, world).reason is gate.Reason.DENIED_NODE_KEY
    assert isinstance(ask(office, world, "paris"), gate.Allow)
    wanted = OpenRound(run_id="1", round=6, attempt=1, nonce="0", base_sha256="0", clients=world.clients, opened=0.0)
    assert office.open_round(wanted).denied == (RIDER,)
    assert office.open_round_for(world.identity(RIDER)) is None
    rider = state(office)
    assert (rider.denied, rider.banned_since, rider.strikes, rider.flags) == (True, 5, 5, (Flag.REPLAY,))
    assert rider.innovation == pytest.approx(0.5)
    assert (state(office, "paris").denied, state(office, "paris").banned_since) == (False, None)


def test_a_restart_of_the_steward_forgets_nothing(opened, world):
    banned_after(opened())
    again = opened()
    assert state(again).banned_since == 5
    assert ask(again, world).reason is gate.Reason.DENIED_NODE_KEY
    partly = opened()
    assert partly.clients() == again.clients()


def test_a_record_told_twice_counts_once_also_after_a_restart(opened):
    office = opened()
    for number in range(1, 5):
        for _ in range(3):
            office.close_round(record(office, number))
    assert state(office).strikes == 4
    again = opened()
    again.close_round(record(again, 4))
    assert (state(again).strikes, state(again).banned_since) == (4, None)


def test_the_operators_list_and_the_bans_do_not_undo_each_other(opened, world):
    office = banned_after(opened())
    office.set_deny(DenyList(clients=(world.identity("paris"),)))
    office.set_deny(DenyList())
    assert ask(office, world).reason is gate.Reason.DENIED_NODE_KEY
    assert isinstance(ask(office, world, "paris"), gate.Allow)


def test_a_banned_client_comes_back_when_somebody_says_so_once(opened, world):
    office = banned_after(opened())
    office.reinstate(Reinstatements(nonces={RIDER: "1", "nobody": "1"}))
    assert isinstance(ask(office, world), gate.Allow)
    assert (state(office).strikes, state(office).banned_since) == (0, None)
    assert office.status().reinstated == {RIDER: "1"}
    for number in range(6, 16):
        office.close_round(record(office, number))
    assert (state(office).banned_since, state(office).held) == (None, Held.PARDONED)
    again = opened()
    assert (state(again).strikes, state(again).held) == (5, Held.PARDONED)
    again.close_round(record(again, 16))
    assert state(again).banned_since == 16
    again.reinstate(Reinstatements(nonces={RIDER: "1"}))  # the same request: it was carried out
    assert state(again).banned_since == 16
    again.reinstate(Reinstatements(nonces={RIDER: "2"}))
    assert state(again).banned_since is None
    assert state(opened()).banned_since is None


def test_a_ban_follows_the_key_when_the_client_gets_another_name(opened, world, policy):
    banned_after(opened())
    renamed = tuple(
        ClientPolicy(name="milan", node_public_key=one.node_public_key) if one.name == RIDER else one
        for one in policy.clients
    )
    assert state(opened(clients=renamed), "milan").banned_since == 5
    rekeyed = tuple(
        ClientPolicy(name=RIDER, node_public_key=world.public("stranger").decode()) if one.name == RIDER else one
        for one in policy.clients
    )
    assert state(opened(clients=rekeyed)).banned_since is None


def test_the_ban_of_a_key_that_was_replaced_takes_nobodys_place(opened, world, policy):
    """With f = 1 the banned client's new key comes, and is banned for what it does itself."""
    banned_after(opened())
    rekeyed = tuple(
        ClientPolicy(name=RIDER, node_public_key=world.public("stranger").decode()) if one.name == RIDER else one
        for one in policy.clients
    )
    office = opened(clients=rekeyed)
    for number in range(6, 12):
        office.close_round(record(office, number))
    assert (state(office).banned_since, state(office).held) == (10, None)
    assert len(office.standings.banned) == 2


def test_an_exemption_in_the_policy_ends_a_ban_and_a_dry_run_all_of_them(opened):
    banned_after(opened())
    exempt = opened(contribution=ContributionPolicy(exempt=(RIDER,)))
    assert (state(exempt).banned_since, state(exempt).held, state(exempt).denied) == (None, Held.EXEMPT, False)
    dry = opened(contribution=ContributionPolicy(dry_run=True))
    assert (state(dry).banned_since, state(dry).held, state(dry).strikes) == (None, Held.DRY_RUN, 5)


def test_without_a_policy_of_contribution_nobody_is_banned_or_measured(opened):
    office = banned_after(opened(contribution=None))
    assert (state(office).banned_since, state(office).strikes, state(office).innovation) == (None, 0, None)
    office.reinstate(Reinstatements(nonces={RIDER: "1"}))
    assert "strikes" not in render(registry_for(office)).decode()


def test_metrics_tell_scores_flags_and_bans(opened):
    text = render(registry_for(banned_after(opened()))).decode()
    for line in (
        'shieldwall_client_banned{client="rome"} 1.0',
        'shieldwall_client_banned{client="paris"} 0.0',
        'shieldwall_client_strikes{client="rome"} 5.0',
        'shieldwall_client_innovation_ratio{client="rome"} 0.5',
        'shieldwall_client_flags_total{client="rome",flag="replay"} 5.0',
        'shieldwall_client_denied{client="rome"} 1.0',
        'shieldwall_update_norm_zscore{client="rome"} 0.5',
        'shieldwall_update_likeness{client="rome"} 0.3',
        "shieldwall_bans_total 1.0",
    ):
        assert line in text.splitlines(), line
