"""What can be known before anything is started: whether pods are wanted, and whether the user's app can be found."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from shieldwall.control.api.training import Training

_SECONDS: Final = 60
_PROGRAM: Final = """
import importlib.util, json, sys
missing = {}
for field, module in json.loads(sys.argv[1]).items():
    try:
        found = importlib.util.find_spec(module) is not None
    except ImportError:
        found = False
    if not found:
        missing[field] = module
print(json.dumps(missing))
"""


class MissingModuleError(ValueError):
    """The app's modules are not on this machine; ``modules`` names them by their fields."""

    def __init__(self, modules: Mapping[str, str], app: Path) -> None:
        listed = ", ".join(f"{module} ({field})" for field, module in modules.items())
        super().__init__(f"There is no module {listed}, neither in {app} nor in this Python.")
        self.modules = modules


class SuspendedTrainingError(ValueError):
    """No pod of the training is wanted; ``field`` says so."""

    field = "spec.suspend"

    def __init__(self, training: str) -> None:
        super().__init__(
            f"{self.field} of {training} is true, so that no pod runs and the run would never end."
            " Set it to false, or leave it out, to run the training here."
        )


def require_active(training: Training) -> None:
    """Raise SuspendedTrainingError for a training that is suspended."""
    if training.spec.suspend:
        raise SuspendedTrainingError(training.name)


def references(training: Training) -> dict[str, str]:
    """The modules that the app's references name, by field."""
    app = training.spec.app
    named = {"clientApp": app.client_app, "serverApp": app.server_app, "model": app.model, "evaluate": app.evaluate}
    return {f"spec.app.{field}": text.partition(":")[0] for field, text in named.items() if text is not None}


def require_app(training: Training, app: Path, env: Mapping[str, str], user: int | None) -> None:
    """Raise MissingModuleError unless every module can be found; looks with ``env`` and as ``user``.

    Only packages above the modules are imported. Where even that fails, the programs' own logs tell more.
    """
    done = subprocess.run(  # noqa: S603  # our own interpreter and program; the names are an argument
        [sys.executable, "-c", _PROGRAM, json.dumps(references(training))],
        user=user,
        group=user,
        extra_groups=[] if user is not None else None,
        env=dict(env),
        cwd="/",
        capture_output=True,
        timeout=_SECONDS,
        check=False,
    )
    lines = done.stdout.decode(errors="replace").splitlines()
    missing = json.loads(lines[-1]) if done.returncode == 0 and lines else {}
    if missing:
        raise MissingModuleError(missing, app)
