import dataclasses
import datetime as dt

import pytest

from shieldwall.control.plan.names import Names
from shieldwall.control.status.leaves import LATE_AFTER
from shieldwall.control.status.summarise import summarise
from shieldwall.pki.renewal import renewal_time

NAMES = Names("digits")
SECRETS = {"server": NAMES.server_tls, "aggregator": NAMES.aggregator_tls, "client/site-1": NAMES.client_tls("site-1")}


def renewed(world, secret, *, wait=dt.timedelta(0)):
    """A sight in which a leaf was renewed ``wait`` ago and the one before is in use."""
    training = world.training()
    before = world.observed(training)
    at = world.now + dt.timedelta(hours=1)
    steward = world.steward(training, before, seen=at + wait)
    return world.sight(training, now=at + wait, observed=world.renew(before, secret, at), steward=steward)


def test_every_leaf_that_was_seen_is_counted(world, condition):
    status = summarise(world.sight())
    found = condition(status, "Certificates")
    assert (found.status, found.reason, found.message) == ("True", "AllServed", "5 leaves issued and seen in use.")
    assert (status.pki.served, status.pki.total) == (5, 5)
    assert all(each.served for each in status.pki.certificates)


@pytest.mark.parametrize("subject", SECRETS)
def test_a_renewed_leaf_is_not_served_before_its_own_serial_is_seen(world, condition, check, subject):
    status = summarise(renewed(world, SECRETS[subject]))
    found = condition(status, "Certificates")
    assert (found.status, found.reason) == ("True", "Renewing")
    assert subject in found.message
    assert (status.pki.served, status.pki.total) == (4, 5)
    first = status.pki.certificates[0]
    assert (first.subject, first.served) == (subject, False)
    assert check(status, "CertificatesServed").state == "observed"


def test_a_renewed_leaf_that_nobody_takes_up_is_a_fault_after_a_while(world, condition, check):
    assert condition(summarise(renewed(world, SECRETS["server"], wait=LATE_AFTER)), "Certificates").status == "True"
    status = summarise(renewed(world, SECRETS["server"], wait=LATE_AFTER + dt.timedelta(seconds=1)))
    found = condition(status, "Certificates")
    assert (found.status, found.reason) == ("False", "NotServed")
    assert "server" in found.message
    assert check(status, "CertificatesServed").state == "failed"


def test_a_client_that_never_showed_its_certificate_is_named(world, condition):
    training = world.training()
    observed = world.observed(training)
    silent = world.client(observed, "site-2", serial=None)
    clients = (world.client(observed, "site-0"), world.client(observed, "site-1"), silent)
    status = summarise(world.sight(training, steward=world.steward(training, observed, status={"clients": clients})))
    found = condition(status, "Certificates")
    assert (found.status, found.reason) == ("False", "NotServed")
    assert found.message == (
        "Of 5 leaves, not seen in use yet: client/site-2. If that lasts, look at the events and logs of these pods."
    )


def test_an_expired_leaf_is_named(world, condition):
    training = world.training()
    now = world.now + dt.timedelta(days=2)
    steward = world.steward(training, world.observed(training), seen=now)
    found = condition(summarise(world.sight(training, now=now, steward=steward)), "Certificates")
    assert (found.status, found.reason) == ("False", "Expired")


def test_nothing_is_said_to_be_served_while_nobody_looks(world, condition):
    status = summarise(world.sight(steward=None))
    assert condition(status, "Certificates").status == "Unknown"
    assert status.pki.served == 0
    assert not any(each.served for each in status.pki.certificates)


def test_each_clients_expiry_and_renewal_are_told(world):
    training = world.training()
    leaf = world.observed(training).leaves[SECRETS["client/site-1"]]
    told = {each.subject: each for each in summarise(world.sight(training)).pki.certificates}
    assert set(told) == {"server", "aggregator", "client/site-0", "client/site-1", "client/site-2"}
    assert told["client/site-1"].not_after == f"{leaf.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"
    assert told["client/site-1"].renewal == f"{renewal_time(leaf):%Y-%m-%dT%H:%M:%SZ}"


def test_deadlines_come_in_order_and_hold_the_issuer(world):
    deadlines = summarise(world.sight()).pki.deadlines
    assert [each.due for each in deadlines] == sorted(each.due for each in deadlines)
    assert deadlines[-1].subject == "issuer"
    assert deadlines[-1].due == "2026-05-30T12:00:00Z"


def asked(world, annotations, stamps):
    training = world.training(annotations=annotations)
    observed = dataclasses.replace(world.observed(training), renewals=stamps)
    return [(each.subject, each.nonce) for each in summarise(world.sight(training, observed=observed)).pki.requests]


def test_a_request_is_handled_when_the_leaf_was_issued_for_it(world):
    one = {"renew.shieldwall.dev/client.site-1": "n1"}
    assert asked(world, one, {}) == []
    assert asked(world, one, {SECRETS["client/site-1"]: "|n0"}) == []
    assert asked(world, one, {SECRETS["client/site-1"]: "|n1"}) == [("client.site-1", "n1")]


def test_a_request_for_all_is_handled_with_the_last_of_them(world):
    every = {"renew.shieldwall.dev/all": "n2"}
    stamps = dict.fromkeys(world.observed(world.training()).leaves, "n2|")
    assert asked(world, every, stamps) == [("all", "n2")]
    assert asked(world, every, stamps | {SECRETS["server"]: ""}) == []


def test_requests_do_not_wait_for_one_another(world):
    both = {"renew.shieldwall.dev/all": "n2", "renew.shieldwall.dev/server": "n3"}
    stamps = dict.fromkeys(world.observed(world.training()).leaves, "n2|")
    assert asked(world, both, stamps) == [("all", "n2")]


def crowd(world, observed, number=25):
    """A request for each of so many clients, all carried out, and the stamps that say so."""
    annotations = {f"renew.shieldwall.dev/client.site-{each}": f"n{each}" for each in range(number)}
    return annotations, {NAMES.client_tls(f"site-{each}"): f"|n{each}" for each in range(number)}


@pytest.mark.parametrize("latest", ["client/site-0", "client/site-9", "server"])
def test_of_many_requests_those_carried_out_last_are_told(world, latest):
    observed = world.observed(world.training(25))
    annotations, stamps = crowd(world, observed)
    secret = SECRETS.get(latest) or NAMES.client_tls(latest.removeprefix("client/"))
    asked_as = latest.replace("/", ".")
    annotations |= {f"renew.shieldwall.dev/{asked_as}": "mine"}
    observed = world.renew(observed, secret, world.now + dt.timedelta(minutes=5))
    observed = dataclasses.replace(observed, renewals=stamps | {secret: "|mine"})
    pki = summarise(world.sight(world.training(25, annotations=annotations), observed=observed)).pki
    told = [each.subject for each in pki.requests]
    assert len(told) == 20
    assert told == sorted(told)
    assert (asked_as, "mine") in {(each.subject, each.nonce) for each in pki.requests}
    assert pki.pending == ()


def test_requests_that_are_not_carried_out_are_told_whatever_was(world):
    observed = world.observed(world.training(25))
    annotations, stamps = crowd(world, observed)
    last = NAMES.client_tls("site-9")
    observed = dataclasses.replace(observed, renewals={name: stamp for name, stamp in stamps.items() if name != last})
    training = world.training(25, annotations=annotations | {"renew.shieldwall.dev/server": "n"})
    pki = summarise(world.sight(training, observed=observed)).pki
    assert pki.pending == ("client.site-9", "server")
    assert "client.site-9" not in {each.subject for each in pki.requests}


def test_a_request_for_nobody_is_never_handled_and_named(world, condition):
    stray = {"renew.shieldwall.dev/client.nobody": "n3"}
    assert asked(world, stray, {}) == []
    found = condition(summarise(world.sight(world.training(annotations=stray))), "Certificates")
    assert found.status == "True"
    assert found.message.endswith("not understood, to be corrected or removed: client.nobody.")
