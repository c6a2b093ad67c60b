"""Reads a kubeconfig with the official client, and refuses what the client would pass over in silence.

A field that is not followed is worse than one that is refused: without ``as`` more would be done than was meant, and a
text in place of ``false`` would switch off the check of the server's certificate.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from kubernetes.aio.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION, KubeConfigLoader, KubeConfigMerger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from kubernetes.aio.client import Configuration

_DEFAULT: Final = "default"
_IMPERSONATION: Final = ("as", "as-uid", "as-groups", "as-user-extra")
_AUTHORITIES: Final = ("certificate-authority", "certificate-authority-data")


class UnsupportedFieldError(ValueError):
    """A field of a kubeconfig cannot be followed; ``field`` names it."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(f"{field} {sentence}")
        self.field = field


async def read_kubeconfig(
    configuration: Configuration, paths: str | None = None, context: str | None = None, directory: str | None = None
) -> str:
    """Fill ``configuration``; returns the context's namespace.

    ``paths`` as in KUBECONFIG, which it is by default. Inline certificates go into files in ``directory``. Raises
    UnsupportedFieldError, and for what is no kubeconfig the library's ConfigException and whatever else it runs into.
    """
    merged = KubeConfigMerger(paths or KUBE_CONFIG_DEFAULT_LOCATION).config  # type: ignore[no-untyped-call]
    loader = KubeConfigLoader(  # type: ignore[no-untyped-call]
        merged, active_context=context, config_base_path=None, temp_file_path=directory
    )
    chosen = loader.current_context["context"]
    cluster, user = _entry(merged, "cluster", chosen["cluster"]), _entry(merged, "user", chosen.get("user"))
    _require_cluster(f"clusters[{chosen['cluster']}].cluster", cluster)
    _require_user(f"users[{chosen.get('user')}].user", user)
    await loader.load_and_set(configuration)  # type: ignore[no-untyped-call]
    if "exec" in user:
        if "BearerToken" not in configuration.api_key and not configuration.cert_file:
            raise UnsupportedFieldError(f"users[{chosen['user']}].user.exec", "gave no credentials.")
        configuration.refresh_api_key_hook = _refreshing(loader)  # type: ignore[assignment]  # None by default
    return str(chosen.get("namespace") or _DEFAULT)


def _entry(merged: Any, kind: str, name: str | None) -> Mapping[str, Any]:  # noqa: ANN401  # untyped in the library
    found = merged[f"{kind}s"].get_with_name(name, safe=True)
    entry = found[kind].value if found is not None else {}
    return entry if isinstance(entry, dict) else {}


def _require_cluster(path: str, cluster: Mapping[str, Any]) -> None:
    insecure = cluster.get("insecure-skip-tls-verify")
    if not isinstance(insecure, bool | None):
        raise UnsupportedFieldError(f"{path}.insecure-skip-tls-verify", "must be true or false.")
    authority = next((field for field in _AUTHORITIES if cluster.get(field)), None)
    if insecure and authority is not None:
        sentence = f"cannot be true beside {authority}: either the server's certificate is checked or it is not."
        raise UnsupportedFieldError(f"{path}.insecure-skip-tls-verify", sentence)
    if not isinstance(cluster.get("tls-server-name"), str | None):
        raise UnsupportedFieldError(f"{path}.tls-server-name", "must be a text.")
    proxy = cluster.get("proxy-url")
    if proxy and not (isinstance(proxy, str) and urlsplit(proxy).scheme in {"http", "https"}):
        raise UnsupportedFieldError(f"{path}.proxy-url", "must begin with http:// or https://; no other is supported.")


def _require_user(path: str, user: Mapping[str, Any]) -> None:
    if user.get("auth-provider"):
        sentence = "is not supported; use an exec plugin (client-go credential plugin) in its place."
        raise UnsupportedFieldError(f"{path}.auth-provider", sentence)
    for field in _IMPERSONATION:
        if user.get(field):
            sentence = "is not supported: nobody is impersonated. Use a context of a user that needs none."
            raise UnsupportedFieldError(f"{path}.{field}", sentence)


def _refreshing(loader: KubeConfigLoader) -> Callable[[Configuration], Awaitable[None]]:
    """Asks the plugin again when it said until when its token serves, and that time has come."""
    lock = asyncio.Lock()

    async def refresh(configuration: Configuration) -> None:
        if not hasattr(loader, "exec_plugin_expiry"):
            return
        async with lock:
            await loader.load_from_exec_plugin()  # type: ignore[no-untyped-call]
        configuration.api_key["BearerToken"] = loader.token

    return refresh
