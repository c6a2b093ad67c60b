from __future__ import annotations

from dataclasses import replace

import pytest

from shieldwall.runtime.attestation.leaf_files import NoLeafError
from shieldwall.runtime.attestation.sign import check
from shieldwall.runtime.attestation.signer import (
    AlreadySignedError,
    LeafMissingError,
    RoundNotOpenError,
    Signer,
    StewardUnreachableError,
)


class Desk:
    """A signer whose surroundings can be changed."""

    def __init__(self, site):
        self.site = site
        self.leaf = site.leaf()
        self.open_round = site.open_round()
        self.signer = Signer(site.identity(), site.manifest.federation_uid, self.load, self.fetch)

    def load(self):
        if self.leaf is None:
            raise NoLeafError("no usable leaf")
        return self.leaf

    def fetch(self):
        if isinstance(self.open_round, Exception):
            raise self.open_round
        return self.open_round

    def sign(self, **changes):
        return self.signer.sign(replace(self.site.manifest, **changes))


@pytest.fixture
def desk(site):
    return Desk(site)


def holds(site, attestation, manifest):
    return check(attestation, manifest, [site.issuer.certificate], site.now, site.identity())


def test_it_signs_for_the_open_round(site, desk):
    assert holds(site, desk.sign(), site.manifest) == desk.leaf.certificate


def test_it_refuses_when_no_round_is_open(desk):
    desk.open_round = None
    with pytest.raises(RoundNotOpenError) as caught:
        desk.sign()
    assert caught.value.fields == ()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"federation_uid": "another"}, "federation"),
        ({"run_id": 1}, "run"),
        ({"round": 6}, "round"),
        ({"round": 8}, "round"),
        ({"attempt": 1}, "attempt"),
        ({"nonce": b"\xff" * 32}, "nonce"),
        ({"base_sha256": b"\xff" * 32}, "base model"),
    ],
)
def test_it_refuses_a_manifest_for_anything_but_the_open_round(site, desk, changes, field):
    with pytest.raises(RoundNotOpenError) as caught:
        desk.sign(**changes)
    assert caught.value.fields == (field,)
    # Refusing left nothing behind: the right one is signed still.
    assert holds(site, desk.sign(), site.manifest)


def test_it_refuses_a_round_for_which_its_client_was_not_asked(site, desk):
    desk.open_round = site.open_round(clients=("leipzig",))
    with pytest.raises(RoundNotOpenError) as caught:
        desk.sign()
    assert caught.value.fields == ("clients asked",)


def test_a_round_that_was_open_is_not_open_for_ever(site, desk):
    desk.sign()
    desk.open_round = site.open_round(round=8, attempt=1, nonce="ee" * 32)
    with pytest.raises(RoundNotOpenError):
        desk.sign()


@pytest.mark.parametrize(
    "changes",
    [
        {"num_examples": 1},
        {"arrays": ()},
        {"records_sha256": b"\xff" * 32},
        {"node_id": 1},
        {"reply_to": "message-2"},
    ],
)
def test_it_refuses_a_second_different_manifest_for_one_attempt(site, desk, changes):
    desk.sign()
    with pytest.raises(AlreadySignedError):
        desk.sign(**changes)
    assert holds(site, desk.sign(), site.manifest)


def test_the_same_attempt_under_another_nonce_is_no_new_attempt(site, desk):
    desk.sign()
    desk.open_round = site.open_round(nonce="ee" * 32)
    with pytest.raises(AlreadySignedError):
        desk.sign(nonce=b"\xee" * 32)


def test_the_same_manifest_is_answered_again_by_the_current_leaf(site, desk):
    first = desk.leaf.certificate
    assert holds(site, desk.sign(), site.manifest) == first
    desk.leaf = site.leaf()
    assert holds(site, desk.sign(), site.manifest) == desk.leaf.certificate != first


def test_a_new_attempt_is_signed_anew(site, desk):
    desk.sign()
    desk.open_round = site.open_round(attempt=3, nonce="ee" * 32)
    changed = {"attempt": 3, "nonce": b"\xee" * 32, "num_examples": 1}
    assert holds(site, desk.sign(**changed), replace(site.manifest, **changed))


def test_without_a_leaf_nothing_is_signed_and_nothing_is_spent(site, desk):
    leaf, desk.leaf = desk.leaf, None
    with pytest.raises(LeafMissingError):
        desk.sign(num_examples=1)
    desk.leaf = leaf
    assert holds(site, desk.sign(), site.manifest)


def test_without_the_steward_nothing_is_signed(desk):
    desk.open_round = StewardUnreachableError("no answer")
    with pytest.raises(StewardUnreachableError):
        desk.sign()


def test_what_it_remembers_is_bounded_and_keeps_the_newest(site, desk, monkeypatch):
    monkeypatch.setattr("shieldwall.runtime.attestation.signer._REMEMBERED", 3)
    for attempt in range(1, 6):
        desk.open_round = site.open_round(attempt=attempt)
        desk.sign(attempt=attempt)
    assert len(desk.signer._signed) == 3
    with pytest.raises(AlreadySignedError):
        desk.sign(attempt=5, num_examples=1)
