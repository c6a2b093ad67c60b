import base64
import datetime as dt
import textwrap

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from shieldwall.control.issuing.trust import newest, trust_due, trust_of
from shieldwall.control.plan.orders import Trust
from shieldwall.pki.crl import issue_crl
from shieldwall.pki.pem import certificates_from_pem, certificates_to_pem, crl_to_pem

DAY = dt.timedelta(days=1)
MINUTE = dt.timedelta(minutes=1)


def crl_in(trust):
    return x509.load_pem_x509_crl(trust.crl.encode())


def number(trust):
    return crl_in(trust).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def test_the_first_trust_is_the_issuer_and_an_empty_list_of_seven_days(new_issuer, now):
    issuer = new_issuer()
    trust = trust_of(issuer, None, now)
    assert certificates_from_pem(trust.ca) == (issuer.certificate,)
    crl = crl_in(trust)
    assert crl.is_signature_valid(issuer.key.public_key())
    assert list(crl) == []
    assert crl.next_update_utc == now + 7 * DAY
    assert number(trust) == int(now.timestamp())


def test_it_stays_the_same_until_half_of_its_life_is_over(new_issuer, now):
    issuer = new_issuer()
    trust = trust_of(issuer, None, now)
    due = trust_due(issuer.certificate, trust)
    assert now + 3 * DAY < due < now + 3.5 * DAY
    assert trust_of(issuer, trust, due - MINUTE) is trust
    fresh = trust_of(issuer, trust, due)
    assert crl_in(fresh).next_update_utc == due + 7 * DAY
    assert number(fresh) > number(trust)
    assert trust_of(issuer, fresh, due) is fresh


def test_trust_in_another_issuer_is_due_at_once(new_issuer, now):
    issuer, other = new_issuer(), new_issuer()
    mixed = Trust(trust_of(issuer, None, now).ca, trust_of(other, None, now).crl)
    for foreign in (trust_of(other, None, now), mixed, Trust("", ""), Trust(mixed.ca, "no list"), None):
        assert trust_due(issuer.certificate, foreign) < now
        made = trust_of(issuer, foreign, now)
        assert trust_due(issuer.certificate, made) > now


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_a_list_with_one_bit_turned_is_no_list_or_says_the_same(published, now):
    issuer, trust = published
    good = crl_in(trust)
    der = good.public_bytes(serialization.Encoding.DER)
    for bit in range(8 * len(der)):
        spoilt_der = bytearray(der)
        spoilt_der[bit // 8] ^= 1 << bit % 8
        text = textwrap.fill(base64.b64encode(spoilt_der).decode(), 64)
        spoilt = Trust(trust.ca, f"-----BEGIN X509 CRL-----\n{text}\n-----END X509 CRL-----\n")
        same = trust_due(issuer.certificate, spoilt) > now
        assert not same or crl_in(spoilt).tbs_certlist_bytes == good.tbs_certlist_bytes, bit


JUNK = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"


@pytest.mark.parametrize("what", ["junk", "text", "line", "again", "certificate", "other"])
def test_what_stands_around_a_good_list_or_bundle_makes_it_none(published, new_issuer, now, what):
    issuer, trust = published
    evil = new_issuer()
    more = {
        "junk": JUNK, "text": "hello\n", "line": "\n", "again": trust.crl,
        "certificate": certificates_to_pem([evil.certificate]), "other": trust_of(evil, None, now).crl,
    }[what]  # fmt: skip
    for ca, crl in (("", more), (more, ""), (more, more)):
        for spoilt in (Trust(trust.ca + ca, trust.crl + crl), Trust(ca + trust.ca, crl + trust.crl)):
            assert trust_due(issuer.certificate, spoilt) < now
            assert newest(issuer.certificate, spoilt) is None
            made = trust_of(issuer, spoilt, now)
            assert made.ca == trust.ca
            assert crl_to_pem(crl_in(made)) == made.crl


def test_of_several_the_newest_list_counts_and_of_equals_the_first(published, new_issuer, now):
    issuer, trust = published
    later = trust_of(issuer, trust, now + 6 * DAY)
    same = Trust(trust.ca, trust.crl)
    spoilt = Trust(later.ca, later.crl + JUNK)
    foreign = trust_of(new_issuer(), None, now + 9 * DAY)
    assert newest(issuer.certificate, trust, later, spoilt, foreign) is later
    assert newest(issuer.certificate, later, trust) is later
    assert newest(issuer.certificate, same, trust) is same
    assert newest(issuer.certificate, None, foreign) is None


@pytest.fixture
def published(new_issuer, now):
    """An issuer and the trust in it."""
    issuer = new_issuer()
    return issuer, trust_of(issuer, None, now)


def test_a_list_ends_with_its_issuer_and_is_not_signed_again_and_again(new_issuer, now):
    issuer = new_issuer()
    end = issuer.certificate.not_valid_after_utc
    late = end - 2 * DAY
    trust = trust_of(issuer, trust_of(issuer, None, now), late)
    assert crl_in(trust).next_update_utc == end
    for minutes in range(1, 2 * 24 * 60, 7):
        assert trust_of(issuer, trust, late + minutes * MINUTE) is trust


def test_numbers_grow_though_the_clock_was_turned_back(new_issuer, now):
    issuer = new_issuer()
    old = issue_crl(issuer, {}, int(now.timestamp()) + 10_000, now - 6 * DAY, now + DAY)
    current = Trust(trust_of(issuer, None, now).ca, crl_to_pem(old))
    assert number(trust_of(issuer, current, now)) == int(now.timestamp()) + 10_001
