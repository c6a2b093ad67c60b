"""The chart goes and comes back while a training runs."""

from __future__ import annotations

import pytest

from .kubectl import eventually
from .ledger import ledger, released
from .objects import objects, operators, restarts


@pytest.mark.timeout(400)
def test_without_the_operator_training_goes_on_and_the_next_one_adopts_it(site, kubectl, release):
    system = site.kubectl.inside(release.namespace)
    before, runs = objects(kubectl), restarts(kubectl)
    release.uninstall()
    try:
        assert kubectl.get("ft", "digits"), "the CustomResourceDefinition is kept, and trainings with it"
        eventually(lambda: not operators(system), 60)
        first = len(released(ledger(kubectl)))
        eventually(lambda: len(released(ledger(kubectl))) > first + 1, 90)
        told = kubectl.status("digits")["round"]
    finally:
        release.install(site.images.operator, site.images.runtime)
    eventually(lambda: kubectl.status("digits")["round"] > told, 60)
    assert objects(kubectl) == before, "adopted as it was"
    assert restarts(kubectl) == runs


def test_the_operators_pods_run_the_image_that_was_loaded_last(site, release):
    if not site.own:
        pytest.skip("another cluster takes its images from a registry")
    pods = operators(site.kubectl.inside(release.namespace))
    ran = {status["imageID"] for pod in pods for status in pod["status"]["containerStatuses"]}
    assert ran == {site.node.image(site.images.operator)}


def test_the_charts_own_test_passes(release):
    assert "Succeeded" in release.test()
