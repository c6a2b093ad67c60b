"""Helm itself: what is said after an installation, and what a second release in the cluster needs."""

import os
import subprocess

import pytest
from harness.apiserver import ApiServer
from harness.tools import binary

pytestmark = pytest.mark.slow

ABSENT = "WARNING: the cluster has no {} yet"
KINDS = ("FederatedTraining", "PrivacyBudget")
OWN = "Further releases in this cluster need crds.enabled: false"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Without the CustomResourceDefinitions."""
    with ApiServer(tmp_path_factory.mktemp("releases") / "server") as server:
        yield server


@pytest.fixture
def install(server, chart, tmp_path):
    def installed(name, *options):
        command = [
            binary("helm"), "--kubeconfig", server.kubeconfig(), "install", name, chart,
            "--namespace", f"{name}-system", "--create-namespace", *options,
        ]  # fmt: skip
        environment = os.environ | {"HELM_CACHE_HOME": str(tmp_path), "HELM_DATA_HOME": str(tmp_path)}
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=90, env=environment)

    return installed


@pytest.mark.timeout(300)
def test_one_release_owns_the_definition_and_the_others_are_told_so(install):
    early = install("early", "--set", "crds.enabled=false", "--set", "watchNamespaces={fed-a}", "--dry-run=server")
    assert all(ABSENT.format(kind) in early.stdout for kind in KINDS), early.stderr
    first = install("first")
    assert first.returncode == 0, first.stderr
    assert OWN in first.stdout
    assert not any(ABSENT.format(kind) in first.stdout for kind in KINDS)
    options = ["--set", "watchNamespaces={fed-b}", "--set", "rbac.create=false"]
    refused = install("second", *options)
    assert refused.returncode
    assert "invalid ownership metadata" in refused.stderr
    second = install("third", *options, "--set", "crds.enabled=false")
    assert second.returncode == 0, second.stderr
    assert not any(ABSENT.format(kind) in second.stdout for kind in KINDS), "they are there"
    assert "does nothing" not in second.stdout


def test_the_value_and_the_readme_say_it_too(chart):
    readme = (chart / "README.md").read_text(encoding="utf-8")
    assert "**A second release in the cluster**" in readme
    assert "invalid ownership metadata" in readme
    assert "false for every other" in " ".join(
        line.strip(" #") for line in (chart / "values.yaml").read_text(encoding="utf-8").splitlines()
    ).replace("  ", " ")
