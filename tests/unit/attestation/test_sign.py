from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shieldwall.pki.verify import ExpiredError, UntrustedIssuerError, WrongPurposeError
from shieldwall.runtime.attestation.framing import frame
from shieldwall.runtime.attestation.manifest import OCCASION_FIELDS, Manifest, content_sha256, occasion, statement
from shieldwall.runtime.attestation.sign import (
    _ALGORITHM,
    Attestation,
    AttestationError,
    BadSignatureError,
    MalformedAttestationError,
    StaleError,
    TamperedError,
    WrongSignerError,
    check,
    sign,
)

OTHERS = {
    "federation_uid": "another",
    "run_id": 1,
    "round": 6,
    "attempt": 1,
    "node_id": 3,
    "nonce": b"\xff" * 32,
    "base_sha256": b"\xff" * 32,
    "reply_to": "message-2",
    "num_examples": 121,
    "arrays": (),
    "records_sha256": b"\xff" * 32,
}


@pytest.fixture(scope="module")
def leaf(site):
    return site.leaf()


@pytest.fixture(scope="module")
def attestation(site, leaf):
    return sign(site.manifest, leaf.key, leaf.chain)


def judge(site, attestation, manifest=None, **changes):
    issuers = changes.get("issuers", [site.issuer.certificate])
    expected = changes.get("expected", site.identity())
    return check(attestation, manifest or site.manifest, issuers, changes.get("now", site.now), expected)


def test_what_the_client_signed_holds(site, leaf, attestation):
    assert judge(site, attestation) == leaf.certificate
    assert judge(site, Attestation.from_record(attestation.to_record())) == leaf.certificate


@pytest.mark.parametrize("field", [each.name for each in fields(Manifest) if each.name != "version"])
def test_a_manifest_altered_in_any_field_fails(site, attestation, field):
    altered = replace(site.manifest, **{field: OTHERS[field]})
    with pytest.raises(StaleError if field in OCCASION_FIELDS else TamperedError) as caught:
        judge(site, attestation, altered)
    if field in OCCASION_FIELDS:
        assert caught.value.fields == (field,)
        assert caught.value.signed_round == "7"


@given(st.data())
def test_an_array_altered_in_any_field_fails(site, attestation, data):
    entry = site.manifest.arrays[1]
    changes = {
        "record": st.text(max_size=5),
        "name": st.text(min_size=1, max_size=5).map(lambda each: f"c{each}"),
        "dtype": st.text(max_size=5),
        "shape": st.lists(st.integers(0, 9), max_size=3).map(tuple),
        "length": st.integers(0, 9999),
        "sha256": st.binary(min_size=32, max_size=32),
    }
    field = data.draw(st.sampled_from(sorted(changes)))
    changed = replace(entry, **{field: data.draw(changes[field])})
    if changed == entry:
        return
    with pytest.raises(TamperedError):
        judge(site, attestation, replace(site.manifest, arrays=(changed,)))


def test_claiming_the_right_manifest_does_not_help(site, leaf):
    # A replay or an altered array whose bearer writes today's halves beside the old signature.
    old = sign(replace(site.manifest, round=6), leaf.key, leaf.chain)
    with pytest.raises(BadSignatureError):
        judge(site, replace(old, occasion=occasion(site.manifest)))
    other = sign(replace(site.manifest, arrays=()), leaf.key, leaf.chain)
    with pytest.raises(BadSignatureError):
        judge(site, replace(other, content_sha256=content_sha256(site.manifest)))


@given(st.data())
def test_a_broken_signature_never_holds(site, attestation, data):
    position = data.draw(st.integers(0, len(attestation.signature) - 1))
    mask = data.draw(st.integers(1, 255))
    broken = bytearray(attestation.signature)
    broken[position] ^= mask
    with pytest.raises(BadSignatureError):
        judge(site, replace(attestation, signature=bytes(broken)))


@pytest.mark.parametrize("signature", [b"", b"x", b"\x30\x00"])
def test_what_is_no_signature_does_not_hold(site, attestation, signature):
    with pytest.raises(BadSignatureError):
        judge(site, replace(attestation, signature=signature))


def test_the_key_of_another_certificate_does_not_help(site, leaf):
    with pytest.raises(BadSignatureError):
        judge(site, sign(site.manifest, site.leaf().key, leaf.chain))


def test_another_client_of_the_training_is_not_the_one_that_was_asked(site):
    other = site.leaf(site.identity("leipzig"))
    with pytest.raises(WrongSignerError) as caught:
        judge(site, sign(site.manifest, other.key, other.chain))
    assert caught.value.identity == site.identity("leipzig")


def test_a_leaf_of_another_installation_is_untrusted_whatever_it_says(site, stranger):
    foreign = site.leaf(issuer=stranger)
    attestation = sign(site.manifest, foreign.key, foreign.chain)
    assert judge(site, attestation, issuers=[stranger.certificate])
    with pytest.raises(UntrustedIssuerError):
        judge(site, attestation)


def test_the_chain_that_is_sent_along_adds_no_trust(site, stranger):
    foreign = site.leaf(issuer=stranger)
    assert foreign.chain.count(b"BEGIN CERTIFICATE") == 2
    with pytest.raises(UntrustedIssuerError):
        judge(site, sign(site.manifest, foreign.key, foreign.chain))


def test_the_server_cannot_sign_as_a_client(site):
    server = site.leaf(site.federation.server())
    with pytest.raises(WrongPurposeError):
        judge(site, sign(site.manifest, server.key, server.chain), expected=site.federation.server())


def test_an_expired_leaf_signs_nothing(site, attestation):
    with pytest.raises(ExpiredError):
        judge(site, attestation, now=site.now + timedelta(hours=25))


@pytest.mark.parametrize(
    "chain", [b"", b"nothing", b"x" * 20_000, b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"]
)
def test_unreadable_chains_have_their_own_error(site, attestation, chain):
    with pytest.raises(MalformedAttestationError):
        judge(site, replace(attestation, certificate_chain=chain))


@pytest.mark.parametrize("nonsense", [b"", b"nonsense", frame(b"1"), frame(b"\xff" * 99) * 12])
def test_a_client_may_sign_nonsense_and_it_stays_a_refusal(site, leaf, attestation, nonsense):
    signature = leaf.key.sign(statement(nonsense, attestation.content_sha256), _ALGORITHM)
    with pytest.raises((StaleError, MalformedAttestationError)):
        judge(site, replace(attestation, occasion=nonsense, signature=signature))


def test_parts_that_are_too_long_are_not_parsed(site, attestation):
    # Each would hold but for its length.
    long = attestation.certificate_chain + b"\n" * 20_000
    with pytest.raises(MalformedAttestationError):
        judge(site, replace(attestation, certificate_chain=long))
    for part, value in attestation.to_record().items():
        with pytest.raises(MalformedAttestationError):
            Attestation.from_record({**attestation.to_record(), part: value + b"\n" * 20_000})


def test_a_signature_for_another_purpose_is_none(site, leaf, attestation):
    bare = leaf.key.sign(frame(attestation.occasion, attestation.content_sha256), _ALGORITHM)
    with pytest.raises(BadSignatureError):
        judge(site, replace(attestation, signature=bare))


@given(
    st.dictionaries(
        st.sampled_from(["signature", "certificate_chain", "occasion", "content_sha256", "more"]),
        st.binary(max_size=5) | st.none() | st.integers() | st.just(b"x" * 20_000),
    )
)
def test_records_from_the_wire_are_attestations_or_refused(site, record):
    try:
        attestation = Attestation.from_record(record)
    except MalformedAttestationError:
        return
    with pytest.raises(AttestationError):
        judge(site, attestation)
