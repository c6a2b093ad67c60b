"""TLS contexts: mutual between pods, pod-local on loopback, and the SDS files that let certificates be renewed.

Certificates, bundle and CRLs are read through SDS files that watch the mounted directory: the kubelet renames
``..data`` and Envoy reloads key and certificate, or bundle and CRL, together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.runtime.proxy.settings import Json, Settings, typed

if TYPE_CHECKING:
    from pathlib import Path

_TLS: Final = "envoy.extensions.transport_sockets.tls.v3"
_SOCKET_NAME: Final = "envoy.transport_sockets.tls"
_ONLY_TLS_1_3: Final[Json] = {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"}


def exactly(uri: str) -> Json:
    """Match peers whose certificate carries this URI."""
    return {"exact": uri}


def beginning_with(uri: str) -> Json:
    """Match peers whose certificate carries a URI that begins so."""
    return {"prefix": uri}


def mutual_downstream(settings: Settings, peer: Json) -> Json:
    """Accept only peers with a certificate of this training whose URI matches ``peer``.

    Session resumption is off: a resumed session would skip the check against the CRL.
    """
    return _socket(
        "DownstreamTlsContext",
        {
            "require_client_certificate": True,
            "disable_stateless_session_resumption": True,
            "disable_stateful_session_resumption": True,
            "common_tls_context": {**_mutual(settings, peer), "alpn_protocols": ["http/1.1"]},
        },
    )


def mutual_upstream(settings: Settings, server: str) -> Json:
    """Speak only with the peer whose certificate carries the URI ``server``; no session is ever resumed."""
    return _socket(
        "UpstreamTlsContext",
        {
            "sni": settings.server_name,
            "max_session_keys": 0,
            "common_tls_context": _mutual(settings, exactly(server)),
        },
    )


def local_downstream(settings: Settings) -> Json:
    """Serve the loopback hop with the pod's own certificate: Flower's node authentication refuses plain HTTP."""
    certificate = {
        "certificate_chain": _file(settings.paths.local_certificate),
        "private_key": _file(settings.paths.local_key),
    }
    common: Json = {"tls_params": _ONLY_TLS_1_3, "tls_certificates": [certificate]}
    return _socket("DownstreamTlsContext", {"common_tls_context": common})


def local_upstream(settings: Settings) -> Json:
    """Speak with the pod's SuperLink, known by the pod-local certificate."""
    validation: Json = {
        "trusted_ca": _file(settings.paths.local_certificate),
        "match_typed_subject_alt_names": [{"san_type": "IP_ADDRESS", "matcher": {"exact": settings.loopback}}],
    }
    return _socket("UpstreamTlsContext", {"common_tls_context": {"validation_context": validation}})


def leaf_document(settings: Settings) -> Json:
    """The SDS file of the leaf: certificate and key, reloaded together."""
    directory = settings.paths.tls
    secret: Json = {
        "certificate_chain": _file(directory / "tls.crt"),
        "private_key": _file(directory / "tls.key"),
        "watched_directory": {"path": str(directory)},
    }
    return _sds_document("leaf", {"tls_certificate": secret})


def trust_document(settings: Settings) -> Json:
    """The SDS file of the trust: the issuing CAs of this training and their CRLs, reloaded together.

    The bundle holds intermediates only. Envoy takes each of them as an anchor, so a leaf of another training under
    the same root does not chain, even when its intermediate is sent along. With the root absent no CRL could speak
    for the intermediate itself; it is dropped from the bundle instead, and only leaves are looked up in the CRL.
    """
    directory = settings.paths.trust
    context: Json = {
        "trusted_ca": _file(directory / "ca.crt"),
        "crl": _file(directory / "ca.crl"),
        "only_verify_leaf_cert_crl": True,
        "watched_directory": {"path": str(directory)},
    }
    return _sds_document("trust", {"validation_context": context})


def _mutual(settings: Settings, peer: Json) -> Json:
    return {
        "tls_params": _ONLY_TLS_1_3,
        "tls_certificate_sds_secret_configs": [_sds("leaf", settings.leaf_file)],
        "combined_validation_context": {
            "default_validation_context": {"match_typed_subject_alt_names": [{"san_type": "URI", "matcher": peer}]},
            "validation_context_sds_secret_config": _sds("trust", settings.trust_file),
        },
    }


def _socket(kind: str, context: Json) -> Json:
    return {"name": _SOCKET_NAME, "typed_config": typed(f"{_TLS}.{kind}", context)}


def _sds(name: str, file: Path) -> Json:
    source: Json = {"resource_api_version": "V3", "path_config_source": {"path": str(file)}}
    return {"name": name, "sds_config": source}


def _sds_document(name: str, secret: Json) -> Json:
    return {"resources": [typed(f"{_TLS}.Secret", {"name": name, **secret})]}


def _file(path: Path) -> Json:
    return {"filename": str(path)}
