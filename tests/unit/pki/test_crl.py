from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509

from shieldwall.pki.crl import issue_crl
from shieldwall.pki.errors import RefusedRequestError


def test_a_crl_names_what_was_revoked_when_and_why(world):
    when = world.now - timedelta(hours=1)
    revoked = {
        7: (when, x509.ReasonFlags.key_compromise),
        5: (when, x509.ReasonFlags.unspecified),
    }
    crl = issue_crl(world.issuer, revoked, 12, world.now, world.now + timedelta(days=2))
    assert [entry.serial_number for entry in crl] == [5, 7]
    entry = crl.get_revoked_certificate_by_serial_number(7)
    assert entry.revocation_date_utc == when
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.key_compromise
    assert len(crl.get_revoked_certificate_by_serial_number(5).extensions) == 0
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 12
    assert crl.last_update_utc == world.now - timedelta(minutes=5)
    assert crl.next_update_utc == world.now + timedelta(days=2)
    assert crl.is_signature_valid(world.issuer.certificate.public_key())


def test_an_empty_crl_is_a_crl(world):
    crl = issue_crl(world.issuer, {}, 1, world.now, world.now + timedelta(days=1))
    assert len(crl) == 0
    assert crl.issuer == world.issuer.certificate.subject


def test_a_crl_that_has_ended_already_is_refused(world):
    with pytest.raises(RefusedRequestError) as caught:
        issue_crl(world.issuer, {}, 1, world.now, world.now)
    assert caught.value.field == "next_update"
