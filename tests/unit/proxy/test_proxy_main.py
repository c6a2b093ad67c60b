"""The start of the proxy: its files, its command line, and how fast it gets there."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from shieldwall.contract.identity import Federation
from shieldwall.contract.paths import Paths
from shieldwall.contract.policy import AggregationPolicy, AppPolicy, FederationPolicy, RoundsPolicy, Rule, RuntimePolicy
from shieldwall.runtime.proxy import main as proxy
from shieldwall.runtime.proxy.settings import Settings, Side

POLICY = RuntimePolicy(
    federation=FederationPolicy(uid="1", trust_domain="example.org", namespace="demo", name="digits"),
    app=AppPolicy(client_app="app:app"),
    rounds=RoundsPolicy(count=1, min_replies=1),
    aggregation=AggregationPolicy(rule=Rule.FED_AVG),
)


@pytest.fixture
def container(tmp_path, monkeypatch):
    paths = Paths(tmp_path)
    paths.policy.parent.mkdir(parents=True)
    paths.policy.write_text(POLICY.to_json())
    for name in [name for name in os.environ if name.startswith("SHIELDWALL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SHIELDWALL_ROOT", str(tmp_path))
    return paths


def test_settings_come_from_policy_and_environment(container, monkeypatch):
    monkeypatch.setenv("SHIELDWALL_SERVER", "digits-server")
    monkeypatch.setenv("SHIELDWALL_SERVER_ADDRESS", "127.3.0.1")
    monkeypatch.setenv("SHIELDWALL_LOOPBACK", "127.3.0.2")
    monkeypatch.setenv("SHIELDWALL_POD_IP", "127.3.0.3")
    assert proxy.settings_of_this_container(Side.CLIENT) == Settings(
        Federation("example.org", "demo", "digits"), container, "127.3.0.2", "127.3.0.3", "digits-server", "127.3.0.1"
    )


def put_leaf(container, life):
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([]), dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + life)
    container.tls.mkdir(parents=True)
    (container.tls / "tls.crt").write_bytes(builder.sign(key, SHA256()).public_bytes(Encoding.PEM))


@pytest.mark.parametrize(
    ("life", "longest"),
    [
        (dt.timedelta(hours=24, minutes=5), 60),
        (dt.timedelta(hours=1, minutes=5), 60),
        (dt.timedelta(seconds=64), 8),
        (dt.timedelta(seconds=8), 5),
    ],
)
def test_a_connection_is_shorter_than_what_is_left_of_a_leaf_at_its_renewal(container, life, longest):
    put_leaf(container, life)
    assert proxy.settings_of_this_container(Side.SERVER).max_connection == longest


def test_without_a_readable_leaf_a_connection_lasts_a_minute(container):
    assert proxy.settings_of_this_container(Side.SERVER).max_connection == 60
    container.tls.mkdir(parents=True)
    (container.tls / "tls.crt").write_text("nonsense")
    assert proxy.settings_of_this_container(Side.SERVER).max_connection == 60


def test_the_server_pod_needs_no_servers_name(container):
    assert proxy.settings_of_this_container(Side.SERVER).server_name == ""
    with pytest.raises(KeyError):
        proxy.settings_of_this_container(Side.CLIENT)
    assert container.policy.exists()


def test_main_writes_the_files_and_becomes_envoy(container, monkeypatch):
    started = []
    monkeypatch.setattr(os, "execvp", lambda file, arguments: started.append((file, arguments)))
    monkeypatch.setenv("SHIELDWALL_ENVOY", "/usr/local/bin/envoy")
    proxy.main(["server"])
    ((file, arguments),) = started
    sockets = container.admin_socket.parent
    assert (file, arguments[0]) == ("/usr/local/bin/envoy", "/usr/local/bin/envoy")
    assert arguments[1:3] == ["--config-path", str(sockets / "envoy.json")]
    assert {"--disable-hot-restart", "--concurrency"} <= set(arguments)
    assert {each.name for each in sockets.iterdir()} == {"envoy.json", "leaf.json", "trust.json"}
    assert json.loads((sockets / "envoy.json").read_text())["node"]["id"] == "server"


def test_an_unknown_side_is_refused(container, capsys):
    with pytest.raises(SystemExit) as caught:
        proxy.main(["somewhere"])
    assert caught.value.code == 2
    assert "somewhere" in capsys.readouterr().err
    assert not container.admin_socket.parent.exists()


def test_the_binary_of_the_package_is_the_default(container):
    assert os.access(proxy.envoy_binary(), os.X_OK)
    assert container.root.exists()


def test_the_start_loads_nothing_heavy():
    code = "import sys, shieldwall.runtime.proxy.main; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"flwr", "yaml", "numpy", "httpx", "starlette", "uvicorn", "cryptography"} & set(loaded)
