"""What a run has seen so far, and the outcome that comes of it."""

from __future__ import annotations

import hashlib
import shutil
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shieldwall.local.outcome import ContainerFacts, End, ModelFacts, RunOutcome, Timings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from shieldwall.contract.records import RoundRecord, StewardStatus
    from shieldwall.local.attackers import AttackKind
    from shieldwall.local.cluster.pods import Pod
    from shieldwall.local.outcome import CertificateFacts


@dataclass(frozen=True, slots=True)
class Subject:
    """What is run."""

    training: str
    label: str
    protected: bool
    clients: tuple[str, ...]
    attackers: Mapping[str, AttackKind]
    rule: str
    byzantine: int
    isolation: str


@dataclass(slots=True)
class Notebook:
    """Everything the outcome will tell."""

    subject: Subject
    started: float
    """Unix seconds."""
    begin: float = field(default_factory=time.monotonic)
    status: StewardStatus | None = None
    records: list[RoundRecord] = field(default_factory=list)
    marks: dict[str, float] = field(default_factory=dict)

    def mark(self, name: str) -> None:
        """Note when something happened for the first time."""
        self.marks.setdefault(name, round(time.monotonic() - self.begin, 3))

    def outcome(
        self,
        end: End,
        message: str,
        model: ModelFacts | None,
        certificates: tuple[CertificateFacts, ...],
        containers: tuple[ContainerFacts, ...],
    ) -> RunOutcome:
        """The outcome as of now."""
        subject = self.subject
        return RunOutcome(
            training=subject.training,
            label=subject.label,
            protected=subject.protected,
            end=end,
            message=message,
            clients=subject.clients,
            attackers={client: kind.value for client, kind in subject.attackers.items()},
            rule=subject.rule,
            byzantine=subject.byzantine,
            status=self.status,
            records=tuple(self.records),
            certificates=certificates,
            containers=containers,
            timings=Timings(**self.marks, total=round(time.monotonic() - self.begin, 3)),
            model=model,
            isolation=subject.isolation,
            started=self.started,
        )


def container_facts(pods: Iterable[Pod]) -> tuple[ContainerFacts, ...]:
    """How the containers fared."""
    return tuple(
        ContainerFacts(
            pod=pod.name,
            container=state.name,
            restarts=state.restarts,
            exits=tuple(state.exits),
            log=f"logs/{pod.name}/{state.name}.log",
        )
        for pod in pods
        for state in pod.containers
    )


def save_model(volumes: Iterable[Path], sha256: str, target: Path) -> ModelFacts | None:
    """Copy the checkpoint with this digest out of ``volumes``; None when no file has it."""
    for volume in volumes:
        for path in sorted(volume.rglob("*")):
            if path.is_file() and not path.is_symlink() and _digest(path) == sha256:
                target.mkdir(parents=True, exist_ok=True)
                copy = target / path.name
                shutil.copyfile(path, copy)
                return ModelFacts(path=str(copy), sha256=sha256, size=copy.stat().st_size)
    return None


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
