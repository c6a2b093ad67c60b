"""Envoy itself finds nothing wrong with any of the configurations."""

from __future__ import annotations

import json
import subprocess

import pytest

from shieldwall.contract.paths import Paths
from shieldwall.runtime.proxy.main import envoy_binary, write_configuration
from shieldwall.runtime.proxy.settings import Settings, Side

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("address", [None, "127.0.0.9"])
@pytest.mark.parametrize("side", list(Side))
def test_envoy_accepts_the_configuration(side, address, tmp_path, make, federations):
    settings = Settings(federations[0], Paths(tmp_path), "127.0.0.1", "0.0.0.0", "digits-server.demo", address)  # noqa: S104  # not bound in validation
    make.put_local_certificate(settings.paths, settings.loopback)
    write_configuration(side, settings)
    command = [envoy_binary(), "--mode", "validate", "--config-path", str(settings.bootstrap_file)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "deprecated" not in result.stderr.lower()


def test_envoy_refuses_a_field_it_does_not_know(tmp_path, make, federations):
    settings = Settings(federations[0], Paths(tmp_path), "127.0.0.1", "127.0.0.1", "server", None)
    make.put_local_certificate(settings.paths, settings.loopback)
    write_configuration(Side.CLIENT, settings)
    document = json.loads(settings.bootstrap_file.read_text())
    document["static_resources"]["listeners"][0]["mistyped"] = True
    settings.bootstrap_file.write_text(json.dumps(document))
    command = [envoy_binary(), "--mode", "validate", "--config-path", str(settings.bootstrap_file)]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0
