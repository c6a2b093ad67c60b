"""An aggregator that is killed: the pods' own rounds on a real volume, ended by SIGKILL before a chosen step.

A step is a system call on the volume, a batch of messages that leaves, a model that the app is shown to measure it, its
answer, or a record that is handed in. What leaves is written to ``journal`` beside the volume, as the world saw it. The
program reads the number of a step on each line of its standard input, forks an aggregator that dies before it, and
answers with the step's name.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from flwr.app import Array, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from shieldwall.contract.policy import RuntimePolicy
from shieldwall.contract.privacy import PRIVACY_KEY, PrivacyMode
from shieldwall.contract.records import OpenRound, RoundGrant, RoundRecord
from shieldwall.runtime.checkpoint import CheckpointStore
from shieldwall.runtime.federation.app import ManagedApp
from shieldwall.runtime.federation.engine import Engine
from shieldwall.runtime.federation.managed import train
from shieldwall.runtime.flower.inbox import Arrival
from shieldwall.runtime.flower.messages import ROUND_KEY, decode_packed, only_arrays
from shieldwall.runtime.flower.packing import pack
from shieldwall.runtime.model import model_sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CALLS: Final = ("open", "write", "fsync", "ftruncate", "replace", "link", "unlink")
SHAPE: Final = (30,)


class Steps:
    """Counts steps, and dies before the one numbered ``last``; the name of each goes into ``trace``."""

    def __init__(self, directory: Path, trace: Path, last: int) -> None:
        self._directory, self._last, self._count = directory, last, 0
        self._real = {name: getattr(os, name) for name in CALLS}
        self._trace = self._real["open"](trace, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self._open: dict[int, str] = {}

    def watch(self) -> None:
        """From here on calls on the volume are steps."""
        for name in CALLS:
            setattr(os, name, self._stepping(name))

    def __call__(self, name: str) -> None:
        """One step."""
        if self._count == self._last:
            self._real["write"](self._trace, name.encode())
            os.kill(os.getpid(), signal.SIGKILL)
        self._count += 1

    def _stepping(self, name: str) -> Callable[..., Any]:
        def call(first: int | str | Path, *rest: Any, **named: Any) -> Any:  # whatever the call takes
            on = self._open.get(first, "") if isinstance(first, int) else Path(first).name
            if on and (isinstance(first, int) or str(first).startswith(str(self._directory))):
                self(f"{name} {on}")
            result = self._real[name](first, *rest, **named)
            if name == "open":
                self._open[result] = on if str(first).startswith(str(self._directory)) else ""
            return result

        return call


class World:
    """Clients that answer at once, a steward, and an app that measures; all write down what they get to see."""

    def __init__(self, policy: RuntimePolicy, journal: Path, step: Callable[[str], None]) -> None:
        self._policy, self._step = policy, step
        self._journal = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._nodes = dict(enumerate(policy.clients, 1))
        self._arrivals: list[Arrival] = []
        self._sent = 0
        self.run = SimpleNamespace(run_id=1)

    def _tell(self, **fact: object) -> None:
        os.write(self._journal, (json.dumps(fact) + "\n").encode())

    def get_nodes(self) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(node_id=number, public_key=client.node_public_key.encode())
            for number, client in self._nodes.items()
        ]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        batch, ids = list(messages), []
        facts = batch[0].content[ROUND_KEY]
        self._step("push")
        self._tell(pushed=facts["round"], attempt=facts["attempt"], model=facts["base-sha256"], clients=len(batch))
        for message in batch:
            self._sent += 1
            message.metadata.__dict__["_message_id"] = f"message-{self._sent}"
            ids.append(message.metadata.message_id)
            self._arrivals.append(Arrival(message.metadata.message_id, self._answer(message)))
        return ids

    def poll(self, _: Iterable[str]) -> list[Arrival]:
        arrivals, self._arrivals = self._arrivals, []
        return arrivals

    def _answer(self, message: Message) -> Message:
        base: dict[str, Any] = decode_packed(only_arrays(message.content)[1])
        arrays = {name: Array(array + np.float32(0.01)) for name, array in base.items()}
        content = RecordDict({"arrays": pack(arrays), "metrics": MetricRecord({"num-examples": 1})})
        if (privacy := self._policy.privacy) is not None:
            attested = {"noise-multiplier": privacy.noise_multiplier, "clip": privacy.clip}
            content[PRIVACY_KEY] = ConfigRecord({"mode": privacy.mode.value, **attested})
        return Message(content, reply_to=message)

    def evaluate(self, arrays: dict[str, Any], _: object) -> dict[str, float]:
        """The app's: from here on it may have told anybody of the model."""
        self._step("evaluate")
        self._tell(shown=model_sha256(arrays))
        self._step("measured")
        return {"mean": float(arrays["w"].mean())}

    def open(self, opening: OpenRound) -> RoundGrant:  # a Steward's signature
        return RoundGrant(denied=())

    def close(self, record: RoundRecord) -> None:
        self._step("close")
        self._tell(closed=record.round, attempt=record.attempt, outcome=record.outcome, model=record.model_sha256)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return float(self._sent)

    def sleep(self, seconds: float) -> None:
        raise AssertionError(f"nobody waits here, not even {seconds} s")


def aggregate(policy: RuntimePolicy, place: Path, last: int) -> None:
    """Run what is left of the training in ``place`` until step ``last``."""
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1
    volume = place / "model"
    step = Steps(volume, place / "step", last)
    world: Any = World(policy, place / "journal", step)
    step.watch()
    bundle = place / "ca.crt"
    engine = Engine(
        world, policy, world, bundle, world, os.urandom, lambda _: None, 1, lambda _, __: nullcontext(world)
    )
    model = {"w": np.zeros(SHAPE, np.float32)}
    train(engine, CheckpointStore(volume, keep=1), ManagedApp(lambda _: model, world.evaluate, {}))


def main(place: Path) -> None:
    """See the module."""
    policy = RuntimePolicy.from_json((place / "policy.json").read_text())
    assert policy.privacy is not None
    assert policy.privacy.mode is not PrivacyMode.RECORD_LEVEL
    for line in sys.stdin:
        (place / "step").unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            aggregate(policy, place, int(line))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        died = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        sys.stdout.write(((place / "step").read_text() if died else f"exit {status}") + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
