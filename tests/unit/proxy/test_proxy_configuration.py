"""Each setting that a defence rests on stands where it must in the configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shieldwall.contract import ports, routes
from shieldwall.contract.identity import Federation
from shieldwall.contract.paths import Paths
from shieldwall.runtime.proxy.bootstrap import bootstrap
from shieldwall.runtime.proxy.settings import Settings, Side
from shieldwall.runtime.proxy.tls import leaf_document, trust_document

FEDERATION = Federation("example.org", "demo", "digits")
ONLY_1_3 = {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"}
SERVER_LISTENERS = ("fleet", "steward", "runtime")


def settings(address=None, name="digits-server.demo.svc"):
    return Settings(FEDERATION, Paths(Path("/")), "127.0.0.1", "10.1.2.3", name, address)


def build(side, address=None):
    document = bootstrap(side, settings(address))
    return json.loads(json.dumps(document))


def listener(side, name):
    (found,) = [each for each in build(side)["static_resources"]["listeners"] if each["name"] == name]
    return found


def cluster(side, name, address=None):
    (found,) = [each for each in build(side, address)["static_resources"]["clusters"] if each["name"] == name]
    return found


def http(each):
    return each["filter_chains"][0]["filters"][-1]["typed_config"]


def route_list(each):
    return http(each)["route_config"]["virtual_hosts"][0]["routes"]


def tls(each):
    return each["filter_chains"][0]["transport_socket"]["typed_config"]


ALL = [
    *((Side.SERVER, name) for name in (*SERVER_LISTENERS, "metrics")),
    *((side, name) for side in (Side.CLIENT, Side.AGGREGATOR) for name in ("local", "metrics")),
]


@pytest.mark.parametrize(("side", "name"), ALL)
def test_requests_are_read_strictly_on_every_listener(side, name):
    manager = http(listener(side, name))
    assert manager["normalize_path"] is True
    assert manager["merge_slashes"] is True
    assert manager["path_with_escaped_slashes_action"] == "REJECT_REQUEST"
    assert manager["common_http_protocol_options"]["headers_with_underscores_action"] == "REJECT_REQUEST"
    assert manager["codec_type"] == "HTTP1"
    assert manager["request_headers_timeout"] == "10s"


@pytest.mark.parametrize(("side", "name"), ALL)
def test_every_listener_ends_with_a_refusal(side, name):
    last = route_list(listener(side, name))[-1]
    assert last["match"] == {"prefix": "/"}
    assert last["direct_response"] == {"status": 403}


@pytest.mark.parametrize(("side", "name"), ALL)
def test_the_identity_header_is_removed_before_anything_sees_the_request(side, name):
    (mutation,) = http(listener(side, name))["early_header_mutation_extensions"]
    assert mutation["typed_config"]["mutations"] == [{"remove": routes.CLIENT_HEADER}]


@pytest.mark.parametrize("side", list(Side))
def test_the_control_api_stands_in_no_route(side):
    assert routes.CONTROL_PREFIX not in json.dumps(build(side))
    assert "/v1/control" not in json.dumps(build(side))


@pytest.mark.parametrize("name", SERVER_LISTENERS)
def test_the_server_asks_for_certificates_in_tls_1_3_and_resumes_nothing(name):
    context = tls(listener(Side.SERVER, name))
    assert context["require_client_certificate"] is True
    assert context["disable_stateless_session_resumption"] is True
    assert context["disable_stateful_session_resumption"] is True
    assert context["common_tls_context"]["tls_params"] == ONLY_1_3


@pytest.mark.parametrize("name", SERVER_LISTENERS)
def test_the_certificate_header_is_the_servers_own(name):
    manager = http(listener(Side.SERVER, name))
    assert manager["forward_client_cert_details"] == "SANITIZE_SET"
    assert manager["set_current_client_cert_details"] == {"uri": True, "cert": True}


@pytest.mark.parametrize("name", SERVER_LISTENERS)
def test_a_connection_does_not_outlive_its_certificate_for_long(name):
    assert http(listener(Side.SERVER, name))["common_http_protocol_options"]["max_connection_duration"] == "60s"


def test_a_pod_leaves_a_connection_that_is_as_old():
    (options,) = cluster(Side.CLIENT, "server")["typed_extension_protocol_options"].values()
    assert options["common_http_protocol_options"]["max_connection_duration"] == "60s"


@pytest.mark.parametrize(
    ("name", "port", "matcher"),
    [
        ("fleet", ports.FLEET, {"prefix": "spiffe://example.org/ns/demo/training/digits/client/"}),
        ("steward", ports.STEWARD, {"exact": "spiffe://example.org/ns/demo/training/digits/operator"}),
        ("runtime", ports.RUNTIME, {"exact": "spiffe://example.org/ns/demo/training/digits/aggregator"}),
    ],
)
def test_each_port_is_for_one_role(name, port, matcher):
    found = listener(Side.SERVER, name)
    validation = tls(found)["common_tls_context"]["combined_validation_context"]["default_validation_context"]
    assert validation["match_typed_subject_alt_names"] == [{"san_type": "URI", "matcher": matcher}]
    assert found["address"]["socket_address"] == {"address": "10.1.2.3", "port_value": port}


def test_the_fleet_lets_through_exactly_what_a_supernode_calls_and_the_signer():
    matches = [each["match"] for each in route_list(listener(Side.SERVER, "fleet"))]
    short = [{"name": "content-length", "range_match": {"start": 0, "end": 8 * 1024 * 1024 + 1}}]
    others = [path for path in routes.FLEET_CALLS if path != routes.FLEET_PUSH_MESSAGES]
    expected = [{"path": path, "headers": short} for path in others]
    expected += [{"path": routes.FLEET_PUSH_MESSAGES}, {"prefix": routes.SIGNER_PREFIX}, {"prefix": "/"}]
    assert sorted(matches, key=str) == sorted(expected, key=str)


def test_the_gate_is_asked_about_everything_on_the_fleet_that_goes_on():
    filters = [each["name"] for each in http(listener(Side.SERVER, "fleet"))["http_filters"]]
    assert filters == [
        "envoy.filters.http.ext_authz",
        "envoy.filters.http.local_ratelimit",
        "envoy.filters.http.router",
    ]
    for route in route_list(listener(Side.SERVER, "fleet")):
        per_filter = route.get("typed_per_filter_config", {}).get("envoy.filters.http.ext_authz", {})
        assert ("route" in route) == ("disabled" not in per_filter)


def test_the_gate_reads_the_whole_body_of_push_messages():
    (push,) = [
        each
        for each in route_list(listener(Side.SERVER, "fleet"))
        if each["match"] == {"path": routes.FLEET_PUSH_MESSAGES}
    ]
    check = push["typed_per_filter_config"]["envoy.filters.http.ext_authz"]["check_settings"]
    assert check == {"with_request_body": {"max_request_bytes": 4 * 1024 * 1024, "allow_partial_message": False}}


def test_the_gate_fails_closed_and_so_that_a_supernode_retries():
    gate, limit, _ = http(listener(Side.SERVER, "fleet"))["http_filters"]
    assert gate["typed_config"]["failure_mode_allow"] is False
    assert gate["typed_config"]["status_on_error"] == {"code": "ServiceUnavailable"}
    assert limit["typed_config"]["status"] == {"code": "ServiceUnavailable"}


def test_each_client_has_a_rate_of_its_own():
    _, limit, _ = http(listener(Side.SERVER, "fleet"))["http_filters"]
    config = limit["typed_config"]
    (action,) = config["rate_limits"][0]["actions"]
    assert action["request_headers"]["header_name"] == routes.CLIENT_HEADER
    (descriptor,) = config["descriptors"]
    assert descriptor["entries"] == [{"key": "client"}]
    assert descriptor["token_bucket"]["max_tokens"] == 200


def test_flower_never_sees_what_the_gate_found_out():
    for name in ("fleet", "runtime"):
        for route in route_list(listener(Side.SERVER, name)):
            if route.get("route", {}).get("cluster") == "superlink":
                assert routes.CLIENT_HEADER in route["request_headers_to_remove"]


@pytest.mark.parametrize(("side", "name"), ALL)
def test_a_peers_certificate_is_shown_on_the_rounds_alone(side, name):
    shown = [
        each["match"]
        for each in route_list(listener(side, name))
        if "route" in each and "x-forwarded-client-cert" not in each["request_headers_to_remove"]
    ]
    assert shown == ([{"prefix": routes.ROUNDS_PREFIX}] if (side, name) == (Side.SERVER, "runtime") else [])


@pytest.mark.parametrize(
    ("side", "prefixes", "port"),
    [
        (Side.CLIENT, [routes.FLEET_PREFIX, routes.SIGNER_PREFIX], ports.FLEET),
        (Side.AGGREGATOR, [routes.RUNTIME_PREFIX, routes.ROUNDS_PREFIX], ports.RUNTIME),
    ],
)
def test_a_pod_lets_out_only_what_it_is_for(side, prefixes, port):
    local = listener(side, "local")
    assert local["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": ports.PROXY}
    assert [each["match"].get("prefix") for each in route_list(local)] == [*prefixes, "/"]
    (locality,) = cluster(side, "server")["load_assignment"]["endpoints"]
    (endpoint,) = locality["lb_endpoints"]
    assert endpoint["endpoint"]["address"]["socket_address"]["port_value"] == port


@pytest.mark.parametrize("side", [Side.CLIENT, Side.AGGREGATOR])
def test_a_pod_speaks_with_the_server_only(side):
    context = cluster(side, "server")["transport_socket"]["typed_config"]
    assert context["sni"] == "digits-server.demo.svc"
    assert context["max_session_keys"] == 0
    common = context["common_tls_context"]
    assert common["tls_params"] == ONLY_1_3
    assert common["combined_validation_context"]["default_validation_context"] == {
        "match_typed_subject_alt_names": [
            {"san_type": "URI", "matcher": {"exact": "spiffe://example.org/ns/demo/training/digits/server"}}
        ]
    }


@pytest.mark.parametrize(
    ("address", "kind", "host"), [(None, "STRICT_DNS", "digits-server.demo.svc"), ("127.0.7.1", "STATIC", "127.0.7.1")]
)
def test_the_server_is_found_by_name_unless_an_address_is_given(address, kind, host):
    found = cluster(Side.CLIENT, "server", address)
    assert found["type"] == kind
    endpoint = found["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    assert endpoint["address"]["socket_address"]["address"] == host


def test_slow_links_are_spared_large_buffers():
    local, server = listener(Side.CLIENT, "local"), cluster(Side.CLIENT, "server")
    assert local["per_connection_buffer_limit_bytes"] == server["per_connection_buffer_limit_bytes"] == 65_536
    (receive,) = local["socket_options"]
    assert (receive["level"], receive["name"], receive["int_value"]) == (1, 8, 65_536)
    (unsent,) = server["upstream_bind_config"]["socket_options"]
    assert (unsent["level"], unsent["name"], unsent["int_value"]) == (6, 25, 131_072)


@pytest.mark.parametrize("name", ["superlink", "steward"])
def test_the_proxy_lets_go_of_an_idle_connection_before_uvicorn_does(name):
    (options,) = cluster(Side.SERVER, name)["typed_extension_protocol_options"].values()
    assert options["common_http_protocol_options"]["idle_timeout"] == "4s"


@pytest.mark.parametrize("side", list(Side))
def test_the_admin_interface_is_a_socket_of_the_owner_only(side):
    assert build(side)["admin"]["address"]["pipe"] == {"path": "/run/shieldwall/sockets/admin.sock", "mode": 0o600}


@pytest.mark.parametrize("side", list(Side))
def test_the_metrics_listener_shows_the_servers_health_in_the_server_pod_only(side):
    paths = {each["match"].get("path") for each in route_list(listener(side, "metrics"))} - {None}
    own = {"/ready", "/stats/prometheus"}
    behind = {routes.HEALTH_SUPERLINK, routes.HEALTH_STEWARD, routes.METRICS_STEWARD}
    assert paths == (own | behind if side is Side.SERVER else own)


def test_leaf_and_key_are_watched_together():
    (resource,) = leaf_document(settings())["resources"]
    assert resource["tls_certificate"] == {
        "certificate_chain": {"filename": "/etc/shieldwall/tls/tls.crt"},
        "private_key": {"filename": "/etc/shieldwall/tls/tls.key"},
        "watched_directory": {"path": "/etc/shieldwall/tls"},
    }


def test_bundle_and_revocation_list_are_watched_together():
    (resource,) = trust_document(settings())["resources"]
    assert resource["validation_context"] == {
        "trusted_ca": {"filename": "/etc/shieldwall/trust/ca.crt"},
        "crl": {"filename": "/etc/shieldwall/trust/ca.crl"},
        "only_verify_leaf_cert_crl": True,
        "watched_directory": {"path": "/etc/shieldwall/trust"},
    }


@pytest.mark.parametrize("side", list(Side))
def test_the_same_settings_give_the_same_bytes(side):
    assert json.dumps(bootstrap(side, settings())) == json.dumps(bootstrap(side, settings()))


def test_access_logs_carry_what_a_report_needs():
    fleet = listener(Side.SERVER, "fleet")
    (connection,) = fleet["access_log"]
    (request,) = http(fleet)["access_log"]
    shared = {"kind", "listener", "time", "peer", "san", "serial", "tls"}
    assert connection["typed_config"]["log_format"]["json_format"].keys() == shared
    asked = {"code", "flags", "method", "path", "details"}
    assert request["typed_config"]["log_format"]["json_format"].keys() == shared | asked
