"""One installation of the chart for the whole suite, a namespace for each module, and one that several share.

``E2E_KUBECONFIG`` names the cluster; without it, it is the one that ``make cluster-up`` made, with its images. Another
cluster fetches them from ``E2E_REGISTRY``, as ``$E2E_REGISTRY/operator:VERSION`` and so on.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cluster.cluster import DEFAULT, Cluster
from images.catalogue import CATALOGUE

from .documents import digits, namespace
from .helm import Helm
from .kubectl import Kubectl, KubectlError, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
EVIDENCE = ROOT / "e2e" / "evidence"
SYSTEM = "shieldwall-system"
STANDING = ("test_hardening", "test_renewal", "test_release", "test_intruders", "test_impostors")
"""Modules that look at a training, or hurt it for a moment, share one; the last of them most of all."""
ORDER = ("test_training", "test_upgrade", "test_privacy", "test_chaos", *STANDING)
"""The one that tells how long a training takes to begin comes first: the node has nothing else to do then. The shared
training ends with the suite."""
_LONGEST = 300
"""Seconds that a test may take unless it says otherwise."""
_FIGURES = pytest.StashKey[dict[str, object]]()


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
    own = [item for item in items if item.path.parent == Path(__file__).parent]
    items[:] = [item for item in items if item not in own] + sorted(own, key=lambda item: ORDER.index(item.path.stem))
    for item in own:
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_LONGEST))


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.stash[_FIGURES] = {}
    if not session.config.option.collectonly:
        shutil.rmtree(EVIDENCE, ignore_errors=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what was measured, and keep it beside the evidence."""
    if found := config.stash[_FIGURES]:
        text = json.dumps(found, indent=1)
        terminalreporter.section("figures")
        terminalreporter.write_line(text)
        EVIDENCE.mkdir(exist_ok=True)
        (EVIDENCE / "figures.json").write_text(text)


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
    """kubectl in a namespace of the module's own, or in the one that several share."""
    module = request.path.stem
    if module in STANDING:
        yield request.getfixturevalue("standing")
        return
    with _space(site, request.session, module.removeprefix("test_").replace("_", "-")) as inside:
        yield inside


@pytest.fixture(scope="session")
def standing(site: Site, release: Helm, request: pytest.FixtureRequest) -> Iterator[Kubectl]:
    """kubectl where a training of three clients goes on until the suite ends, and the authority of another is."""
    with _space(site, request.session, "standing") as inside:
        inside.apply(digits(site.images.digits, 3, 10_000))
        inside.apply(digits(site.images.digits, 3, 1, name="other", suspend=True))
        eventually(lambda: inside.status("digits").get("round", 0) >= 1, 240)
        yield inside


@contextmanager
def _space(site: Site, session: pytest.Session, name: str) -> Iterator[Kubectl]:
    """A namespace that enforces the restricted standard; what is in it is kept when a test failed meanwhile."""
    site.kubectl.apply(namespace(name))
    inside = site.kubectl.inside(name)
    failed, well = session.testsfailed, False
    try:
        eventually(lambda: inside.get("serviceaccount", "default"), 30)
        yield inside
        well = session.testsfailed == failed
    finally:
        if not well:
            leave_evidence(inside, name)
        site.kubectl.delete("namespace", name, "--wait=false")
        inside("delete", "pods", "--all", "--force", "--grace-period=0", "--wait=false")  # none comes after them now


def leave_evidence(kubectl: Kubectl, name: str) -> None:
    """What somebody who was not there needs, in a folder of this name: of the training's pods and of the operator's."""
    directory = EVIDENCE / name
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


def forget_evidence(name: str) -> None:
    """Remove that folder."""
    shutil.rmtree(EVIDENCE / name, ignore_errors=True)


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
def report(pytestconfig: pytest.Config) -> Callable[[str, object], None]:
    """Keeps a figure that the suite found."""
    return lambda name, value: pytestconfig.stash[_FIGURES].update({name: value})
