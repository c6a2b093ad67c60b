from __future__ import annotations

import hashlib
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shieldwall.runtime.attestation.framing import FramingError, frame, unframe
from shieldwall.runtime.attestation.manifest import (
    DOMAIN,
    OCCASION_FIELDS,
    ArrayEntry,
    Manifest,
    ManifestError,
    content_sha256,
    encode,
    occasion,
    occasion_fields,
    sorted_entries,
)

COUNTS = st.integers(0, 2**64 - 1)
DIGESTS = st.binary(min_size=32, max_size=32)
TEXT = st.text(max_size=20)
ENTRIES = st.builds(ArrayEntry, TEXT, TEXT, TEXT, st.lists(COUNTS, max_size=4).map(tuple), COUNTS, DIGESTS)
MANIFESTS = st.builds(
    Manifest,
    federation_uid=TEXT,
    run_id=COUNTS,
    round=COUNTS,
    attempt=COUNTS,
    node_id=COUNTS,
    nonce=DIGESTS,
    base_sha256=DIGESTS,
    reply_to=TEXT,
    num_examples=st.integers(-(2**64) + 1, 2**64 - 1),
    arrays=st.lists(ENTRIES, max_size=4, unique_by=lambda each: (each.record, each.name)).map(sorted_entries),
    records_sha256=DIGESTS,
)


@given(MANIFESTS, MANIFESTS)
def test_different_manifests_have_different_bytes(one, other):
    assert (encode(one) == encode(other)) == (one == other)


@given(MANIFESTS, MANIFESTS, st.data())
def test_any_one_field_changes_the_bytes(one, other, data):
    field = data.draw(st.sampled_from([each.name for each in fields(Manifest) if each.name != "version"]))
    changed = replace(one, **{field: getattr(other, field)})
    assert (encode(changed) == encode(one)) == (changed == one)
    half = occasion if field in OCCASION_FIELDS else content_sha256
    assert (half(changed) == half(one)) == (changed == one)


@given(ENTRIES, ENTRIES, st.data())
def test_any_one_field_of_an_array_changes_the_bytes(site, one, other, data):
    field = data.draw(st.sampled_from([each.name for each in fields(ArrayEntry)]))
    changed = replace(one, **{field: getattr(other, field)})
    first, second = (encode(replace(site.manifest, arrays=(entry,))) for entry in (one, changed))
    assert (first == second) == (one == changed)


@given(MANIFESTS)
def test_every_manifest_field_is_covered_and_the_purpose_comes_first(manifest):
    # A field that is added to Manifest and forgotten in the encoding makes this fail.
    covered = {*OCCASION_FIELDS, "num_examples", "arrays", "records_sha256"}
    assert covered == {each.name for each in fields(Manifest)}
    parts = unframe(encode(manifest))
    assert parts == [DOMAIN, occasion(manifest), content_sha256(manifest)]
    read = occasion_fields(parts[1])
    assert tuple(read) == OCCASION_FIELDS
    assert read["round"] == str(manifest.round).encode()
    assert read["nonce"] == manifest.nonce


def test_the_encoding_is_the_one_that_is_written_down(site):
    # Fixed: a client and a server of different releases must agree on it, or the version must change.
    assert hashlib.sha256(encode(site.manifest)).hexdigest() == (
        "50917b0a5abc4e84468a1173722bc8aecb600d02c017b19ab9f083ad49f34e6b"
    )


@given(st.lists(st.binary(max_size=20)), st.lists(st.binary(max_size=20)))
def test_framing_is_injective_and_reversible(one, other):
    assert (frame(*one) == frame(*other)) == (one == other)
    assert unframe(frame(*one)) == one


@given(st.binary(max_size=40))
def test_unframing_anything_gives_fields_or_its_own_error(data):
    try:
        parts = unframe(data)
    except FramingError:
        return
    assert b"".join(parts) in data or len(parts) != 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", 2),
        ("run_id", -1),
        ("run_id", 2**64),
        ("node_id", 2**64),
        ("round", -1),
        ("attempt", -1),
        ("nonce", b""),
        ("nonce", b"x" * 33),
        ("base_sha256", b"x"),
        ("records_sha256", b"x"),
        ("reply_to", "\ud800"),
        ("federation_uid", "\ud800"),
        ("num_examples", 2**64),
        ("num_examples", -(2**64)),
    ],
)
def test_impossible_manifests_are_refused_by_field(site, field, value):
    with pytest.raises(ManifestError) as caught:
        replace(site.manifest, **{field: value})
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("field", "value"), [("shape", (2, -1)), ("length", -1), ("sha256", b"x"), ("name", "\ud800"), ("dtype", "\ud800")]
)
def test_impossible_arrays_are_refused_by_field(site, field, value):
    with pytest.raises(ManifestError) as caught:
        replace(site.manifest.arrays[0], **{field: value})
    assert caught.value.field == field


def test_arrays_are_sorted_and_stand_once(site):
    one, other = site.manifest.arrays
    for wrong in ((other, one), (one, one), (one, replace(one, length=1))):
        with pytest.raises(ManifestError) as caught:
            replace(site.manifest, arrays=wrong)
        assert caught.value.field == "arrays"
    assert replace(site.manifest, arrays=sorted_entries((other, one))) == site.manifest
