"""Certificates over time, with a clock that is moved."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from shieldwall.pki.renewal import renewal_time

from .conftest import Clock, passes, quiet, replica, training

pytestmark = pytest.mark.slow

SECRETS = {
    "server": "digits-server-tls",
    "aggregator": "digits-aggregator-tls",
    **{f"client/c{index}": f"digits-tls-c{index}" for index in range(3)},
}
LEAVES = tuple(SECRETS.values())


def leaf(space, secret):
    return x509.load_pem_x509_certificate(base64.b64decode(space.get("secrets", secret)["data"]["tls.crt"]))


def serials(space):
    return {secret: leaf(space, secret).serial_number for secret in LEAVES}


def ends(space):
    """When each leaf ends, by whose it is."""
    return {subject: leaf(space, secret).not_valid_after_utc for subject, secret in SECRETS.items()}


def told_ends(space):
    """The same by the training's status."""
    told = space.status()["pki"]["certificates"]
    return {each["subject"]: datetime.fromisoformat(each["notAfter"]) for each in told}


async def test_each_leaf_is_renewed_on_time_and_once(space):
    """Minute by minute from the first renewal to the last: each Secret changes once, when it is due and not before."""
    space.apply(training(space))
    clock = Clock()
    async with replica(space, clock) as parts:
        await quiet(parts, space)
        assert told_ends(space) == ends(space)
        first = serials(space)
        due = {secret: renewal_time(leaf(space, secret)) for secret in LEAVES}
        assert clock() + timedelta(hours=13) < min(due.values()) <= max(due.values()) < clock() + timedelta(hours=16.1)
        for secret in sorted(due, key=due.get):
            clock.ahead = due[secret] - datetime.now(UTC) - timedelta(seconds=30)
            before = serials(space)
            await passes(parts, space)
            assert serials(space) == before, "too early"
            clock.ahead += timedelta(seconds=31)
            await passes(parts, space)
            changed = {name for name, serial in serials(space).items() if serial != before[name]}
            assert changed == {secret}
            assert told_ends(space) == ends(space)
        assert all(serial != first[name] for name, serial in serials(space).items())


async def test_after_two_years_asleep_everything_heals_by_itself(space):
    space.apply(training(space))
    clock = Clock()
    async with replica(space, clock) as parts:
        await quiet(parts, space)
        old = base64.b64decode(space.get("secrets", "digits-ca")["data"]["tls.crt"])
        clock.ahead += timedelta(days=730)
        await passes(parts, space)
        new = base64.b64decode(space.get("secrets", "digits-ca")["data"]["tls.crt"])
        assert new != old
        issuer = x509.load_pem_x509_certificate(new)
        for secret in LEAVES:
            leaf(space, secret).verify_directly_issued_by(issuer)
        trust = space.get("configmaps", "digits-trust")["data"]
        assert x509.load_pem_x509_certificate(trust["ca.crt"].encode()) == issuer
        crl = x509.load_pem_x509_crl(trust["ca.crl"].encode())
        assert crl.next_update_utc > clock()


async def test_the_crl_is_signed_anew_long_before_its_end(space):
    space.apply(training(space))
    clock = Clock()
    async with replica(space, clock) as parts:
        await quiet(parts, space)
        ends = []
        for _ in range(4):
            crl = x509.load_pem_x509_crl(space.get("configmaps", "digits-trust")["data"]["ca.crl"].encode())
            ends.append(crl.next_update_utc)
            assert crl.next_update_utc - clock() > timedelta(days=3)
            clock.ahead += timedelta(days=3.6)
            await passes(parts, space)
        assert ends == sorted(set(ends))


@pytest.mark.parametrize(("subject", "secrets"), [
    ("all", set(LEAVES)), ("server", {"digits-server-tls"}), ("client.c1", {"digits-tls-c1"}),
])  # fmt: skip
async def test_a_request_renews_once_whoever_repeats_it(space, subject, secrets):
    space.apply(training(space))
    async with replica(space) as parts:
        await quiet(parts, space)
        before = serials(space)
        ask = {"metadata": {"annotations": {f"renew.shieldwall.dev/{subject}": "2026-11-23-key-lost"}}}
        space.patch("federatedtrainings", "digits", ask)
        await passes(parts, space)
        after = serials(space)
        assert {name for name in LEAVES if after[name] != before[name]} == secrets
        space.patch("federatedtrainings", "digits", ask)
        await quiet(parts, space)
        assert serials(space) == after
        assert space.status()["pki"]["requests"] == [{"subject": subject, "nonce": "2026-11-23-key-lost"}]
    async with replica(space) as parts:
        await passes(parts, space)
        assert serials(space) == after
