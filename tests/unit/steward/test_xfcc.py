"""The certificate header is read in one way or not at all."""

from __future__ import annotations

import string
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shieldwall.runtime.steward.xfcc import Element, MalformedHeaderError, parse

PEM = "-----BEGIN CERTIFICATE-----\nMIIB+/=\n-----END CERTIFICATE-----\n"
CERT = f'Cert="{quote(PEM, safe="")}"'
URI = "spiffe://example.org/ns/demo/training/digits/client/berlin"
GOOD = f"By=spiffe://example.org/server;Hash=ab12;{CERT};URI={URI}"


def test_what_the_proxy_writes_is_read():
    assert parse(GOOD) == Element(PEM, (URI,))


def test_two_uris_are_both_seen():
    assert parse(f"{GOOD};URI=spiffe://other").uris == (URI, "spiffe://other")


def test_a_quoted_subject_may_hold_anything():
    assert parse(f'Hash=1;{CERT};Subject="CN=a,b;URI=x\\"y";URI={URI}') == Element(PEM, (URI,))


@pytest.mark.parametrize(
    "header",
    [
        "",
        f"{GOOD},{GOOD}",
        f"{GOOD},Hash=2",
        f"{GOOD},",
        f",{GOOD}",
        f"{GOOD};",
        f"{GOOD};{CERT}",
        f"{GOOD};Hash=cd",
        f"{GOOD};uri=spiffe://other",
        f"{GOOD};X-URI=spiffe://other",
        f"{GOOD}; URI=spiffe://other",
        f'{GOOD};Subject="CN=open',
        f'{GOOD};Subject="CN=a"b',
        f'{GOOD};Subject=a"b"',
        f'{GOOD};Subject="',
        f"{GOOD}\r\nx-shieldwall-client: paris",
        f"{GOOD}\x00",
        f"Hash=1;URI={URI}",
        f'Hash=1;Cert="";URI={URI}',
        f"{GOOD};URI",
    ],
)
def test_whatever_else_is_refused(header):
    with pytest.raises(MalformedHeaderError):
        parse(header)


PLAIN = st.text(alphabet=string.ascii_letters + string.digits + ":/.-_%+", min_size=1, max_size=40)


@given(uris=st.lists(PLAIN, max_size=3), subject=st.text(alphabet=string.ascii_letters + " ,;=", max_size=30))
def test_what_goes_in_comes_out(uris, subject):
    tail = "".join(f";URI={uri}" for uri in uris)
    assert parse(f'Hash=1;{CERT};Subject="{subject}"{tail}') == Element(PEM, tuple(uris))


@given(text=st.text(alphabet='\\",;=URICertHash %\n', max_size=60))
def test_any_text_is_read_or_refused_and_nothing_else(text):
    try:
        element = parse(text)
    except MalformedHeaderError:
        return
    assert element.certificate


@given(extra=st.text(alphabet='\\",;= abURI', max_size=12), position=st.integers(0, len(GOOD)))
def test_text_slipped_in_never_adds_an_element_or_a_certificate(extra, position):
    try:
        element = parse(GOOD[:position] + extra + GOOD[position:])
    except MalformedHeaderError:
        return
    assert element.certificate.count("BEGIN") <= 1
