"""Envoy's counters become causes by listener."""

from __future__ import annotations

import httpx
import pytest

from shieldwall.runtime.steward.handshakes import ProxyUnreachableError, parse_handshakes, read_handshakes

TEXT = """# TYPE envoy_listener_ssl_connection_error counter
envoy_listener_ssl_connection_error{envoy_listener_address="fleet"} 1
envoy_listener_ssl_connection_error{envoy_listener_address="metrics"} 9
# TYPE envoy_listener_ssl_fail_verify_cert_hash counter
envoy_listener_ssl_fail_verify_cert_hash{envoy_listener_address="fleet"} 9
# TYPE envoy_listener_ssl_fail_verify_error counter
envoy_listener_ssl_fail_verify_error{envoy_listener_address="fleet"} 2
# TYPE envoy_listener_ssl_fail_verify_no_cert counter
envoy_listener_ssl_fail_verify_no_cert{envoy_listener_address="fleet"} 3
envoy_listener_ssl_fail_verify_no_cert{envoy_listener_address="runtime"} 4
# TYPE envoy_listener_ssl_fail_verify_san counter
envoy_listener_ssl_fail_verify_san{envoy_listener_address="steward"} 5
# TYPE envoy_server_uptime gauge
envoy_server_uptime{} 9
"""
EXPECTED = {
    "fleet.protocol-error": 1,
    "fleet.untrusted": 2,
    "fleet.no-certificate": 3,
    "runtime.no-certificate": 4,
    "steward.wrong-identity": 5,
}


def test_every_listener_and_cause_has_a_count():
    counts = parse_handshakes(TEXT)
    assert len(counts) == 12
    assert {key: count for key, count in counts.items() if count} == EXPECTED
    assert set(parse_handshakes("").values()) == {0}


async def test_the_proxy_is_asked_for_these_counters_only():
    asked = []

    def answer(request):
        asked.append(request.url)
        return httpx.Response(200, text=TEXT)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        counts = await read_handshakes(http, "127.0.0.1:9901")
    assert counts["fleet.untrusted"] == 2
    assert asked[0].path == "/stats/prometheus"
    assert "ssl" in asked[0].params["filter"]


@pytest.mark.parametrize("status", [403, 503])
async def test_a_proxy_that_does_not_answer_is_an_error_of_its_own(status):
    transport = httpx.MockTransport(lambda _: httpx.Response(status))
    async with httpx.AsyncClient(transport=transport) as http:
        with pytest.raises(ProxyUnreachableError):
            await read_handshakes(http, "127.0.0.1:9901")
