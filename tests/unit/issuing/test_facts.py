import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from shieldwall.control.issuing.contents import authority_files, node_key_files, root_files
from shieldwall.control.issuing.facts import authority_of, leaf_of, node_key_of, root_of, shared_secret_in
from shieldwall.control.issuing.randomness import Randomness
from shieldwall.pki.extensions import key_usage
from shieldwall.pki.node_key import node_key_to_openssh, public_pem
from shieldwall.pki.pem import certificates_to_pem, private_key_from_pem, private_key_to_pem


def other_key():
    return private_key_to_pem(ec.generate_private_key(ec.SECP256R1())).encode()


def test_a_leaf_without_its_own_key_is_none(leaf_files):
    files = leaf_files()
    assert leaf_of(files) is not None
    assert leaf_of(files | {"tls.key": other_key()}) is None


def test_a_leaf_whose_issuer_is_not_with_it_is_none(leaf_files, new_issuer):
    files = leaf_files()
    foreign = certificates_to_pem([new_issuer().certificate]).encode()
    assert leaf_of(files | {"ca.crt": foreign}) is None
    leaf = files["tls.crt"].split(b"-----END CERTIFICATE-----\n")[0] + b"-----END CERTIFICATE-----\n"
    assert leaf_of(files | {"tls.crt": leaf}) is None
    assert leaf_of(files | {"tls.crt": leaf + foreign, "ca.crt": foreign}) is None, "it did not sign the leaf"


@pytest.mark.parametrize("entry", ["tls.crt", "ca.crt"])
def test_a_leaf_with_more_around_it_than_its_chain_is_none(leaf_files, new_issuer, entry):
    files = leaf_files()
    foreign = certificates_to_pem([new_issuer().certificate]).encode()
    junk = b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"
    for more in (foreign, junk, b"hello\n", b"\n"):
        assert leaf_of(files | {entry: files[entry] + more}) is None
        assert leaf_of(files | {entry: more + files[entry]}) is None


def test_a_servers_leaf_is_one_too(leaf_files, federation):
    assert leaf_of(leaf_files(identity=federation.server())) is not None


def test_an_authority_is_no_leaf_and_a_leaf_no_authority(root, federation, leaf_files, now, random):
    assert authority_of(leaf_files()) is None
    assert leaf_of(authority_files(root, federation, dt.timedelta(days=1), now, random)) is None


def test_an_authority_without_its_own_key_is_none(root, federation, now, random):
    files = authority_files(root, federation, dt.timedelta(days=1), now, random)
    assert authority_of(files) is not None
    assert authority_of(files | {"tls.key": other_key()}) is None


def test_an_issuing_ca_that_another_root_signed_is_none(root, federation, now, random):
    files = authority_files(root, federation, dt.timedelta(days=1), now, random)
    assert authority_of({name: files[name] for name in ("tls.crt", "tls.key")}) is not None
    assert authority_of(files | {"ca.crt": root_files("another", now, random)["tls.crt"]}) is None
    assert authority_of(root_files("a root", now, random)) is not None, "a root stands for itself"


def test_the_root_is_the_ca_that_signed(root, federation, now, random):
    files = authority_files(root, federation, dt.timedelta(days=1), now, random)
    another = root_files("another", now, random)["tls.crt"]
    assert root_of(files | {"ca.crt": another + files["ca.crt"]}) == root.certificate
    assert root_of(files | {"ca.crt": another}) is None
    assert root_of({"tls.crt": files["tls.crt"]}) is None


def test_a_node_key_counts_with_its_own_public_half_only(random):
    files = node_key_files(random)
    assert node_key_of(files) == files["node.pub"].decode()
    assert node_key_of(files | {"node.pub": node_key_files(random)["node.pub"]}) is None
    strange = ec.generate_private_key(ec.SECP384R1())
    pair = {"node.key": node_key_to_openssh(strange).encode(), "node.pub": public_pem(strange).encode()}
    assert node_key_of(pair) is None


@pytest.mark.parametrize(
    ("content", "good"),
    [(b"0f" * 32, True), (b"0F" * 32, False), (b"0f" * 31, False), (b"0f" * 32 + b"\n", False), (b"", False)],
)
def test_a_shared_secret_is_32_bytes_in_hexadecimal(content, good):
    assert shared_secret_in({"superexec": content}, "superexec") is good
    assert not shared_secret_in({"superexec": content}, "other")


REAL = node_key_files(Randomness()) | {"tls.crt": b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"}


@given(
    data=st.dictionaries(
        st.sampled_from(["tls.crt", "tls.key", "ca.crt", "node.key", "node.pub"]),
        st.binary(max_size=64) | st.sampled_from(sorted(REAL.values())),
    )
)
@settings(max_examples=200, deadline=None)
def test_nothing_that_a_secret_holds_makes_reading_fail(data):
    assert authority_of(data) is None
    assert leaf_of(data) is None
    assert node_key_of(data) in {None, REAL["node.pub"].decode()}


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")  # serials below zero
@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=150, deadline=None)
def test_one_bit_turned_in_a_leaf_is_no_leaf_or_says_the_same(flipping, position, bit):
    """What still reads as a leaf says the same: only the signature's own encoding has some play."""
    original, flip = flipping
    leaf = leaf_of(flip(position, bit))
    assert leaf is None or leaf.tbs_certificate_bytes == original.tbs_certificate_bytes


def rebuilt(certificate, key, signer, **replaced):
    """The certificate with other extensions in place of its own, by type."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(certificate.subject)
        .issuer_name(certificate.issuer)
        .public_key(key.public_key())
        .serial_number(certificate.serial_number)
        .not_valid_before(certificate.not_valid_before_utc)
        .not_valid_after(certificate.not_valid_after_utc)
    )
    for extension in certificate.extensions:
        value = replaced.get(type(extension.value).__name__, extension.value)
        builder = builder.add_extension(value, extension.critical)
    return builder.sign(signer, hashes.SHA256())


def test_a_leaf_for_another_purpose_is_none(new_issuer, leaf_files):
    issuer = new_issuer()
    files = leaf_files(issuer)
    key, leaf = private_key_from_pem(files["tls.key"]), leaf_of(files)
    same = rebuilt(leaf, key, issuer.key)
    other = rebuilt(leaf, key, issuer.key, ExtendedKeyUsage=x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]))
    assert leaf_of(files | {"tls.crt": certificates_to_pem([same]).encode() + files["ca.crt"]}) == same
    assert leaf_of(files | {"tls.crt": certificates_to_pem([other]).encode() + files["ca.crt"]}) is None


def test_an_authority_that_may_not_sign_is_none(root):
    useless = rebuilt(root.certificate, root.key, root.key, KeyUsage=key_usage(digital_signature=True))
    files = {"tls.crt": certificates_to_pem([useless]).encode(), "tls.key": root.to_pem().key.encode()}
    assert authority_of(files) is None
    assert authority_of(files | {"tls.crt": root.to_pem().certificate.encode()}) is not None
