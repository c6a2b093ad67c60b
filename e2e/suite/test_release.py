"""The chart goes and comes back, and is upgraded, while a training runs."""

from __future__ import annotations

import subprocess
import tarfile
from io import BytesIO

import pytest

from .conftest import ROOT, space
from .documents import digits
from .kubectl import eventually
from .test_renewal import restarts


@pytest.fixture(scope="module")
def training(site, kubectl):
    kubectl.apply(digits(site.images.digits, 3, 500))
    eventually(lambda: kubectl.status("digits").get("round", 0) >= 1, 180)


def resources(kubectl):
    """By name: what would change if somebody wrote."""
    kinds = "statefulsets,deployments,configmaps,secrets,networkpolicies,services"
    return {
        (each["kind"], each["metadata"]["name"]): (each["metadata"]["uid"], each["metadata"].get("generation"))
        for each in kubectl.all(kinds, "shieldwall.dev/training=digits")
    }


@pytest.mark.timeout(400)
def test_without_the_operator_training_goes_on_and_the_next_one_adopts_it(site, kubectl, release, training):
    before, runs = resources(kubectl), restarts(kubectl)
    release.uninstall()
    try:
        assert kubectl.get("ft", "digits"), "the CustomResourceDefinition is kept, and trainings with it"
        rounds = lambda: kubectl.run(  # noqa: E731
            "digits-aggregator-0", "aggregator", "sh", "-c", "wc -l < /var/lib/shieldwall/model/ledger.jsonl"
        )
        first = int(rounds())
        eventually(lambda: int(rounds()) > first + 1, 90)
        told = kubectl.status("digits")["round"]
    finally:
        release.install(site.images.operator, site.images.runtime)
    eventually(lambda: kubectl.status("digits")["round"] > told, 60)
    assert resources(kubectl) == before, "adopted as it was"
    assert restarts(kubectl) == runs


@pytest.fixture
def older(site, release, tmp_path):
    """An older chart is installed, and today's in the end, whatever happens."""
    release.install(site.images.operator, site.images.runtime, older_chart(tmp_path), "podAnnotations.chart=older")
    yield
    release.install(site.images.operator, site.images.runtime)


@pytest.mark.timeout(900)
def test_an_upgrade_of_the_chart_restarts_nothing_of_a_training(site, release, older, request):
    """The training is made under the older chart, whose CustomResourceDefinition has defaults of its own."""
    system = site.kubectl.inside(release.namespace)
    assert annotations(system) == {"older"}
    with space(site, request, "-upgrade") as kubectl:
        kubectl.apply(digits(site.images.digits, 3, 500))
        eventually(lambda: kubectl.status("digits").get("round", 0) >= 2, 240)
        before, runs = resources(kubectl), restarts(kubectl)
        release.install(site.images.operator, site.images.runtime)
        assert annotations(system) == {None}, "the operator's pods are new"
        number = kubectl.status("digits")["round"]
        eventually(lambda: kubectl.status("digits")["round"] > number + 1, 90)
        assert resources(kubectl) == before
        assert restarts(kubectl) == runs
        kubectl.delete("ft", "digits")


def annotations(system):
    """What each pod of the operator that stays says of its chart."""
    pods = system.all("pods", "app.kubernetes.io/component=operator")
    stay = [pod["metadata"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    return {metadata.get("annotations", {}).get("chart") for metadata in stay}


def older_chart(directory):
    """The chart as it was when the operator's rights were last changed: an older one does not let today's work."""
    log = ["git", "log", "-1", "--format=%H", "--", "charts/shieldwall/templates/rbac.yaml"]
    known = subprocess.run(log, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    archive = subprocess.run(
        ["git", "archive", known, "charts/shieldwall"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        tar.extractall(directory)  # noqa: S202  # our own commit
    return directory / "charts" / "shieldwall"


def test_the_charts_own_test_passes(release):
    assert "Succeeded" in release.test()
