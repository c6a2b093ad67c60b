"""The command's menu. Commands import what they need when they are called, so that ``validate`` starts at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

import shieldwall
from shieldwall.cli.exit_codes import ExitCode
from shieldwall.cli.terminal import console
from shieldwall.cli.unexpected import told
from shieldwall.cli.validate import Output, validate
from shieldwall.local.attackers import AttackKind

_PLUGIN: Final = "kubectl-shieldwall"

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Federated learning that is secure by construction.",
)

TrainingFile = Annotated[Path, typer.Argument(metavar="FILE", help="A FederatedTraining, as YAML.")]
Rounds = Annotated[int | None, typer.Option("--rounds", min=1, max=100_000, help="Instead of spec.rounds.count.")]


@app.command("validate")
def validate_command(
    file: TrainingFile,
    output: Annotated[Output, typer.Option("--output", "-o", help="Text for people or JSON.")] = Output.TEXT,
) -> None:
    """Say all that is wrong with FILE; exits with 0 or 2."""
    raise typer.Exit(validate(file, output))


@app.command("run")
def run_command(  # noqa: PLR0913, PLR0917  # each is an option of the command
    file: TrainingFile,
    attack: Annotated[
        list[str] | None,
        typer.Option("--attack", metavar="KIND:N", help=f"Let N of the last clients attack: {', '.join(AttackKind)}."),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option("--keep", metavar="DIR", help="Keep keys, volumes and logs; go on from them next time."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="Where to write the report (HTML, and JSON beside it)."),
    ] = None,
    rounds: Rounds = None,
    json: Annotated[bool, typer.Option("--json", help="Events as JSON lines on standard output.")] = False,  # noqa: FBT002  # a flag
) -> None:
    """Run FILE on this machine, with the real programs on loopback, and report."""
    from shieldwall.cli.run import RunOptions, run  # local mode is loaded only when it runs

    options = RunOptions(file, tuple(attack or ()), keep, report, rounds, json=json)
    raise typer.Exit(run(options))


@app.command("plan")
def plan_command(file: TrainingFile) -> None:
    """Print the Kubernetes objects that would be applied for FILE, as YAML."""
    from shieldwall.cli.plan import show_plan  # Kubernetes' models are loaded only here

    raise typer.Exit(show_plan(file))


@app.command("demo")
def demo_command(
    rounds: Annotated[int, typer.Option("--rounds", min=1, max=1000, help="Rounds of each of the three runs.")] = 12,
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Where report, logs and models go.")] = Path(
        "demo"
    ),
    file: Annotated[Path | None, typer.Option("--file", help="Another training than the digits example.")] = None,
) -> None:
    """Run a training without protection, under attack, and without attackers; compare."""
    from shieldwall.cli.demo import demo  # local mode is loaded only when it runs

    raise typer.Exit(demo(rounds, output, file))


@app.command("version")
def version_command() -> None:
    """Print the version."""
    console().print(f"shieldwall {shieldwall.__version__}")


def main() -> NoReturn:
    """The entry point."""
    name = Path(sys.argv[0]).name
    sys.exit(told(lambda: _invoke("kubectl shieldwall" if name == _PLUGIN else "shieldwall")))


def _invoke(name: str) -> int:
    try:
        app(prog_name=name)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else ExitCode.DONE
    return ExitCode.DONE
