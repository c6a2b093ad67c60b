"""The programs that run on the node: started, found again, asked whether they live."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.process import ComponentError

from .commands import SEARCH
from .namespaces import start_inside
from .processes import Records

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .layout import Layout
    from .processes import Process

_REPOSITORY: Final = Path(__file__).parents[2]
_MODULES: Final = (_REPOSITORY / "e2e", _REPOSITORY / "tests")


class AlreadyRunningError(RuntimeError):
    """A component that was to be started runs."""

    def __init__(self, name: str, pid: int) -> None:
        super().__init__(f"{name} runs already, as process {pid}")
        self.name = name
        self.pid = pid


class Components:
    """What was recorded of a cluster's processes."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._records = Records(layout.records)

    def find(self, name: str) -> Process | None:
        """The process that was last started under this name, dead or alive; None when there was none."""
        return self._records.load(name)

    def start(self, holder: Process, name: str, command: Sequence[str | Path]) -> None:
        """Start and record it. Raises AlreadyRunningError or ComponentError."""
        before = self.find(name)
        if before is not None and before.alive:
            raise AlreadyRunningError(name, before.pid)
        environment = {
            "PATH": SEARCH,
            "PYTHONPATH": ":".join(map(str, _MODULES)),
            "PYTHONSAFEPATH": "1",
        }
        self._records.save(name, start_inside(holder, name, command, self._log(name), environment))

    def start_module(self, holder: Process, name: str, *arguments: str | Path) -> None:
        """The same of a Python module of e2e: the name is the module's."""
        self.start(holder, name, [sys.executable, "-m", name, *arguments])

    def dead(self) -> list[str]:
        """Names of those that were started and run no more."""
        found = [(name, self.find(name)) for name in self._records.names()]
        return [name for name, process in found if process is not None and not process.alive]

    def check(self) -> None:
        """Raises ComponentError when one has ended."""
        for name in self.dead():
            raise ComponentError(name, "has ended", self._log(name))

    def kill(self) -> None:
        """End all, the one that holds the rest first. Raises TimeoutError."""
        for name in self._records.names():
            process = self.find(name)
            if process is not None:
                process.kill()

    def _log(self, name: str) -> Path:
        return self._layout.logs / f"{name}.log"
