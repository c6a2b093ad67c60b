"""``shieldwall renew``: asks for new certificates, and waits until they are in use."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from shieldwall.cli.certs import short
from shieldwall.cli.exit_codes import ExitCode
from shieldwall.cli.kube import ClusterError, Target, ask, open_cluster, why
from shieldwall.cli.leaves import read_leaves
from shieldwall.cli.renewal_wait import Progress
from shieldwall.cli.seen import SeenTraining, see
from shieldwall.cli.subjects import EVERYBODY, Subject, UnknownSubjectError, subject_of
from shieldwall.cli.terminal import console, printable
from shieldwall.cli.validate import Output
from shieldwall.cli.views.waiting import Waiting
from shieldwall.control.api.fields import DURATION
from shieldwall.control.api.requests import RENEW_PREFIX
from shieldwall.control.cluster.errors import ApiError, ApiUnreachableError
from shieldwall.control.cluster.kinds import TRAINING
from shieldwall.control.status.sight import INVALID_SPEC
from shieldwall.pki.serials import serial_text

if TYPE_CHECKING:
    from shieldwall.cli.kube import Cluster

MANAGER: Final = "shieldwall-cli"
"""The field manager of the annotation."""
_POLL_SECONDS: Final = 1.0
_UNITS: Final = {"h": 3600, "m": 60, "s": 1}
_HELD_UP: Final = {
    INVALID_SPEC: "nothing is renewed until the spec is corrected.",
    "ForeignAuthority": "nothing is renewed until this is put right.",
    "OtherOperator": "this operator renews nothing until this is put right.",
    "UnreadableRootCA": "an operator that has started since renews nothing until this is put right.",
    "ForeignObject": "a certificate whose Secret this names, or whose CA, is not renewed until this is put right.",
    "ContestedObject": "a certificate whose Secret this names is renewed once a minute at most.",
}
"""By reason of Stalled: what becomes of a request. With all others certificates are renewed as ever."""
_PASSING: Final = frozenset(
    {HTTPStatus.TOO_MANY_REQUESTS, *(code for code in HTTPStatus if code >= HTTPStatus.INTERNAL_SERVER_ERROR)}
)
"""What an API server says that starts, ends or has too much to do."""


@dataclass(frozen=True, slots=True)
class RenewOptions:
    """The command line."""

    training: str
    subject: str | None
    everybody: bool
    wait: bool
    timeout: str
    """Such as 3m."""
    output: Output


def renew(options: RenewOptions, target: Target) -> int:
    """Ask, and wait where that is wanted; the exit code."""
    return ask(lambda: _renew(options, target))


def new_nonce(now: datetime) -> str:
    """One that nobody has used: the time, for people, and 32 random bits."""
    return f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def seconds_of(text: str) -> float:
    """A duration such as 3m or 1h30m; raises ClusterError."""
    if not text or re.fullmatch(DURATION, text) is None:
        raise ClusterError(f"--timeout: {text} is no duration such as 3m or 90s.", ExitCode.BAD_INPUT)
    return float(sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9]+)([hms])", text)))


async def _renew(options: RenewOptions, target: Target) -> ExitCode:
    patience = seconds_of(options.timeout)
    if options.everybody == (options.subject is not None):
        raise ClusterError("Name a client, server or aggregator, or give --all.", ExitCode.BAD_INPUT)
    async with open_cluster(target) as cluster:
        training = await see(cluster, options.training)
        subject = _subject(options, training)
        progress = Progress(subject, new_nonce(datetime.now(UTC)), await _serial(cluster, training, subject))
        await _request(cluster, training, progress)
        begin = time.monotonic()
        _announce(options, training, progress)
        if options.wait and not training.paused:
            progress = await _follow(cluster, training, progress, begin + patience)
        took = time.monotonic() - begin
    return _tell(options, training, progress, took)


def _subject(options: RenewOptions, training: SeenTraining) -> Subject:
    if training.leaving:
        raise ClusterError(f"{training.name} is being deleted; nothing was asked for.")
    if options.subject is None:
        return EVERYBODY
    try:
        return subject_of(options.subject, training.name, training.clients)
    except UnknownSubjectError as error:
        raise ClusterError(str(error), ExitCode.BAD_INPUT) from error


async def _serial(cluster: Cluster, training: SeenTraining, subject: Subject) -> str | None:
    """The serial number in force, if anybody tells it."""
    if subject.everybody:
        return None
    report = training.report(subject.text)
    if report is not None:
        return report.serial
    leaves = await read_leaves(cluster, training, [subject.text]) if subject.text in training.untold else None
    issued = (leaves or {}).get(subject.text)
    return serial_text(issued.leaf.serial_number) if issued is not None else None


async def _request(cluster: Cluster, training: SeenTraining, progress: Progress) -> None:
    """One annotation. A training that was made anew in the meantime is a conflict: it has new certificates."""
    annotations = {RENEW_PREFIX + progress.subject.requested_as: progress.nonce}
    change = {"metadata": {"uid": training.uid, "annotations": annotations}}
    await cluster.api.merge(TRAINING, training.namespace, training.name, change, MANAGER)


def held_up(training: SeenTraining) -> str | None:
    """What stands between a stalled training and a new certificate; None where nothing does."""
    stalled = training.stalled
    if stalled is None or (stalled.reason == INVALID_SPEC and training.told):  # it is kept by the spec accepted before
        return None
    consequence = _HELD_UP.get(stalled.reason)
    return f"Stalled, {stalled.reason}: {consequence} {stalled.message}" if consequence is not None else None


def _announce(options: RenewOptions, training: SeenTraining, progress: Progress) -> None:
    if options.output is Output.TEXT:
        console().print(
            f"asked: {_named(progress.subject)} of {training.name} in namespace {training.namespace},"
            f" request {progress.nonce}"
        )
    if training.paused:
        console(stderr=True).print("The training is paused: nothing is renewed until it goes on.", style="yellow")
    elif (warning := held_up(training)) is not None:
        console(stderr=True).print(printable(warning), style="yellow")


async def _follow(cluster: Cluster, training: SeenTraining, progress: Progress, deadline: float) -> Progress:
    """Look every second until it is done, withdrawn or too late; says on standard error what is waited for."""
    text = progress.stage
    try:
        with Waiting(console(stderr=True)) as waiting:
            while not (progress.done or progress.withdrawn) and time.monotonic() < deadline:
                waiting.show(text)
                await asyncio.sleep(_POLL_SECONDS)
                try:
                    progress = progress.seeing(await see(cluster, training.name))
                    text = progress.stage
                except ApiUnreachableError as error:
                    text = f"waiting for the API server, which does not answer: {why(error)}"
                except ApiError as error:
                    if error.status not in _PASSING:
                        raise
                    text = f"waiting for the API server, which is busy: {error.reason}"
    except asyncio.CancelledError:
        console(stderr=True).print("Interrupted. The request stands and will be carried out.")
        raise
    if progress.done and progress.serial is None:
        return replace(progress, serial=await _serial(cluster, await see(cluster, training.name), progress.subject))
    return progress


def _tell(options: RenewOptions, training: SeenTraining, progress: Progress, took: float) -> ExitCode:
    """The end of the story: on standard output what was done, on standard error what was not."""
    if options.output is Output.JSON:
        console().print(json.dumps(_document(options, training, progress, took), ensure_ascii=False))
    elif progress.done:
        console().print(printable(_renewed(training, progress, took)))
    if not options.wait or progress.done:
        return ExitCode.DONE
    if training.paused:
        return ExitCode.FAILED
    if progress.withdrawn:
        sentence = "The request was taken back by somebody else."
    else:
        sentence = (
            f"Not done within {options.timeout}: {progress.stage}. The request stands;"
            f" `shieldwall certs {training.name}` shows how it goes. {progress.remark}"
        )
    console(stderr=True).print(printable(sentence.rstrip()), style="red")
    return ExitCode.FAILED


def _renewed(training: SeenTraining, progress: Progress, took: float) -> str:
    what = _named(progress.subject)
    if progress.serial is not None:
        what = f"serial {short(progress.before)} → {short(progress.serial)}"
    if training.suspended:
        return f"renewed: {what}, issued after {took:.0f} s; no pod uses it while the training is suspended"
    return f"renewed: {what}, served after {took:.0f} s"


def _document(options: RenewOptions, training: SeenTraining, progress: Progress, took: float) -> dict[str, object]:
    """The same for programs; null for what nobody looked for or nobody knows."""
    return {
        "training": training.name,
        "namespace": training.namespace,
        "subject": progress.subject.text,
        "request": progress.nonce,
        "renewed": progress.answered if options.wait else None,
        "served": progress.done and not training.suspended if options.wait else None,
        "serialBefore": progress.before,
        "serial": progress.serial,
        "seconds": round(took, 1) if options.wait else None,
    }


def _named(subject: Subject) -> str:
    return "all certificates" if subject.everybody else subject.text
