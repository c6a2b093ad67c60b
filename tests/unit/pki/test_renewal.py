from __future__ import annotations

import os
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from shieldwall.contract.identity import Role
from shieldwall.pki.authority import new_issuer
from shieldwall.pki.leaf import LeafRequest, issue
from shieldwall.pki.renewal import RenewalReason, issuer_reason, renewal_reason, renewal_time
from shieldwall.pki.serials import new_serial

LIFETIMES = st.timedeltas(timedelta(hours=1), timedelta(days=30))
SECOND = timedelta(seconds=1)


def reason(world, leaf, now, wanted=None, issuer=None):
    return renewal_reason(leaf, issuer or world.issuer.certificate, wanted or world.request(Role.CLIENT), now)


@given(lifetime=LIFETIMES)
def test_renewal_is_due_between_57_and_67_percent_of_the_life(world, lifetime):
    leaf = world.leaf(Role.CLIENT, lifetime=lifetime)
    life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    due = renewal_time(leaf) - leaf.not_valid_before_utc
    assert (2 / 3 - 1 / 10) * life - SECOND <= due <= life * 2 / 3
    assert renewal_time(leaf) == renewal_time(leaf)


def test_the_jitter_hangs_on_the_serial_and_spreads(world):
    request, key = world.request(Role.CLIENT), world.key.public_key()
    times = [renewal_time(issue(world.issuer, request, key, serial, world.now)) for serial in range(1, 101)]
    assert times == [renewal_time(issue(world.issuer, request, key, serial, world.now)) for serial in range(1, 101)]
    life = timedelta(hours=24, minutes=5)
    assert max(times) - min(times) > life * 0.09
    assert len(set(times)) == 100


def test_a_leaf_is_renewed_from_its_renewal_time_on(world):
    leaf = world.leaf(Role.CLIENT)
    assert reason(world, leaf, renewal_time(leaf) - SECOND) is None
    assert reason(world, leaf, renewal_time(leaf)) is RenewalReason.RENEWAL_DUE
    assert reason(world, leaf, leaf.not_valid_after_utc + SECOND) is RenewalReason.EXPIRED
    assert reason(world, leaf, world.now + timedelta(days=730)) is RenewalReason.EXPIRED
    assert reason(world, leaf, leaf.not_valid_before_utc - SECOND) is RenewalReason.NOT_YET_VALID


@given(
    role=st.sampled_from(Role),
    lifetime=LIFETIMES,
    after=st.timedeltas(timedelta(0), timedelta(days=90)),
)
def test_what_was_just_issued_is_not_issued_again(world, role, lifetime, after):
    # The fixpoint: idle passes write nothing, in the last minutes of the issuer too.
    now, wanted = world.now + after, world.request(role, lifetime)
    leaf = issue(world.issuer, wanted, world.key.public_key(), new_serial(os.urandom), now)
    assert reason(world, leaf, now, wanted) is None


def test_a_leaf_that_ends_with_its_issuer_is_not_renewed_in_its_last_minutes(world):
    end = world.issuer.certificate.not_valid_after_utc
    leaf = world.leaf(Role.CLIENT, end - timedelta(minutes=2))
    assert renewal_time(leaf) < end - timedelta(minutes=2)
    assert reason(world, leaf, end) is None
    assert reason(world, leaf, end + SECOND) is RenewalReason.EXPIRED


def test_every_change_has_its_reason(world):
    leaf = world.leaf(Role.SERVER)
    wanted = world.request(Role.SERVER)
    assert reason(world, None, world.now, wanted) is RenewalReason.MISSING
    assert reason(world, leaf, world.now, wanted) is None
    other = LeafRequest(wanted.identity, ("other.svc",), wanted.lifetime)
    assert reason(world, leaf, world.now, other) is RenewalReason.NAMES_CHANGED
    shorter = LeafRequest(wanted.identity, wanted.dns_names, timedelta(hours=2))
    assert reason(world, leaf, world.now, shorter) is RenewalReason.LIFETIME_CHANGED
    longer = LeafRequest(wanted.identity, wanted.dns_names, timedelta(days=7))
    assert reason(world, leaf, world.now, longer) is None
    assert reason(world, leaf, world.now, world.request(Role.CLIENT)) is RenewalReason.IDENTITY_CHANGED


def test_the_order_of_names_is_no_change(world):
    wanted = world.request(Role.SERVER)
    turned = LeafRequest(wanted.identity, wanted.dns_names[::-1], wanted.lifetime)
    assert reason(world, world.leaf(Role.SERVER), world.now, turned) is None


def test_a_leaf_of_a_former_issuer_is_issued_anew(world):
    successor = new_issuer(world.root, world.digits, new_key(), world.serial(), world.now).certificate
    assert reason(world, world.leaf(Role.CLIENT), world.now, issuer=successor) is RenewalReason.ISSUER_CHANGED


def test_a_leaf_of_another_profile_is_issued_anew(world):
    # Made by hand without a purpose, which is every purpose.
    good = world.leaf(Role.CLIENT)
    builder = x509.CertificateBuilder(
        good.issuer, good.subject, good.public_key(), 5, good.not_valid_before_utc, good.not_valid_after_utc
    )
    for each in good.extensions:
        if not isinstance(each.value, x509.ExtendedKeyUsage):
            builder = builder.add_extension(each.value, each.critical)
    leaf = builder.sign(world.issuer.key, hashes.SHA256())
    assert reason(world, leaf, world.now) is RenewalReason.PROFILE_CHANGED


def test_an_issuer_is_replaced_at_its_time(world):
    issuer, root = world.issuer.certificate, world.root.certificate
    assert issuer_reason(None, root, world.now) is RenewalReason.MISSING
    assert issuer_reason(issuer, root, world.now) is None
    assert issuer_reason(issuer, root, renewal_time(issuer)) is RenewalReason.RENEWAL_DUE
    assert issuer_reason(issuer, root, world.now + timedelta(days=730)) is RenewalReason.EXPIRED
    assert issuer_reason(issuer, root, world.now - timedelta(days=1)) is RenewalReason.NOT_YET_VALID
    assert issuer_reason(issuer, world.other_issuer.certificate, world.now) is RenewalReason.ISSUER_CHANGED


@pytest.mark.parametrize("each", RenewalReason)
def test_reasons_are_camel_case_words(each):
    assert each.value[0].isupper()
    assert each.value.isalpha()


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())
