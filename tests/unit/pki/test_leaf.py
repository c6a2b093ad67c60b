from __future__ import annotations

import os
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from shieldwall.contract.identity import LABEL_PATTERN, TRUST_DOMAIN_PATTERN, Federation, Identity, Role
from shieldwall.pki.authority import Authority, new_issuer
from shieldwall.pki.errors import IssuerNotValidError, RefusedRequestError, UnsupportedKeyError, WrongIssuerError
from shieldwall.pki.extensions import authority_key, find, subject_key
from shieldwall.pki.leaf import LeafRequest, issue
from shieldwall.pki.serials import new_serial, serial_text
from shieldwall.pki.verify import verify_leaf

LABELS = st.from_regex(LABEL_PATTERN, fullmatch=True)
DOMAINS = st.from_regex(TRUST_DOMAIN_PATTERN, fullmatch=True)
LIFETIMES = st.timedeltas(timedelta(hours=1), timedelta(days=30))
FEDERATIONS = st.builds(Federation, DOMAINS, LABELS, LABELS)
KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize("role", Role)
def test_a_leaf_is_exactly_of_the_profile(world, role):
    leaf = world.leaf(role)
    kinds = {type(each.value): each.critical for each in leaf.extensions}
    assert kinds == {
        x509.BasicConstraints: True,
        x509.KeyUsage: True,
        x509.ExtendedKeyUsage: False,
        x509.SubjectAlternativeName: False,
        x509.SubjectKeyIdentifier: False,
        x509.AuthorityKeyIdentifier: False,
    }
    wanted = ExtendedKeyUsageOID.SERVER_AUTH if role is Role.SERVER else ExtendedKeyUsageOID.CLIENT_AUTH
    assert find(leaf, x509.ExtendedKeyUsage) == x509.ExtendedKeyUsage([wanted])
    assert authority_key(leaf) == subject_key(world.issuer.certificate)
    assert leaf.not_valid_before_utc == world.now - timedelta(minutes=5)
    assert leaf.not_valid_after_utc == world.now + timedelta(hours=24)
    names = find(leaf, x509.SubjectAlternativeName)
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [world.identity(role).uri]
    assert names.get_values_for_type(x509.DNSName) == list(world.request(role).dns_names)
    assert names.get_values_for_type(x509.IPAddress) == []


@given(federation=FEDERATIONS, role=st.sampled_from(Role), client=LABELS, lifetime=LIFETIMES)
def test_whatever_is_issued_verifies_as_what_was_asked_for(world, federation, role, client, lifetime):
    identity = Identity(federation, role, client if role is Role.CLIENT else None)
    issuer = new_issuer(world.root, federation, KEY, new_serial(os.urandom), world.now)
    request = LeafRequest(identity, ("a.b",) if role is Role.SERVER else (), lifetime)
    leaf = issue(issuer, request, KEY.public_key(), new_serial(os.urandom), world.now)
    assert verify_leaf(leaf, [issuer.certificate], world.now, role) == identity


@given(lifetime=LIFETIMES, after=st.timedeltas(timedelta(0), timedelta(days=90)))
def test_no_leaf_outlives_its_issuer_or_what_was_asked_for(world, lifetime, after):
    now = world.now + after
    leaf = world.leaf(Role.CLIENT, now, lifetime)
    assert leaf.not_valid_after_utc <= world.issuer.certificate.not_valid_after_utc
    assert leaf.not_valid_after_utc <= now + lifetime
    assert world.issuer.certificate.not_valid_before_utc <= leaf.not_valid_before_utc <= now
    assert verify_leaf(leaf, [world.issuer.certificate], now, Role.CLIENT) == world.identity(Role.CLIENT)


def test_no_leaf_begins_before_its_issuer(world):
    issuer = world.issuer.certificate
    early = issuer.not_valid_before_utc + timedelta(seconds=10)
    assert world.leaf(Role.CLIENT, early).not_valid_before_utc == issuer.not_valid_before_utc


@pytest.mark.parametrize("seconds", [-301, 90 * 86400 + 1])
def test_an_issuer_that_is_not_valid_signs_nothing(world, seconds):
    with pytest.raises(IssuerNotValidError):
        world.leaf(Role.CLIENT, world.now + timedelta(seconds=seconds))


@given(lifetime=st.timedeltas().filter(lambda each: not timedelta(hours=1) <= each <= timedelta(days=30)))
def test_lifetimes_out_of_bounds_are_refused(world, lifetime):
    with pytest.raises(RefusedRequestError) as caught:
        world.request(Role.CLIENT, lifetime)
    assert caught.value.field == "lifetime"


@pytest.mark.parametrize(
    ("role", "names"),
    [
        (Role.CLIENT, ("a.b",)),
        (Role.AGGREGATOR, ("a.b",)),
        (Role.OPERATOR, ("a.b",)),
        (Role.SERVER, ()),
        (Role.SERVER, ("*.a.b",)),
        (Role.SERVER, ("A.b",)),
        (Role.SERVER, ("a b",)),
        (Role.SERVER, ("",)),
        (Role.SERVER, ("127.0.0.1",)),
        (Role.SERVER, ("a.b", ".".join(["a" * 63] * 4))),
    ],
)
def test_names_that_are_not_allowed_are_refused(world, role, names):
    with pytest.raises(RefusedRequestError) as caught:
        LeafRequest(world.identity(role), names, timedelta(hours=24))
    assert caught.value.field == "dns_names"


def test_an_issuer_signs_for_its_own_training_only(world):
    request = world.request(Role.CLIENT)
    with pytest.raises(WrongIssuerError):
        issue(world.other_issuer, request, KEY.public_key(), 1, world.now)
    with pytest.raises(WrongIssuerError, match="no training"):
        issue(world.root, request, KEY.public_key(), 1, world.now)


def test_keys_of_other_curves_get_no_leaf(world):
    key = ec.generate_private_key(ec.SECP384R1()).public_key()
    with pytest.raises(UnsupportedKeyError):
        issue(world.issuer, world.request(Role.CLIENT), key, 1, world.now)


def test_clock_plus_two_years_heals_with_the_same_root(world):
    later = world.now + timedelta(days=730)
    issuer: Authority = new_issuer(world.root, world.digits, KEY, new_serial(os.urandom), later)
    leaf = issue(issuer, world.request(Role.CLIENT), KEY.public_key(), new_serial(os.urandom), later)
    assert verify_leaf(leaf, [issuer.certificate], later, Role.CLIENT) == world.identity(Role.CLIENT)


@given(st.binary(min_size=16, max_size=16))
def test_serials_are_positive_and_fit_with_all_their_random_bits(drawn):
    asked = []
    serial = new_serial(lambda size: asked.append(size) or drawn)
    assert asked == [16]
    assert 0 < serial < 1 << 128
    assert serial == int.from_bytes(drawn) or not any(drawn)
    assert int(serial_text(serial), 16) == serial


def test_the_highest_serial_can_be_issued(world):
    leaf = issue(world.issuer, world.request(Role.CLIENT), KEY.public_key(), (1 << 128) - 1, world.now)
    assert leaf.serial_number == (1 << 128) - 1
