from datetime import timedelta
from types import SimpleNamespace

import pytest

from shieldwall.contract.identity import Federation
from shieldwall.control.api.status import (
    WORST_CLIENTS,
    ClientReport,
    ClientsStatus,
    Condition,
    ConditionStatus,
    FederatedTrainingStatus,
)
from shieldwall.control.notices import issued, kept_out, transitions
from shieldwall.control.plan.orders import CertificateOrder
from shieldwall.pki.renewal import RenewalReason

WARNINGS = {"ForeignObject", "ServerNotReady", "StewardUnreachable", "ObjectRefused", "ApiError"}
FEDERATION = Federation("cluster.local", "fed", "digits")


def status(**conditions):
    return FederatedTrainingStatus(
        conditions=tuple(
            Condition(type=kind, status=ConditionStatus(says), reason=reason, message="m", lastTransitionTime="t")
            for kind, (says, reason) in conditions.items()
        )
    )


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (None, {"Ready": ("False", "RollingOut")}, ["RollingOut"]),
        ({"Ready": ("False", "RollingOut")}, {"Ready": ("False", "RollingOut")}, []),
        ({"Ready": ("False", "RollingOut")}, {"Ready": ("True", "Training")}, ["Training"]),
        (None, {"Suspended": ("False", "Active"), "Stalled": ("False", "Progressing")}, []),
        ({"Suspended": ("True", "Paused")}, {"Suspended": ("False", "Active")}, ["Active"]),
        (None, {"Certificates": ("Unknown", "NotObserved")}, []),
        ({"Reconciling": ("False", "Done")}, {"Reconciling": ("True", "RollingOut")}, []),
        (None, {"Stalled": ("True", "ForeignObject")}, ["ForeignObject"]),
        (
            {"Ready": ("True", "Training"), "Stalled": ("False", "Progressing")},
            {"Ready": ("False", "ForeignObject"), "Stalled": ("True", "ForeignObject")},
            ["ForeignObject"],
        ),
        (
            {"Ready": ("False", "ForeignObject"), "Stalled": ("True", "ForeignObject")},
            {"Ready": ("False", "RollingOut"), "Stalled": ("False", "Progressing")},
            ["RollingOut", "Progressing"],
        ),
        ({"Ready": ("True", "Training")}, {"Ready": ("False", "ServerNotReady")}, ["ServerNotReady"]),
        ({"Ready": ("False", "RollingOut")}, {"Ready": ("False", "ServerStarting")}, ["ServerStarting"]),
        (
            {"Ready": ("False", "RollingOut"), "Reconciling": ("True", "RollingOut")},
            {"Ready": ("False", "ObjectRefused"), "Reconciling": ("True", "ObjectRefused")},
            ["ObjectRefused"],
        ),
        (
            {"Ready": ("True", "Training"), "Reconciling": ("False", "Training")},
            {"Ready": ("True", "Training"), "Reconciling": ("True", "ObjectRefused")},
            ["ObjectRefused"],
        ),
        (
            {"Ready": ("False", "ApiError"), "Reconciling": ("True", "ApiError")},
            {"Ready": ("False", "ApiError"), "Reconciling": ("True", "ApiError")},
            [],
        ),
        (
            {"Ready": ("False", "ApiError"), "Reconciling": ("True", "ApiError")},
            {"Ready": ("False", "RollingOut"), "Reconciling": ("True", "RollingOut")},
            ["RollingOut"],
        ),
        ({"Ready": ("True", "Training")}, {"Ready": ("False", "StewardUnreachable")}, ["StewardUnreachable"]),
    ],
)
def test_what_is_news_is_told(before, after, told):
    found = transitions(status(**before) if before is not None else None, status(**after))
    assert [each.reason for each in found] == told
    assert all((each.type == "Warning") == (each.reason in WARNINGS) for each in found)


def order(identity, reason="Missing"):
    return CertificateOrder("s", identity, (), timedelta(hours=24), reason)


def test_one_event_for_each_reason():
    orders = [order(FEDERATION.client(f"c{index}")) for index in range(5)]
    orders += [order(FEDERATION.server()), order(FEDERATION.client("berlin"), "Requested")]
    assert [each.note for each in issued(orders, {})] == [
        "Issued 6 certificates for server and 5 clients, valid for 24 h (there was none).",
        "Issued a certificate for client berlin, valid for 24 h (somebody asked for it).",
    ]
    assert issued([], {}) == []


@pytest.mark.parametrize("reason", RenewalReason)
def test_each_reason_is_told_in_words_and_stays_one_word_in_the_action(reason):
    (told,) = issued([order(FEDERATION.server(), reason.value)], {})
    assert told.action == reason.value
    assert reason.value not in told.note
    assert " " in told.note.partition("(")[2]


def test_the_same_certificates_issued_again_are_another_event_by_their_serials():
    one, all_of_them = (
        [order(FEDERATION.client("berlin"))],
        [order(FEDERATION.server()), order(FEDERATION.aggregator())],
    )
    for orders in (one, all_of_them):
        first, again, later = (issued(orders, {"s": SimpleNamespace(serial_number=serial)}) for serial in (7, 7, 8))
        assert first == again != later
    (told,) = issued(one, {"s": SimpleNamespace(serial_number=0xABCDEF0123)})
    assert told.note.startswith("Issued a certificate for client berlin, serial abcd…, valid for 24 h")


def clients(**states):
    """A status with these clients in need of a look, in this order."""
    worst = tuple(
        ClientReport(name=name, state=state, message="Last round: the reply answers round 6.")
        for name, state in states.items()
    )
    return FederatedTrainingStatus(round=7, clients=ClientsStatus(worst=worst))


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (None, clients(jena="refused"), ["Round 7, client jena: the reply answers round 6."]),
        (clients(), clients(jena="refused"), ["Round 7, client jena: the reply answers round 6."]),
        (clients(jena="offline"), clients(jena="refused"), ["Round 7, client jena: the reply answers round 6."]),
        (clients(jena="refused"), clients(jena="refused"), []),
        (clients(jena="banned"), clients(jena="refused"), []),
        (clients(), clients(jena="banned"), ["Client jena is on the deny list: shut out of the training."]),
        (
            clients(jena="refused"),
            clients(jena="banned", kiel="banned"),
            ["Clients jena, kiel are on the deny list: shut out of the training."],
        ),
        (clients(jena="banned"), clients(jena="banned"), []),
        (clients(jena="banned"), clients(), []),
        (clients(), clients(jena="outvoted", kiel="absent", mainz="offline"), []),
        (clients(), FederatedTrainingStatus(), []),
    ],
)
def test_who_is_kept_out_is_told_once(before, after, told):
    found = kept_out(before, after)
    assert [each.note for each in found] == told
    assert all(each.type == "Warning" for each in found)


def test_a_rejection_and_a_ban_are_told_apart():
    told = kept_out(clients(), clients(jena="banned", kiel="refused"))
    assert [(each.reason, "jena" in each.note, "kiel" in each.note) for each in told] == [
        ("UpdateRejected", False, True),
        ("ClientBanned", True, False),
    ]


def crowd(state, number=WORST_CLIENTS, first=0):
    return {f"c{each}": state for each in range(first, first + number)}


def test_of_many_a_few_are_named():
    (rejected,) = kept_out(None, clients(**crowd("refused")))
    assert rejected.note.count("client c") == 3
    assert rejected.note.endswith("; and 17 more.")
    (banned,) = kept_out(None, clients(**crowd("banned")))
    assert banned.note.startswith("Clients c0, c1, c2, c3, c4 and 15 more are")


def test_where_status_had_no_room_for_all_nobody_is_told_twice():
    others = crowd("refused", first=5)
    assert kept_out(clients(**crowd("refused")), clients(**others)) == []
    assert [each.reason for each in kept_out(clients(**crowd("refused")), clients(c7="banned"))] == ["ClientBanned"]
    assert kept_out(clients(**crowd("banned")), clients(**crowd("banned", first=5))) == []
    room = crowd("refused", WORST_CLIENTS - 1) | {"last": "offline"}
    assert len(kept_out(clients(**room), clients(**others))) == 1
