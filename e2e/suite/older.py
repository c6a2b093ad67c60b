"""A version as it was: the chart of an older commit, and where the node is the suite's own, its operator.

Of all commits it is the oldest whose operator makes of a training just what today's does: between these two an upgrade
has no reason to restart anything. Its operator runs on today's dependencies.
"""

from __future__ import annotations

import subprocess
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from images.__main__ import DEFAULT
from images.buildah import Buildah

if TYPE_CHECKING:
    from cluster.cluster import Cluster

ROOT = Path(__file__).parents[2]
ALIKE = ("tests/unit/plan/golden", "images/operator/requirements.lock")
"""What does not differ between the two: the objects of trainings, and what the operator stands on."""
DIFFERENT = ("charts/shieldwall", "operator/shieldwall")
"""What does, somewhere."""
TAG = "docker.io/shieldwall/operator:older"
DOCKERFILE = """\
FROM {today}
USER 0:0
COPY shieldwall /opt/older
RUN here="$(python3 -c 'import os, shieldwall; print(os.path.dirname(shieldwall.__file__))')" \\
    && rm -r "$here" && mv /opt/older "$here" && python3 -m compileall -q "$here"
USER 65532:65532
"""


@dataclass(frozen=True)
class Older:
    """A version before today's."""

    commit: str
    chart: Path
    package: Path

    def image(self, today: str, node: Cluster) -> str:
        """Build its operator's image on today's, and load it into the node; returns its tag."""
        directory = self.package.parent
        (directory / "Dockerfile").write_text(DOCKERFILE.format(today=today))
        buildah = Buildah(DEFAULT / "storage", DEFAULT / "logs")
        buildah.build(TAG, directory, directory / "Dockerfile", arguments={}, options=("--pull-never",))
        archive = directory / "operator.tar"
        buildah.run("push", "--quiet", TAG, f"docker-archive:{archive}:{TAG}")
        node.load(archive)
        return TAG


def older(directory: Path) -> Older | None:
    """The version, unpacked into ``directory``; None where the history has none that differs and yet is alike."""
    found = None
    for commit in _git("log", "--format=%H").stdout.decode().split():
        if _differs(commit, ALIKE):
            break
        found = commit
    if found is None or not _differs(found, DIFFERENT):
        return None
    with tarfile.open(fileobj=BytesIO(_git("archive", found, *DIFFERENT).stdout)) as tar:
        tar.extractall(directory)  # noqa: S202  # our own commit
    chart, package = (directory / each for each in DIFFERENT)
    return Older(found, chart, package)


def _differs(commit: str, paths: tuple[str, ...]) -> bool:
    return _git("diff", "--quiet", commit, "HEAD", "--", *paths).returncode != 0


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)
