"""The way to a cluster, as kubectl goes it, and a sentence for each way in which it ends."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import ssl
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException
from yaml import YAMLError

from shieldwall.cli.exit_codes import ExitCode
from shieldwall.cli.terminal import console, printable
from shieldwall.control.api.fields import LABEL
from shieldwall.control.cluster.api import Api
from shieldwall.control.cluster.connection import Connection, NoClusterError, connect
from shieldwall.control.cluster.errors import ApiError, ApiUnreachableError
from shieldwall.control.cluster.kubeconfig import UnsupportedFieldError, read_kubeconfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

_IN_FLIGHT: Final = 16
_POD_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_DEFAULT: Final = "default"
_UNKNOWN_USER: Final = 401
_FORBIDDEN: Final = 403
_TERMINATED: Final = 128 + signal.SIGTERM


@dataclass(frozen=True, slots=True)
class Target:
    """What the command line says of the cluster; None is what kubectl would take."""

    namespace: str | None = None
    context: str | None = None
    kubeconfig: Path | None = None


@dataclass(frozen=True, slots=True)
class Cluster:
    """An API server that is spoken to, and the namespace that is meant."""

    api: Api
    namespace: str


class ClusterError(Exception):
    """Why a command cannot go on, in a sentence for people; ``code`` is the exit code."""

    def __init__(self, sentence: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(sentence)
        self.code = code


def ask(work: Callable[[], Coroutine[Any, Any, ExitCode]]) -> int:
    """Run ``work`` and give back its exit code; errors of the cluster are told in a sentence.

    130 after Ctrl-C and 143 after SIGTERM: ``work`` is cancelled and may say what stands.
    """
    try:
        return asyncio.run(_until_terminated(work()))
    except ClusterError as error:
        console(stderr=True).print(f"shieldwall: {printable(str(error))}", style="red")
        return error.code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except asyncio.CancelledError:
        return _TERMINATED


async def _until_terminated(work: Coroutine[Any, Any, ExitCode]) -> ExitCode:
    """``timeout 60 shieldwall …`` sends SIGTERM, which would leave files of credentials behind."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    if task is not None:
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await work
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


@asynccontextmanager
async def open_cluster(target: Target) -> AsyncIterator[Cluster]:
    """The cluster that ``target`` means. Raises ClusterError, also for what its API server answers within."""
    connection, namespace = await _connect(target)
    namespace = target.namespace or namespace
    if re.fullmatch(LABEL, namespace) is None:
        raise ClusterError(f"{namespace} cannot be the name of a namespace.", ExitCode.BAD_INPUT)
    try:
        async with Api(connection, in_flight=_IN_FLIGHT) as api:
            yield Cluster(api, namespace)
    except ApiError as error:
        raise ClusterError(_refused(error)) from error
    except ApiUnreachableError as error:
        raise ClusterError(f"The API server {connection.server} does not answer: {why(error)}.") from error
    except ValueError as error:
        if "JSON" not in type(error).__name__:
            raise
        raise ClusterError(f"{connection.server} does not answer as an API server does.") from error


async def _connect(target: Target) -> tuple[Connection, str]:
    """The connection and its context's namespace. A kubeconfig comes before a pod's account, as with kubectl."""
    paths = _kubeconfigs(target)
    if not any(path.is_file() for path in paths):
        return await _in_pod(target, paths)
    configuration = Configuration()
    try:
        with tempfile.TemporaryDirectory(prefix="shieldwall-") as directory:
            named = os.pathsep.join(map(str, paths))
            namespace = await read_kubeconfig(configuration, named, target.context, directory)
            connection = Connection(configuration)
    except UnsupportedFieldError as error:
        raise ClusterError(f"The kubeconfig cannot be used: {error}", ExitCode.BAD_INPUT) from error
    except (ConfigException, YAMLError, ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        raise ClusterError(f"The kubeconfig cannot be used: {_flaw(error)}.", ExitCode.BAD_INPUT) from error
    return connection, namespace


def _kubeconfigs(target: Target) -> list[Path]:
    if target.kubeconfig is not None:
        return [target.kubeconfig]
    named = [Path(part).expanduser() for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    return named or [Path.home() / ".kube" / "config"]


async def _in_pod(target: Target, paths: list[Path]) -> tuple[Connection, str]:
    chosen = target.kubeconfig is not None or target.context is not None
    if chosen or not os.environ.get("KUBERNETES_SERVICE_HOST"):
        places = ", ".join(map(str, paths))
        raise ClusterError(f"There is no kubeconfig at {places}; name one with --kubeconfig.", ExitCode.BAD_INPUT)
    try:
        connection = await connect()
    except NoClusterError as error:
        raise ClusterError(f"{error}.") from error
    try:
        return connection, _POD_NAMESPACE.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return connection, _DEFAULT


def _flaw(error: Exception) -> str:
    """What is wrong with a kubeconfig, never its content: errors of both libraries quote it, tokens and all."""
    if isinstance(error, ConfigException):
        return (
            str(error).removeprefix("Invalid kube-config file. ").partition("{")[0].rstrip(" ./") or "it is incomplete"
        )
    if isinstance(error, YAMLError):
        mark = getattr(error, "problem_mark", None)
        return f"line {mark.line + 1} is not YAML" if mark is not None else "it is not YAML"
    if isinstance(error, ssl.SSLError):
        return "a certificate or key in it cannot be read"
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'}: {error.strerror}"
    return "it is not a kubeconfig"


def _refused(error: ApiError) -> str:
    if error.status == _UNKNOWN_USER:
        return "The cluster does not know who you are; log in again."
    if error.status == _FORBIDDEN:
        return f"You may not do that: {_sentence(error.message)}"
    if error.missing and error.message.startswith("404 page not found"):
        return "The cluster does not know FederatedTrainings: Shieldwall is not installed there."
    return f"The API server says no ({error.status} {error.reason}): {_sentence(error.message)}"


def why(error: ApiUnreachableError) -> str:
    """The cause of a silence, in a few words."""
    cause = error.__cause__
    if isinstance(cause, aiohttp.ClientConnectorCertificateError):
        return "its certificate is not one that the kubeconfig trusts"
    if isinstance(cause, aiohttp.ClientConnectorDNSError):
        return "its name cannot be resolved"
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    if isinstance(cause, aiohttp.ClientConnectorError) and cause.os_error.errno:
        return os.strerror(cause.os_error.errno).lower()
    return "the connection was broken"


def _sentence(text: str) -> str:
    return text.strip().rstrip(".") + "."
