"""The HTTP filters in front of the fleet routes: the gate, asked on every request, and a rate limit per client."""

from __future__ import annotations

from typing import Final

from shieldwall.contract.routes import AUTHZ_PREFIX, CLIENT_HEADER, NODE_KEY_HEADER
from shieldwall.runtime.proxy.routing import CERTIFICATE, EXT_AUTHZ, STEWARD
from shieldwall.runtime.proxy.settings import Json, typed

CLIENT_RATE: Final = 200
"""Requests a second of one client; a SuperNode that uploads a large model sends far fewer."""
_ALL_CLIENTS: Final = 100_000
_MOST_CLIENTS: Final = 512
# A SuperNode retries 502–504. 401 ends it, 403 makes it loop, and after 429 or 500 it never polls again.
_RETRIED: Final[Json] = {"code": "ServiceUnavailable"}


def gate_filters() -> list[Json]:
    """The gate, then the limit: the gate's answer says whose request it is."""
    return [_gate(), _rate_limit()]


def _gate() -> Json:
    config: Json = {
        "transport_api_version": "V3",
        "failure_mode_allow": False,
        "status_on_error": _RETRIED,
        "allowed_headers": {"patterns": [{"exact": CERTIFICATE}, {"exact": NODE_KEY_HEADER}]},
        "http_service": {
            "server_uri": {"uri": f"http://{STEWARD}", "cluster": STEWARD, "timeout": "2s"},
            "path_prefix": AUTHZ_PREFIX,
            "authorization_response": {"allowed_upstream_headers": {"patterns": [{"exact": CLIENT_HEADER}]}},
        },
    }
    return {"name": EXT_AUTHZ, "typed_config": typed("envoy.extensions.filters.http.ext_authz.v3.ExtAuthz", config)}


def _rate_limit() -> Json:
    whose: Json = {"header_name": CLIENT_HEADER, "descriptor_key": "client", "skip_if_absent": True}
    always: Json = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    config: Json = {
        "stat_prefix": "per_client",
        "status": _RETRIED,
        "filter_enabled": always,
        "filter_enforced": always,
        "token_bucket": _bucket(_ALL_CLIENTS),
        "max_dynamic_descriptors": _MOST_CLIENTS,
        "rate_limits": [{"actions": [{"request_headers": whose}]}],
        # An entry without a value is one bucket for each distinct client.
        "descriptors": [{"entries": [{"key": "client"}], "token_bucket": _bucket(CLIENT_RATE)}],
    }
    name = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
    return {"name": "envoy.filters.http.local_ratelimit", "typed_config": typed(name, config)}


def _bucket(tokens: int) -> Json:
    return {"max_tokens": tokens, "tokens_per_fill": tokens, "fill_interval": "1s"}
