"""What a stranger makes of our certificates: ``openssl verify``, strictly and purpose by purpose."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shieldwall.contract.identity import Role
from shieldwall.pki.crl import issue_crl
from shieldwall.pki.pem import certificates_to_pem, crl_to_pem


@pytest.fixture
def openssl(world, tmp_path):
    """Verify a leaf, from the root down or with the issuing CA as the only anchor (as pods do)."""

    def verify(leaf, purpose, *more, anchor="root", issuer=None, at=None):
        issuer = issuer or world.issuer
        for name, certificate in (("leaf", leaf), ("issuer", issuer.certificate), ("root", world.root.certificate)):
            (tmp_path / f"{name}.pem").write_text(certificates_to_pem([certificate]))
        chain = ["-CAfile", "root.pem", "-untrusted", "issuer.pem"]
        if anchor == "issuer":
            chain = ["-no-CAfile", "-no-CApath", "-no-CAstore", "-partial_chain", "-trusted", "issuer.pem"]
        moment = str(int((at or world.now).timestamp()))
        command = ["openssl", "verify", "-x509_strict", "-attime", moment, "-purpose", purpose, *more, *chain]
        return subprocess.run(
            [*command, "leaf.pem"], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False
        )

    return verify


@pytest.mark.parametrize("anchor", ["root", "issuer"])
@pytest.mark.parametrize("role", Role)
def test_openssl_accepts_each_leaf_for_its_purpose_alone(world, openssl, role, anchor):
    right, wrong = ("sslserver", "sslclient") if role is Role.SERVER else ("sslclient", "sslserver")
    leaf = world.leaf(role)
    accepted = openssl(leaf, right, anchor=anchor)
    assert accepted.returncode == 0, accepted.stderr
    refused = openssl(leaf, wrong, anchor=anchor)
    assert refused.returncode != 0
    assert "purpose" in refused.stderr


def test_openssl_refuses_a_leaf_of_another_training(world, openssl):
    assert openssl(world.leaf(Role.CLIENT), "sslclient", anchor="issuer", issuer=world.other_issuer).returncode != 0


def test_openssl_finds_the_names_of_the_server(world, openssl):
    leaf = world.leaf(Role.SERVER)
    assert openssl(leaf, "sslserver", "-verify_hostname", "digits-server.demo.svc").returncode == 0
    assert openssl(leaf, "sslserver", "-verify_hostname", "elsewhere.demo.svc").returncode != 0


def test_openssl_refuses_an_expired_leaf(world, openssl):
    late = world.now + timedelta(hours=25)
    assert "expired" in openssl(world.leaf(Role.CLIENT), "sslclient", at=late).stderr


def by_hand(world, names, issuer=None):
    """A leaf that ``issue`` would refuse to make."""
    key = ec.generate_private_key(ec.SECP256R1())
    template = world.leaf(Role.CLIENT)
    builder = (
        x509.CertificateBuilder()
        .subject_name(template.subject)
        .issuer_name(template.issuer)
        .public_key(key.public_key())
        .serial_number(world.serial())
        .not_valid_before(template.not_valid_before_utc)
        .not_valid_after(template.not_valid_after_utc)
    )
    for each in template.extensions:
        value = x509.SubjectAlternativeName(names) if each.oid == x509.OID_SUBJECT_ALTERNATIVE_NAME else each.value
        builder = builder.add_extension(value, each.critical)
    return builder.sign((issuer or world.issuer).key, hashes.SHA256())


@pytest.mark.parametrize("anchor", ["root", "issuer"])
@pytest.mark.parametrize(
    "names",
    [
        [x509.UniformResourceIdentifier("spiffe://elsewhere.org/ns/demo/training/digits/client/berlin")],
        [x509.UniformResourceIdentifier("spiffe://sub.example.org/ns/demo/training/digits/client/berlin")],
        [x509.IPAddress(ip_address("127.0.0.1"))],
        [x509.IPAddress(ip_address("::1"))],
    ],
)
def test_the_name_constraints_of_the_issuing_ca_hold(world, openssl, names, anchor):
    result = openssl(by_hand(world, names), "sslclient", anchor=anchor)
    assert result.returncode != 0
    assert "subtree" in result.stderr


@pytest.mark.parametrize("anchor", ["root", "issuer"])
def test_the_name_constraints_let_the_trust_domain_pass(world, openssl, anchor):
    names = [x509.UniformResourceIdentifier("spiffe://example.org/anything")]
    assert openssl(by_hand(world, names), "sslclient", anchor=anchor).returncode == 0


def test_openssl_reads_the_crl(world, openssl, tmp_path):
    good, bad = world.leaf(Role.CLIENT), world.leaf(Role.CLIENT)
    revoked = {bad.serial_number: (world.now, x509.ReasonFlags.key_compromise)}
    crl = issue_crl(world.issuer, revoked, 1, world.now, world.now + timedelta(days=1))
    (tmp_path / "ca.crl").write_text(crl_to_pem(crl))
    flags = ("-crl_check", "-CRLfile", "ca.crl")
    accepted = openssl(good, "sslclient", *flags, anchor="issuer")
    assert accepted.returncode == 0, accepted.stderr
    assert "revoked" in openssl(bad, "sslclient", *flags, anchor="issuer").stderr


def test_openssl_reads_exported_keys(world, tmp_path):
    (tmp_path / "key.pem").write_text(world.issuer.to_pem().key)
    command = ["openssl", "pkey", "-in", "key.pem", "-pubout"]
    public = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True).stdout
    loaded = serialization.load_pem_public_key(public.encode())
    assert loaded == world.issuer.certificate.public_key()
