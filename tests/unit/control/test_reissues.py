"""What is made anew is told each time, and what stands is not told again."""

import base64
import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from shieldwall.contract.identity import Federation
from shieldwall.control.cluster.entries import plain
from shieldwall.control.issuing.contents import authority_files, root_files
from shieldwall.control.issuing.facts import authority_of, published_ca
from shieldwall.control.issuing.randomness import Randomness
from shieldwall.control.notices import authority_replaced
from shieldwall.control.plan.orders import Observed, Trust
from shieldwall.pki.serials import serial_text

from .conftest import NOW, SECRETS, TRAININGS, replica, training_body

KEY = ("fed", "digits")
LEAF = f"{SECRETS}/digits-tls-c0"
CA = f"{SECRETS}/digits-ca"
TRUST = "/api/v1/namespaces/fed/configmaps/digits-trust"


async def passes(parts, number=1):
    for _ in range(number):
        await parts.worker._lister.everything()
        await parts.reconciler.reconcile(KEY)


def told(cluster, reason):
    return [body for path, body in cluster.objects.items() if "/events/" in path and body["reason"] == reason]


def spoil(cluster, path, **entries):
    """Put other entries into a Secret."""
    body = cluster.objects.pop(path)
    metadata = {name: value for name, value in body["metadata"].items() if name != "resourceVersion"}
    encoded = {name: base64.b64encode(content).decode() for name, content in entries.items()}
    cluster.put({**body, "metadata": metadata, "data": {**body["data"], **encoded}})


async def test_each_issuance_of_one_hour_is_told(cluster):
    cluster.put(training_body())
    async with replica(cluster) as parts:
        await passes(parts)
        for number in range(3):
            assert len(told(cluster, "CertificateIssued")) == 1 + number
            spoil(cluster, LEAF, **{"tls.key": b"spoilt"})
            await passes(parts)
    notes = [each["note"] for each in told(cluster, "CertificateIssued")]
    assert len(set(notes)) == len(notes) == 4


async def test_a_hundred_passes_that_make_nothing_tell_nothing(cluster):
    cluster.put(training_body())
    async with replica(cluster) as parts:
        await passes(parts, 2)
        cluster.requests.clear()
        await passes(parts, 100)
    assert not [line for line in cluster.requests if not line.startswith("GET ")]


def lose(cluster):
    del cluster.objects[CA]


def plant(cluster):
    """A foreign CA and its key, beside the root that stands there."""
    files = foreign()
    spoil(cluster, CA, **{name: files[name] for name in ("tls.crt", "tls.key")})


def foreign():
    random = Randomness()
    root = authority_of(root_files("another", NOW, random))
    return authority_files(root, Federation("cluster.local", *KEY), timedelta(hours=24), NOW, random)


def serial(cluster):
    return serial_text(authority_of(plain(cluster.objects[CA])).certificate.serial_number)


def warnings(caplog):
    return [each.message for each in caplog.records if each.levelno == logging.WARNING]


async def test_a_replaced_ca_is_told_and_logged_each_time_with_both_serials(cluster, caplog):
    cluster.put(training_body())
    async with replica(cluster) as parts:
        await passes(parts, 2)
        serials = [serial(cluster)]
        assert told(cluster, "AuthorityReplaced") == [], "its first CA replaces none"
        assert warnings(caplog) == []
        for change in (lose, plant, plant):
            change(cluster)
            await passes(parts, 2)
            serials.append(serial(cluster))
    events = told(cluster, "AuthorityReplaced")
    assert len(events) == len(set(serials)) - 1 == 3
    for event, old, new in zip(events, serials, serials[1:], strict=False):
        assert event["type"] == "Warning"
        assert old in event["note"]
        assert new in event["note"]
    assert warnings(caplog) == [f"fed/digits: {event['note']}" for event in events]
    reissued = [each for each in told(cluster, "CertificateIssued") if each["action"] == "IssuerChanged"]
    assert len(reissued) == 3


async def test_the_old_serial_is_known_though_bundle_or_status_was_lost_too(cluster):
    cluster.put(training_body())
    async with replica(cluster) as parts:
        await passes(parts, 2)
        old = serial(cluster)
        del cluster.objects[CA], cluster.objects[TRUST]
        await passes(parts, 2)
        assert old in told(cluster, "AuthorityReplaced")[0]["note"]
        old = serial(cluster)
        del cluster.objects[CA]
        body = cluster.objects.pop(f"{TRAININGS}/digits")
        metadata = {name: value for name, value in body["metadata"].items() if name != "resourceVersion"}
        cluster.put({**body, "metadata": metadata, "status": {}})
        await passes(parts, 2)
        assert old in told(cluster, "AuthorityReplaced")[1]["note"]


def test_a_ca_of_which_only_its_leaves_are_left_was_one():
    assert authority_replaced("digits", None, Observed(), None) is None
    found = authority_replaced("digits", None, Observed(leaves={"digits-tls-c0": object()}), None)
    assert "serial unknown, was lost or spoilt" in found.note


def test_a_ca_that_ran_out_is_not_called_lost():
    ca = published_ca(foreign()["tls.crt"].decode())
    before = Observed(trust=Trust(foreign()["tls.crt"].decode(), ""))
    assert "was lost or spoilt" in authority_replaced("digits", None, before, ca).note
    assert (
        "can sign for this training no more" in authority_replaced("digits", None, replace(before, issuer=ca), ca).note
    )


@pytest.mark.parametrize("bundle", ["", "no PEM", "ä" * 20_000, foreign()["tls.crt"].decode() * 100])
def test_what_is_no_bundle_names_no_ca(bundle):
    assert published_ca(bundle) is None
