"""Where the API server is and by what it knows us: read by the official client, used by kopf and by ``Api``."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config

from shieldwall.control.cluster.kubeconfig import UnsupportedFieldError, read_kubeconfig

if TYPE_CHECKING:
    from pathlib import Path


class NoClusterError(RuntimeError):
    """There is neither a kubeconfig nor a service account."""


class Connection:
    """A configured way to the API server. A service account's token is read anew as the kubelet replaces it."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.server: str = str(configuration.host).rstrip("/")
        self.ssl_context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        if configuration.cert_file:
            self.ssl_context.load_cert_chain(configuration.cert_file, configuration.key_file)
        if not configuration.verify_ssl:
            self.ssl_context.check_hostname = False
            self.ssl_context.verify_mode = ssl.CERT_NONE
        self.tls_server_name: str | None = configuration.tls_server_name or None
        """Whom the server's certificate must name; None for the host of ``server``."""
        self.proxy: str | None = configuration.proxy or None
        """URL of the proxy that the server is reached through."""

    async def authorization(self) -> dict[str, str]:
        """The header that says who we are; empty with a client certificate."""
        token = await self.configuration.get_api_key_with_prefix("BearerToken")
        return {"Authorization": _capital(token)} if token else {}


async def connect(kubeconfig: Path | None = None) -> Connection:
    """The operator's, as in a pod, or by ``kubeconfig`` (``KUBECONFIG``, ``~/.kube/config``). Raises NoClusterError."""
    configuration = Configuration()
    try:
        if kubeconfig is None and os.environ.get("KUBERNETES_SERVICE_HOST"):
            load_incluster_config(  # type: ignore[no-untyped-call]
                client_configuration=configuration
            )
        else:
            await read_kubeconfig(configuration, str(kubeconfig) if kubeconfig is not None else None)
    except UnsupportedFieldError as error:
        raise NoClusterError(f"The kubeconfig cannot be used: {error}") from error
    except ConfigException:
        # The library's own words may quote a user's entry, token and all.
        raise NoClusterError(
            "No way to a cluster: this is no pod, and no kubeconfig can be read"
            " (KUBECONFIG, ~/.kube/config, --kubeconfig)"
        ) from None
    connection = Connection(configuration)
    if connection.tls_server_name is not None:  # kopf has no such setting
        raise NoClusterError(
            "The kubeconfig cannot be used: tls-server-name of a cluster is not supported by the operator."
            " Give as server a name that the API server's certificate holds."
        )
    return connection


def _capital(token: str) -> str:
    """The official client writes ``bearer`` in a pod; some proxies know ``Bearer`` only."""
    return "Bearer " + token[len("bearer ") :] if token[: len("bearer ")].lower() == "bearer " else token
