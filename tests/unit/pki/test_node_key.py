from __future__ import annotations

import argparse
import warnings

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from shieldwall.pki.errors import MalformedPemError, UnsupportedKeyError
from shieldwall.pki.node_key import node_key_from_openssh, node_key_to_openssh, public_pem

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # Flower's typer imports what its click is about to drop
    from flwr.supercore.primitives.asymmetric import bytes_to_public_key, public_key_to_bytes, uses_nist_ec_curve
    from flwr.supernode.cli.flower_supernode import _try_setup_client_authentication


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()])
def test_flower_reads_the_node_key(tmp_path, curve):
    key = ec.generate_private_key(curve)
    (tmp_path / "node.key").write_text(node_key_to_openssh(key))
    path = str(tmp_path / "node.key")
    arguments = argparse.Namespace(auth_supernode_private_key=path, auth_supernode_public_key=None)
    read = _try_setup_client_authentication(arguments)
    assert read is not None
    assert read[0].private_numbers() == key.private_numbers()


def test_the_public_key_is_what_flower_sends_and_registers():
    key = ec.generate_private_key(ec.SECP256R1())
    assert public_pem(key).encode() == public_key_to_bytes(key.public_key())
    assert public_pem(key.public_key()) == public_pem(key)
    assert uses_nist_ec_curve(bytes_to_public_key(public_pem(key).encode()))


def test_the_node_key_comes_back():
    key = ec.generate_private_key(ec.SECP256R1())
    text = node_key_to_openssh(key)
    assert text.startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    assert (
        public_pem(node_key_from_openssh(text)) == public_pem(node_key_from_openssh(text.encode())) == public_pem(key)
    )


def test_what_is_no_node_key_is_refused():
    with pytest.raises(MalformedPemError):
        node_key_from_openssh("nothing")
    other = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    with pytest.raises(UnsupportedKeyError):
        node_key_from_openssh(other)
