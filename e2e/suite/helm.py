"""Helm, for the one release of the suite."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

CHART = Path(__file__).parents[2] / "charts" / "shieldwall"
RELEASE = "shieldwall"


class HelmError(Exception):
    """Helm ended with an error; carries what it said."""


@dataclass(frozen=True)
class Helm:
    """Helm in one namespace."""

    program: Path
    kubeconfig: Path
    namespace: str
    values: tuple[str, ...] = ()
    """KEY=VALUE of each installation."""

    def __call__(self, *arguments: str | Path) -> str:
        """Run it; returns what it printed. Raises HelmError."""
        command = [self.program, "--kubeconfig", self.kubeconfig, "--namespace", self.namespace, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            raise HelmError(f"helm {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done.stdout

    def install(self, operator: str, runtime: str, chart: Path = CHART, *values: str) -> None:
        """Install or upgrade with these values (KEY=VALUE), our own, and no others, and wait until it is ready."""
        sets = [
            f"{key}.{part}={value}"
            for key, image in (("image", operator), ("runtimeImage", runtime))
            for part, value in zip(("repository", "tag"), image.rsplit(":", 1), strict=True)
        ]
        sets += (*self.values, *values)
        flags = [flag for each in sets for flag in ("--set-string", each)]
        self("upgrade", "--install", RELEASE, chart, *flags, "--reset-values", "--wait", "--timeout", "180s")

    def render(self, chart: Path) -> str:
        """The documents that a chart makes of its own values."""
        return self("template", RELEASE, chart)

    def uninstall(self) -> None:
        """Take it away; CustomResourceDefinition and trainings stay."""
        self("uninstall", RELEASE, "--wait", "--timeout", "120s")

    def test(self) -> str:
        """Run the chart's own test."""
        return self("test", RELEASE, "--timeout", "120s")
