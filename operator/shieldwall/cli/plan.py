"""``shieldwall plan``: what the operator would apply, as YAML."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ruamel.yaml import YAML

from shieldwall.cli.exit_codes import ExitCode
from shieldwall.cli.training_file import BadFileError, read_training
from shieldwall.cli.validate import Output, show_problems
from shieldwall.control.plan.render import manifest
from shieldwall.local.preview import preview

if TYPE_CHECKING:
    from pathlib import Path


def show_plan(path: Path) -> ExitCode:
    """Print every object; what only the operator can make (keys, certificates) is shown as a comment."""
    try:
        training = read_training(path)
    except BadFileError as error:
        show_problems(error, Output.TEXT)
        return ExitCode.BAD_INPUT
    shown = preview(training, datetime.now(UTC))
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 120
    for secret, what in shown.secrets:
        sys.stdout.write(f"# Secret {secret}: {what}\n")
    for item in shown.objects:
        sys.stdout.write("---\n")
        yaml.dump(manifest(item), sys.stdout)
    return ExitCode.DONE
