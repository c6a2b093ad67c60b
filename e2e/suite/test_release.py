"""The chart goes and comes back, and is upgraded, while a training runs."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
from io import BytesIO
from itertools import product

import pytest
from ruamel.yaml import YAML

from .conftest import ROOT, space
from .documents import digits
from .helm import CHART
from .kubectl import eventually
from .test_renewal import restarts


@pytest.fixture(scope="module")
def training(site, kubectl):
    kubectl.apply(digits(site.images.digits, 3, 500))
    eventually(lambda: kubectl.status("digits").get("round", 0) >= 1, 180)


def resources(kubectl):
    """By name: what would change if somebody wrote, or made it anew."""
    kinds = "statefulsets,deployments,configmaps,secrets,networkpolicies,services,poddisruptionbudgets,serviceaccounts"
    return {
        (each["kind"], each["metadata"]["name"]): (each["metadata"]["uid"], content(each))
        for each in kubectl.all(kinds, "shieldwall.dev/training=digits")
    }


def content(found):
    """A digest of what an object holds; of the keys in it nothing is printed when a test fails."""
    held = {key: value for key, value in found.items() if key not in {"metadata", "status"}}
    return hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()


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
def older(site, release, report, tmp_path):
    """An older chart is installed, and today's in the end, whatever happens."""
    commit, chart = older_chart(release, tmp_path)
    report("commit of the chart that is upgraded", commit)
    release.install(site.images.operator, site.images.runtime, chart, "podAnnotations.chart=older")
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


def test_the_operators_pods_run_the_image_that_was_loaded_last(site, release):
    if not site.own:
        pytest.skip("another cluster takes its images from a registry")
    pods = operators(site.kubectl.inside(release.namespace))
    ran = {status["imageID"] for pod in pods for status in pod["status"]["containerStatuses"]}
    assert ran == {site.node.image(site.images.operator)}


def annotations(system):
    """What each pod of the operator that stays says of its chart."""
    return {pod["metadata"].get("annotations", {}).get("chart") for pod in operators(system)}


def operators(system):
    """The operator's pods that stay."""
    pods = system.all("pods", "app.kubernetes.io/component=operator")
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def older_chart(helm, directory):
    """The oldest chart that lets today's operator do all that it does: it grants every right of today's.

    Returns its commit and where it is unpacked.
    """
    if git("rev-parse", "--git-dir", check=False).returncode:
        pytest.skip("older charts come from the repository's history, and here is none")
    rights, found = granted(helm, CHART), None
    for commit in git("log", "--format=%H", "--", "charts/shieldwall").stdout.decode().split():
        chart = chart_of(commit, directory / commit)
        if not rights <= granted(helm, chart):
            break
        found = commit, chart
    if found is None or not git("diff", "--name-only", found[0], "--", "charts/shieldwall").stdout:
        pytest.skip("no chart before today's grants what today's operator needs, or the history is cut short")
    return found


def git(*arguments, check=True):
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=check)


def chart_of(commit, directory):
    """The chart of a commit, unpacked."""
    archive = git("archive", commit, "charts/shieldwall").stdout
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        tar.extractall(directory)  # noqa: S202  # our own commit
    return directory / "charts" / "shieldwall"


def granted(helm, chart):
    """(group, resource, verb) of all roles that a chart makes."""
    roles = [each for each in YAML(typ="safe").load_all(helm.render(chart)) if each and each["kind"].endswith("Role")]
    return {
        right
        for role in roles
        for rule in role.get("rules") or ()
        for right in product(rule["apiGroups"], rule["resources"], rule["verbs"])
    }


def test_the_charts_own_test_passes(release):
    assert "Succeeded" in release.test()
