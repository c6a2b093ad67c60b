from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from shieldwall.contract.identity import Federation, Role
from shieldwall.pki.authority import Authority, federation_of, new_issuer, new_root
from shieldwall.pki.errors import (
    IssuerNotValidError,
    KeyMismatchError,
    MalformedPemError,
    RefusedRequestError,
    UnsupportedKeyError,
)
from shieldwall.pki.extensions import authority_key, find, subject_key
from shieldwall.pki.pem import certificates_to_pem, private_key_to_pem


def p256() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def test_the_root_may_have_one_level_of_authorities_below_it_for_ten_years(world):
    root = world.root.certificate
    constraints = root.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=1)
    assert root.not_valid_after_utc - world.now == timedelta(days=3652)
    assert authority_key(root) == subject_key(root) is not None
    root.verify_directly_issued_by(root)


def test_an_issuing_ca_has_no_authority_below_it_for_ninety_days(world):
    issuer = world.issuer.certificate
    assert find(issuer, x509.BasicConstraints) == x509.BasicConstraints(ca=True, path_length=0)
    assert issuer.not_valid_after_utc - world.now == timedelta(days=90)
    assert authority_key(issuer) == subject_key(world.root.certificate)
    usage = issuer.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert usage.value.crl_sign
    assert not usage.value.digital_signature
    issuer.verify_directly_issued_by(world.root.certificate)


def test_an_issuing_ca_says_whose_it_is(world):
    assert federation_of(world.issuer.certificate) == world.digits
    assert federation_of(world.root.certificate) is None


def test_two_authorities_of_one_training_never_share_a_name(world):
    again = new_issuer(world.root, world.digits, p256(), world.serial(), world.now)
    assert again.certificate.subject != world.issuer.certificate.subject


def test_the_longest_names_fit(world):
    longest = Federation("t" * 253, "n" * 63, "m" * 63)
    issuer = new_issuer(world.root, longest, p256(), 2**128 - 1, world.now)
    assert federation_of(issuer.certificate) == longest


def test_authorities_survive_export_and_import(world):
    pem = world.issuer.to_pem()
    again = Authority.from_pem(pem.certificate, pem.key.encode())
    assert again.certificate == world.issuer.certificate
    assert again.key.private_numbers() == world.issuer.key.private_numbers()
    assert "PRIVATE" not in repr(pem)


def test_import_refuses_a_key_of_another_authority(world):
    with pytest.raises(KeyMismatchError) as caught:
        Authority.from_pem(world.issuer.to_pem().certificate, world.root.to_pem().key)
    assert caught.value.serial == world.issuer.certificate.serial_number


@pytest.mark.parametrize(("certificate", "key"), [("", None), (None, ""), ("no pem", None), (None, "no pem")])
def test_import_refuses_what_is_no_pem_and_never_quotes_it(world, certificate, key):
    pem = world.issuer.to_pem()
    with pytest.raises(MalformedPemError) as caught:
        Authority.from_pem(pem.certificate if certificate is None else certificate, pem.key if key is None else key)
    assert "no pem" not in str(caught.value)


def test_import_refuses_a_leaf(world):
    with pytest.raises(MalformedPemError):
        Authority.from_pem(certificates_to_pem([world.leaf(Role.CLIENT)]), private_key_to_pem(world.key))


def test_other_curves_are_refused(world):
    with pytest.raises(UnsupportedKeyError, match="secp384r1"):
        new_root("r", ec.generate_private_key(ec.SECP384R1()), 1, world.now)


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_a_root_needs_a_name_that_fits(world, name):
    with pytest.raises(RefusedRequestError) as caught:
        new_root(name, p256(), 1, world.now)
    assert caught.value.field == "name"


def test_an_issuing_ca_that_lives_less_than_three_leaves_is_refused(world):
    leaf = timedelta(days=30)
    new_issuer(world.root, world.digits, p256(), 1, world.now, 3 * leaf, leaf_lifetime=leaf)
    with pytest.raises(RefusedRequestError) as caught:
        new_issuer(world.root, world.digits, p256(), 1, world.now, 3 * leaf - timedelta(seconds=1), leaf_lifetime=leaf)
    assert caught.value.field == "lifetime"


def test_an_issuing_ca_ends_with_its_root_and_not_after_it(world):
    late = world.root.certificate.not_valid_after_utc - timedelta(days=10)
    issuer = new_issuer(world.root, world.digits, p256(), 1, late)
    assert issuer.certificate.not_valid_after_utc == world.root.certificate.not_valid_after_utc


def test_a_root_at_its_end_is_refused_by_its_name(world):
    end = world.root.certificate.not_valid_after_utc
    with pytest.raises(RefusedRequestError) as caught:
        new_issuer(world.root, world.digits, p256(), 1, end - timedelta(days=2))
    assert caught.value.field == "root"
    with pytest.raises(IssuerNotValidError):
        new_issuer(world.root, world.digits, p256(), 1, end + timedelta(seconds=1))
