import datetime as dt
import os

import pytest
from kubernetes.client import V1Container, V1EnvVar, V1PodSpec, V1Volume, V1VolumeMount

from shieldwall.contract.identity import Federation
from shieldwall.contract.records import Fate, Outcome, Phase, ReplyRecord, RoundRecord, StewardStatus
from shieldwall.local.cluster.templates import PodTemplate
from shieldwall.local.outcome import End, RunOutcome, Timings

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
def now():
    return NOW


@pytest.fixture
def federation():
    return Federation("cluster.local", "fed", "digits")


@pytest.fixture
def fifo(tmp_path):
    """A pipe by name: whoever reads it sees its end when the last program that holds it is gone."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    path.chmod(0o666)
    return path


def container(name, *command, mounts=(), env=(), **more):
    return V1Container(
        name=name,
        command=list(command),
        volume_mounts=[V1VolumeMount(name=volume, mount_path=path) for volume, path in mounts],
        env=[V1EnvVar(name=key, value=value) for key, value in env],
        **more,
    )


def pod(name, *, init=(), main=(), volumes=()):
    spec = V1PodSpec(init_containers=list(init), containers=list(main), volumes=list(volumes))
    return PodTemplate(name, "fed", spec, tuple(volumes))


def volume(name, **source):
    return V1Volume(name=name, **source)


def reply(client, fate=Fate.ADMITTED, **more):
    return ReplyRecord(client=client, node_id="1", fate=fate, **more)


def record(number, *replies, outcome=Outcome.RELEASED, rule="FedTrimmedAvg", metrics=None, **more):
    return RoundRecord(
        run_id="1",
        round=number,
        attempt=1,
        outcome=outcome,
        opened=0.0,
        seconds=2.5,
        rule=rule,
        admitted=sum(each.fate is Fate.ADMITTED for each in replies),
        byzantine=1,
        replies=replies,
        metrics={} if metrics is None else metrics,
        **more,
    )


def status(phase=Phase.TRAINING, **more):
    values = {
        "message": "1 of 3 rounds are released.",
        "run_id": "1",
        "runs_started": 1,
        "round": 0,
        "rounds": 3,
        "records": 0,
        "metrics": {},
        "model_sha256": None,
        "clients": (),
        "denials": (),
        "handshakes": {},
    }
    return StewardStatus(phase=phase, **(values | more))


def outcome(*records, **more):
    values = {
        "training": "digits",
        "label": "FedTrimmedAvg, 1 sign-flip attacker",
        "protected": True,
        "end": End.COMPLETED,
        "message": "All rounds are released.",
        "clients": ("berlin", "leipzig"),
        "attackers": {"leipzig": "sign-flip"},
        "rule": "FedTrimmedAvg",
        "byzantine": 1,
        "status": status(),
        "records": records,
        "certificates": (),
        "containers": (),
        "timings": Timings(server_ready=5.0, first_client_online=9.0, first_round=20.0, total=61.0),
        "model": None,
        "isolation": "Users were switched.",
        "started": NOW.timestamp(),
    }
    return RunOutcome(**(values | more))


@pytest.fixture
def make():
    """Builders of what many tests need."""

    class Make:
        pass

    for builder in (container, pod, volume, reply, record, status, outcome):
        setattr(Make, builder.__name__, staticmethod(builder))
    return Make
