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
from shieldwall.contract.policy import Rule
from shieldwall.lab.privacy.kinds import AttackedTask, PrivacyAttack
from shieldwall.local.attackers import AttackKind

_PLUGIN: Final = "kubectl-shieldwall"
_PRIVACY: Final = "--privacy-attack"

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


def _list_attacks(wanted: bool) -> None:  # noqa: FBT001  # typer passes the flag
    if wanted:
        from shieldwall.cli.simulate import list_attacks  # loaded only when it runs

        raise typer.Exit(list_attacks())


ListAttacks: Final = typer.Option("--attacks", help="List the attacks and end.", callback=_list_attacks, is_eager=True)


@app.command("simulate")
def simulate_command(  # noqa: PLR0913, PLR0917  # each is an option of the command
    file: TrainingFile,
    attack: Annotated[
        list[str] | None,
        typer.Option(
            "--attack",
            metavar="KIND[:N]",
            help="Let N of the last clients attack, by default as many as the policy tolerates; given again, all at"
            " once. The kinds are listed by --attacks; all stands for each alone.",
        ),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option("--alpha", metavar="A", help="Skew of the clients' data, as spec.app.config.alpha; inf for none."),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, max=1000, help="Trials of each row.")] = 1,
    rule: Annotated[
        list[Rule] | None,
        typer.Option("--rule", metavar="RULE", help=f"Instead of the training's own: {', '.join(Rule)}."),
    ] = None,
    rounds: Rounds = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="Write a report with plots (HTML, and JSON beside it)."),
    ] = None,
    attacks: Annotated[bool, ListAttacks] = False,  # noqa: ARG001, FBT002  # a flag, whose callback ends the command
    privacy_attack: Annotated[
        PrivacyAttack | None,
        typer.Option(_PRIVACY, help="Attack what spec.privacy promises instead, on built-in data."),
    ] = None,
    task: Annotated[
        AttackedTask | None, typer.Option("--task", help="With --privacy-attack: whose images; digits by default.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="DIR", help="With --privacy-attack: for pictures and JSON.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The rows as JSON on standard output.")] = False,  # noqa: FBT002  # a flag
) -> None:
    """Try FILE's rule on attacks, in this process and in seconds: no pods, the same round code."""
    if privacy_attack is not None:
        if attack or rule or alpha is not None or report is not None:
            raise typer.BadParameter(
                "goes with --task, --seeds, --rounds, --output and --json only", param_hint=_PRIVACY
            )
        from shieldwall.cli.privacy_attack import PrivacyAttackOptions, attack_privacy  # loaded only when it runs

        chosen = PrivacyAttackOptions(
            file, privacy_attack, task or AttackedTask.DIGITS, seeds, rounds, output, json=json
        )
        raise typer.Exit(attack_privacy(chosen))
    if task is not None or output is not None:
        raise typer.BadParameter("--task and --output go with it only", param_hint=_PRIVACY)
    from shieldwall.cli.simulate import SimulateOptions, simulate  # loaded only when it runs

    options = SimulateOptions(file, tuple(attack or ()), alpha, seeds, tuple(rule or ()), rounds, report, json=json)
    raise typer.Exit(simulate(options))


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


Training = Annotated[str, typer.Argument(metavar="TRAINING", help="Name of a FederatedTraining in a cluster.")]
Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="The training's namespace, if not that of the context.")
]
Context = Annotated[str | None, typer.Option("--context", help="A context of the kubeconfig, if not the current one.")]
Kubeconfig = Annotated[
    Path | None, typer.Option("--kubeconfig", metavar="FILE", help="Instead of KUBECONFIG and ~/.kube/config.")
]


@app.command("certs")
def certs_command(
    training: Training,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="Text for people or JSON.")] = Output.TEXT,
) -> None:
    """Show the certificates of TRAINING: until when they are valid, and which are in use."""
    from shieldwall.cli.certs import certs  # Kubernetes' client is loaded only here
    from shieldwall.cli.kube import Target

    raise typer.Exit(certs(training, Target(namespace, context, kubeconfig), output))


@app.command("renew")
def renew_command(  # noqa: PLR0913, PLR0917  # each is an option of the command
    training: Training,
    subject: Annotated[
        str | None, typer.Argument(metavar="[CLIENT|server|aggregator]", help="Whose certificate.", show_default=False)
    ] = None,
    everybody: Annotated[bool, typer.Option("--all", help="All certificates of the training.")] = False,  # noqa: FBT002  # a flag
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the new certificate is in use.")] = False,  # noqa: FBT002  # a flag
    timeout: Annotated[str, typer.Option("--timeout", help="How long to wait, such as 90s or 1h30m.")] = "3m",
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="Text for people or JSON.")] = Output.TEXT,
) -> None:
    """Ask for a new key and certificate now; nothing restarts. Exits with 1 when --wait sees none in time."""
    from shieldwall.cli.kube import Target  # Kubernetes' client is loaded only here
    from shieldwall.cli.renew import RenewOptions, renew

    options = RenewOptions(training, subject, everybody, wait, timeout, output)
    raise typer.Exit(renew(options, Target(namespace, context, kubeconfig)))


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
