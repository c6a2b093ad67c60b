"""What the operator checks stewards by: its own CA, and nothing that somebody wrote after it."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace

import pytest

from shieldwall.control.steward.credentials import tls_context, trusting

from .conftest import NAME, Site, Steward


@pytest.fixture
def evil(site):
    """Another's CA for the same identities."""
    return Site.new(site.federation, site.now)


async def connect(credentials, port):
    context = tls_context(credentials)
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=NAME)
    writer.close()


async def test_a_ca_behind_the_list_is_trusted_by_nobody(site, evil):
    own, others = site.credentials(), evil.credentials()
    smuggled = replace(own, crl=own.crl + others.ca + others.crl)
    async with Steward(site.server()).serving() as port:
        await connect(smuggled, port)
    async with Steward(evil.server()).serving() as port:
        await connect(others, port)
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(smuggled, port)
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(own, port)


def test_only_the_bundles_cas_are_anchors(site, evil):
    own, others = site.credentials(), evil.credentials()
    for crl in (own.crl + others.ca, others.ca + own.crl):
        assert trusting(replace(own, crl=crl)).cert_store_stats() == {"x509": 1, "crl": 1, "x509_ca": 1}


@pytest.mark.parametrize("part", ["ca", "crl"])
def test_what_is_no_bundle_or_no_list_is_an_error_of_tls(site, part):
    with pytest.raises(ssl.SSLError):
        trusting(replace(site.credentials(), **{part: b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"}))
