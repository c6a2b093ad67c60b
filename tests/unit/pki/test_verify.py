"""Every way in which a leaf can be wrong, one at a time: each is a good leaf with one thing changed."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku

from shieldwall.contract.identity import Role
from shieldwall.pki.extensions import authority_key_of, key_usage
from shieldwall.pki.verify import (
    ExpiredError,
    IssuerOutOfDateError,
    MalformedCertificateError,
    NotYetValidError,
    UntrustedIssuerError,
    WrongIdentityError,
    WrongPurposeError,
    is_issued_by,
    verify_leaf,
)

GOOD = "spiffe://example.org/ns/demo/training/digits/client/berlin"
URI = x509.UniformResourceIdentifier


def altered(  # noqa: PLR0913  # each argument is one thing that can be wrong
    world, *values, drop=(), key=None, hash_algorithm=None, critical=True, not_after=None
):
    """Berlin's leaf with extensions replaced by ``values``, without those in ``drop``, or with another key."""
    template = world.leaf(Role.CLIENT)
    builder = (
        x509.CertificateBuilder()
        .subject_name(template.subject)
        .issuer_name(template.issuer)
        .public_key(key or world.key.public_key())
        .serial_number(world.serial())
        .not_valid_before(template.not_valid_before_utc)
        .not_valid_after(not_after or template.not_valid_after_utc)
    )
    replaced = {type(value): value for value in values}
    for each in template.extensions:
        if type(each.value) not in drop:
            builder = builder.add_extension(replaced.pop(type(each.value), each.value), each.critical)
    for value in replaced.values():
        builder = builder.add_extension(value, critical)
    return builder.sign(world.issuer.key, hash_algorithm or hashes.SHA256())


def verify(world, leaf, now=None, role=Role.CLIENT, issuers=None):
    return verify_leaf(leaf, issuers or [world.issuer.certificate], now or world.now, role)


@pytest.mark.parametrize("role", Role)
def test_a_good_leaf_gives_its_identity(world, role):
    assert verify(world, world.leaf(role), role=role) == world.identity(role)
    both = [world.other_issuer.certificate, world.issuer.certificate]
    assert verify(world, world.leaf(role), role=role, issuers=both) == world.identity(role)


def test_the_altering_helper_alters_nothing_by_itself(world):
    assert verify(world, altered(world)).uri == GOOD


def test_a_leaf_of_another_training_is_untrusted(world):
    with pytest.raises(UntrustedIssuerError):
        verify(world, world.leaf(Role.CLIENT), issuers=[world.other_issuer.certificate])


def test_the_root_is_no_issuer_of_leaves_and_no_issuers_trust_nobody(world):
    with pytest.raises(UntrustedIssuerError):
        verify_leaf(world.leaf(Role.CLIENT), [world.root.certificate], world.now, Role.CLIENT)
    with pytest.raises(UntrustedIssuerError):
        verify_leaf(world.leaf(Role.CLIENT), [], world.now, Role.CLIENT)


def test_an_issuer_with_the_same_name_and_key_identifier_but_another_key_is_untrusted(world):
    # Name and AKI can be copied by anybody; the signature cannot.
    real, key = world.issuer.certificate, ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder().subject_name(real.subject).issuer_name(real.issuer).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(real.not_valid_before_utc)
    builder = builder.not_valid_after(real.not_valid_after_utc)
    for each in real.extensions:
        builder = builder.add_extension(each.value, each.critical)
    forged = builder.sign(world.root.key, hashes.SHA256())
    with pytest.raises(UntrustedIssuerError):
        verify(world, world.leaf(Role.CLIENT), issuers=[forged])


@pytest.mark.parametrize("identifier", [b"\0" * 20, None])
def test_the_authority_key_identifier_must_be_that_of_the_issuer(world, identifier):
    wrong = (x509.AuthorityKeyIdentifier(identifier, None, None),) if identifier else ()
    drop = () if identifier else (x509.AuthorityKeyIdentifier,)
    with pytest.raises(UntrustedIssuerError):
        verify(world, altered(world, *wrong, drop=drop))


def test_a_leaf_signs_no_leaf(world):
    leaf, key = world.leaf(Role.CLIENT), ec.generate_private_key(ec.SECP256R1())
    assert is_issued_by(leaf, world.issuer.certificate)
    builder = x509.CertificateBuilder(leaf.subject, leaf.subject, key.public_key(), 7)
    builder = builder.not_valid_before(leaf.not_valid_before_utc).not_valid_after(leaf.not_valid_after_utc)
    below = builder.add_extension(authority_key_of(leaf), critical=False).sign(world.key, hashes.SHA256())
    below.verify_directly_issued_by(leaf)
    assert not is_issued_by(below, leaf)


def test_time_decides(world):
    leaf, second = world.leaf(Role.CLIENT), timedelta(seconds=1)
    verify(world, leaf, leaf.not_valid_after_utc)
    verify(world, leaf, leaf.not_valid_before_utc)
    with pytest.raises(ExpiredError):
        verify(world, leaf, leaf.not_valid_after_utc + second)
    with pytest.raises(NotYetValidError):
        verify(world, leaf, leaf.not_valid_before_utc - second)
    with pytest.raises(ExpiredError):
        verify(world, leaf, world.now + timedelta(days=730))


def test_an_issuer_out_of_date_makes_its_leaves_worthless(world):
    # Ours are clamped, so it takes a leaf made by hand.
    leaf = altered(world, not_after=world.now + timedelta(days=100))
    verify(world, leaf)
    with pytest.raises(IssuerOutOfDateError):
        verify(world, leaf, world.now + timedelta(days=95))


@pytest.mark.parametrize(
    "usages", [[Eku.SERVER_AUTH], [Eku.CLIENT_AUTH, Eku.SERVER_AUTH], [Eku.ANY_EXTENDED_KEY_USAGE], None]
)
def test_the_purpose_must_be_the_one_and_only(world, usages):
    values = (x509.ExtendedKeyUsage(usages),) if usages else ()
    drop = () if usages else (x509.ExtendedKeyUsage,)
    with pytest.raises(WrongPurposeError):
        verify(world, altered(world, *values, drop=drop))


@pytest.mark.parametrize("role", [Role.AGGREGATOR, Role.OPERATOR])
def test_another_role_with_the_same_purpose_is_refused(world, role):
    with pytest.raises(WrongIdentityError):
        verify(world, world.leaf(Role.CLIENT), role=role)
    with pytest.raises(WrongIdentityError):
        verify(world, world.leaf(role), role=Role.CLIENT)


@pytest.mark.parametrize(
    "names",
    [
        [URI(GOOD), URI(GOOD.replace("berlin", "leipzig"))],
        [URI(GOOD), URI(GOOD)],
        [URI(GOOD), x509.DNSName("berlin.example")],
        [URI(GOOD), x509.IPAddress(ip_address("127.0.0.1"))],
        [URI(GOOD), x509.RFC822Name("berlin@example.org")],
        [x509.DNSName("berlin.example")],
        [URI("https://example.org/")],
        [URI(GOOD.replace("digits", "other"))],
        [URI(GOOD.replace("demo", "other"))],
        [URI(GOOD.replace("example.org", "elsewhere.org"))],
        [URI(GOOD + "/")],
        None,
    ],
)
def test_exactly_one_identity_of_the_training(world, names):
    values = (x509.SubjectAlternativeName(names),) if names else ()
    drop = () if names else (x509.SubjectAlternativeName,)
    with pytest.raises(WrongIdentityError):
        verify(world, altered(world, *values, drop=drop))


@pytest.mark.parametrize(
    "value",
    [
        x509.BasicConstraints(ca=True, path_length=None),
        x509.BasicConstraints(ca=True, path_length=0),
        key_usage(digital_signature=True, authority=True),
        key_usage(authority=True),
    ],
)
def test_a_leaf_with_the_powers_of_an_authority_is_refused(world, value):
    with pytest.raises(MalformedCertificateError):
        verify(world, altered(world, value))


@pytest.mark.parametrize("kind", [x509.BasicConstraints, x509.KeyUsage])
def test_a_leaf_that_does_not_say_what_it_may_do_is_refused(world, kind):
    with pytest.raises(MalformedCertificateError):
        verify(world, altered(world, drop=(kind,)))


def test_critical_extensions_must_be_known(world):
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    verify(world, altered(world, unknown, critical=False))
    with pytest.raises(MalformedCertificateError, match=r"1\.2\.3\.4"):
        verify(world, altered(world, unknown))
    with pytest.raises(MalformedCertificateError):
        verify(world, altered(world, x509.InhibitAnyPolicy(0)))


def test_keys_of_other_kinds_are_refused(world):
    for key in (
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ):
        with pytest.raises(MalformedCertificateError):
            verify(world, altered(world, key=key.public_key()))


def test_other_hashes_are_refused(world):
    with pytest.raises(MalformedCertificateError):
        verify(world, altered(world, hash_algorithm=hashes.SHA384()))


def test_a_broken_certificate_never_ends_in_another_error(world):
    der = world.leaf(Role.CLIENT).public_bytes(Encoding.DER)
    for position in range(0, len(der), 3):
        broken = bytearray(der)
        broken[position] ^= 0xFF
        try:
            certificate = x509.load_der_x509_certificate(bytes(broken))
        except (ValueError, CryptographyDeprecationWarning):
            continue  # this is not a certificate; a serial that is not positive is only warned about
        with pytest.raises((UntrustedIssuerError, MalformedCertificateError)):
            verify(world, certificate)
