"""Chart and operator are upgraded while a training runs."""

from __future__ import annotations

import pytest

from .documents import digits
from .kubectl import eventually
from .ledger import ledger, newest
from .objects import objects, operators, restarts
from .older import older

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def before(site, release, report, tmp_path):
    """An older version is installed, and today's in the end, whatever happens."""
    version = older(tmp_path)
    if version is None:
        pytest.skip("the history has no version that differs from today's and makes the same of a training")
    report("commit that is upgraded from", version.commit)
    try:
        operator = version.image(site.images.operator, site.node) if site.own else site.images.operator
        release.install(operator, site.images.runtime, version.chart, "podAnnotations.version=older")
        yield operator
    finally:
        release.install(site.images.operator, site.images.runtime)


def test_an_upgrade_restarts_nothing_of_a_training(site, kubectl, release, before):
    """The training is made by the older operator, with the defaults of the older CustomResourceDefinition."""
    system = site.kubectl.inside(release.namespace)
    assert versions(system) == {("older", before)}
    kubectl.apply(digits(site.images.digits, 3, 500))
    eventually(lambda: newest(ledger(kubectl)) >= 2, 240)
    held, runs = objects(kubectl), restarts(kubectl)
    release.install(site.images.operator, site.images.runtime)
    assert versions(system) == {(None, site.images.operator)}, "the operator's pods are new"
    number = newest(ledger(kubectl))
    eventually(lambda: kubectl.status("digits")["round"] > number + 1, 90)
    assert objects(kubectl) == held
    assert restarts(kubectl) == runs


def versions(system):
    """What each pod of the operator that stays says of its chart, and runs."""
    return {
        (pod["metadata"].get("annotations", {}).get("version"), pod["spec"]["containers"][0]["image"])
        for pod in operators(system)
    }
