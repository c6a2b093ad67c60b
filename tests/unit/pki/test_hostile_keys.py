"""Keys that are as slow to check as can be: an RSA key's factors are tested for being primes."""

import base64
import struct

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shieldwall.pki.errors import MalformedPemError, UnsupportedKeyError
from shieldwall.pki.node_key import node_key_from_openssh, node_key_to_openssh
from shieldwall.pki.pem import private_key_from_pem, private_key_to_pem

LARGE = (4253, 4423), (9689, 9941)
"""Exponents of Mersenne primes; checking the larger pair takes over a minute."""
SMALL = (521, 607)


def der(tag, content):
    size = len(content)
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag]) + (bytes([size]) if size < 128 else bytes([128 | len(octets)]) + octets) + content


def integer(number):
    return number.to_bytes(number.bit_length() // 8 + 1, "big")


def armoured(kind, content):
    text = base64.encodebytes(content)
    return f"-----BEGIN {kind} PRIVATE KEY-----\n".encode() + text + f"-----END {kind} PRIVATE KEY-----\n".encode()


def rsa(exponents, even=0):
    """n, e, d, p, q; not prime factors if ``even`` is 2."""
    p, q = (2**each - 1 - even for each in exponents)
    return p * q, 65537, pow(65537, -1, (2 ** exponents[0] - 2) * (2 ** exponents[1] - 2)), p, q


def pem(exponents, even=0):
    n, e, d, p, q = rsa(exponents, even)
    numbers = (0, n, e, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p))
    return armoured("RSA", der(0x30, b"".join(der(2, integer(number)) for number in numbers)))


def openssh(exponents, even=0):
    def string(content):
        return struct.pack(">I", len(content)) + content

    n, e, d, p, q = rsa(exponents, even)
    public = b"".join(string(each) for each in (b"ssh-rsa", integer(e), integer(n)))
    numbers = b"".join(string(integer(each)) for each in (n, e, d, pow(q, -1, p), p, q))
    private = struct.pack(">II", 1, 1) + string(b"ssh-rsa") + numbers + string(b"")
    private += bytes(range(1, 1 + -len(private) % 8))
    head = b"openssh-key-v1\0" + string(b"none") + string(b"none") + string(b"") + struct.pack(">I", 1)
    return armoured("OPENSSH", head + string(public) + string(private))


@pytest.mark.parametrize("exponents", LARGE)
@pytest.mark.parametrize(
    ("make", "read", "loader"),
    [
        (pem, private_key_from_pem, "load_pem_private_key"),
        (openssh, node_key_from_openssh, "load_ssh_private_key"),
    ],
)
def test_a_large_key_is_not_even_loaded(monkeypatch, make, read, loader, exponents):
    monkeypatch.setattr(serialization, loader, lambda *_, **__: pytest.fail("it was loaded"))
    with pytest.raises(MalformedPemError):
        read(make(exponents))


@pytest.mark.parametrize(("make", "read"), [(pem, private_key_from_pem), (openssh, node_key_from_openssh)])
def test_whether_an_rsa_keys_factors_are_primes_is_not_asked(make, read):
    """A checked one with factors that are none would be malformed; this one is only of the wrong kind."""
    assert len(make(SMALL)) < 2048
    for even in (0, 2):
        with pytest.raises(UnsupportedKeyError):
            read(make(SMALL, even))


def test_a_p256_key_is_read_in_every_form_with_what_tools_write_around_it():
    key = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PrivateFormat.TraditionalOpenSSL
    older = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    for text in (private_key_to_pem(key).encode(), older, parameters + older):
        assert private_key_from_pem(text).private_numbers() == key.private_numbers()
    assert node_key_from_openssh(node_key_to_openssh(key)).private_numbers() == key.private_numbers()


def test_a_node_key_with_a_compressed_point_is_malformed():
    text = node_key_to_openssh(ec.generate_private_key(ec.SECP256R1()))
    content = base64.b64decode("".join(text.splitlines()[1:-1]))
    compressed = content.replace(struct.pack(">I", 65) + b"\x04", struct.pack(">I", 65) + b"\x02")
    assert compressed != content
    with pytest.raises(MalformedPemError):
        node_key_from_openssh(armoured("OPENSSH", compressed))
