"""One installation of the chart for the whole suite, and a namespace for each module.

``E2E_KUBECONFIG`` names the cluster; without it, it is the one that ``make cluster-up`` made, with its images. Another
cluster fetches them from ``E2E_REGISTRY``, as ``$E2E_REGISTRY/operator:VERSION`` and so on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cluster.cluster import DEFAULT, Cluster
from images.catalogue import CATALOGUE

from .documents import namespace
from .helm import Helm
from .kubectl import Kubectl, KubectlError, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
SYSTEM = "shieldwall-system"


@dataclass(frozen=True)
class Images:
    """What pods run."""

    operator: str
    runtime: str
    digits: str
    attacker: str


@dataclass(frozen=True)
class Site:
    """The cluster."""

    kubectl: Kubectl
    helm: Helm
    images: Images
    node: Cluster | None
    """The one-node cluster of ``e2e/cluster``, whose node may be hurt; None for any other."""

    @property
    def own(self) -> bool:
        """Whether it is that cluster."""
        return self.node is not None


def _tool(name: str) -> Path:
    found = subprocess.run([ROOT / ".ci" / "tools", "--path", name], capture_output=True, text=True, check=True)
    return Path(found.stdout.strip())


def _tags() -> dict[str, str]:
    registry = os.environ.get("E2E_REGISTRY")
    return {
        image.name: f"{registry}/{image.name}:{image.tag.rpartition(':')[2]}" if registry else image.tag
        for image in CATALOGUE
    }


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The one that tells how long a training takes to begin comes first: the node has nothing else to do then."""
    items.sort(key=lambda item: item.path.name != "test_training.py")


def _marks(node: Cluster | None, operator: str) -> tuple[str, ...]:
    """An image that was loaded anew has the old one's name: its digest makes the operator's pods new, too."""
    return (f"podAnnotations.image={node.image(operator)}",) if node else ()


@pytest.fixture(scope="session")
def site() -> Site:
    given = os.environ.get("E2E_KUBECONFIG")
    node = None if given else Cluster(DEFAULT)
    kubeconfig = Path(given) if given else node.kubeconfig
    tags = _tags()
    images = Images(tags["operator"], tags["runtime"], tags["digits"], tags["digits-attacker"])
    helm = Helm(_tool("helm"), kubeconfig, SYSTEM, _marks(node, images.operator))
    return Site(Kubectl(_tool("kubectl"), kubeconfig), helm, images, node)


@pytest.fixture(scope="session")
def release(site: Site) -> Iterator[Helm]:
    """The chart, installed as its README says, with this suite's images."""
    if not site.own and site.kubectl("get", "namespace", SYSTEM, "--ignore-not-found"):
        pytest.exit(f"E2E_KUBECONFIG: that cluster has a namespace {SYSTEM}, which the suite would take away", 64)
    site.kubectl.apply(namespace(SYSTEM))
    site.helm.install(site.images.operator, site.images.runtime)
    yield site.helm
    if site.own:
        return  # the whole cluster goes
    site.helm.uninstall()
    site.kubectl.delete("namespace", SYSTEM, seconds=120)


@pytest.fixture(scope="module")
def kubectl(site: Site, release: Helm, request: pytest.FixtureRequest) -> Iterator[Kubectl]:
    """kubectl in a namespace of the module's own, which enforces the restricted standard."""
    with space(site, request) as inside:
        yield inside


@contextmanager
def space(site: Site, request: pytest.FixtureRequest, suffix: str = "") -> Iterator[Kubectl]:
    """A namespace named after the module; what is found in it is kept when one of the module's tests failed."""
    name = request.module.__name__.rpartition(".")[2].removeprefix("test_").replace("_", "-") + suffix
    site.kubectl.apply(namespace(name))
    inside = site.kubectl.inside(name)
    eventually(lambda: inside.get("serviceaccount", "default"), 30)
    failed = request.session.testsfailed
    yield inside
    if request.session.testsfailed > failed:
        leave_evidence(inside, name)
    site.kubectl.delete("namespace", name, "--wait=false")


def leave_evidence(kubectl: Kubectl, name: str) -> None:
    """What somebody who was not there needs, in a folder of this name: of the training's pods and of the operator's."""
    directory = ROOT / "e2e" / "evidence" / name
    directory.mkdir(parents=True, exist_ok=True)
    for kind in ("federatedtrainings", "pods", "events"):
        _keep(directory / f"{kind}.yaml", kubectl, "get", kind, "-o", "yaml")
    ledger = ("cat", "/var/lib/shieldwall/model/ledger.jsonl")
    _keep(directory / "ledger.jsonl", kubectl, "exec", "digits-aggregator-0", "-c", "aggregator", "--", *ledger)
    for one in (kubectl, kubectl.inside(SYSTEM)):
        pods = _keep(directory / f"pods-in-{one.namespace}", one, "get", "pods", "-o", "name")
        for pod in pods.split():
            logs = ("logs", pod, "--all-containers", "--prefix", "--tail=2000")
            path = directory / f"{pod.rpartition('/')[2]}.log"
            _keep(path, one, *logs)
            _keep(path.with_suffix(".previous.log"), one, *logs, "--previous")


def _keep(path: Path, kubectl: Kubectl, *arguments: str) -> str:
    """What was said, which is also in the file; empty on an error: one thing must not hide the others."""
    try:
        said = kubectl(*arguments)
    except (KubectlError, subprocess.TimeoutExpired) as error:
        path.with_suffix(".missing").write_text(str(error))
        return ""
    path.write_text(said)
    return said


@pytest.fixture(scope="session")
def report() -> Iterator[Callable[[str, object], None]]:
    """Figures that the suite found, printed at the end and kept beside the evidence."""
    figures: dict[str, object] = {}
    yield lambda name, value: figures.update({name: value})
    if figures:
        sys.__stdout__.write(f"\nfigures: {json.dumps(figures, indent=1)}\n")
        (ROOT / "e2e" / "evidence").mkdir(exist_ok=True)
        (ROOT / "e2e" / "evidence" / "figures.json").write_text(json.dumps(figures, indent=1))
