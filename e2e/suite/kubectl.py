"""kubectl, as a person at a terminal uses it: everything that the suite knows of a cluster comes through here."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Json = dict[str, Any]
T = TypeVar("T")
_SECONDS = 60


class KubectlError(Exception):
    """kubectl ended with ``code``; carries what it said."""

    def __init__(self, arguments: tuple[str, ...], code: int, said: str) -> None:
        super().__init__(f"kubectl {' '.join(arguments)} ended with {code}: {said.strip()}")
        self.code = code
        self.said = said


@dataclass(frozen=True)
class Kubectl:
    """kubectl for one cluster, and one namespace unless an argument says otherwise."""

    program: Path
    kubeconfig: Path
    namespace: str = "default"

    def inside(self, namespace: str) -> Kubectl:
        """The same for another namespace."""
        return Kubectl(self.program, self.kubeconfig, namespace)

    def __call__(self, *arguments: str, stdin: str | None = None, seconds: float = _SECONDS) -> str:
        """Run it; returns what it printed. Raises KubectlError, or TimeoutExpired after ``seconds``."""
        command = [self.program, "--kubeconfig", self.kubeconfig, "--namespace", self.namespace, *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=seconds)
        if done.returncode:
            raise KubectlError(arguments, done.returncode, done.stderr)
        return done.stdout

    def get(self, kind: str, name: str) -> Json:
        """One object."""
        found: Json = json.loads(self("get", kind, name, "-o", "json"))
        return found

    def all(self, kind: str, selector: str = "") -> list[Json]:
        """The namespace's objects of a kind."""
        found: list[Json] = json.loads(self("get", kind, "-l", selector, "-o", "json"))["items"]
        return found

    def apply(self, *documents: Json) -> None:
        """Apply objects."""
        self("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(documents)}))

    def delete(self, kind: str, name: str, *arguments: str, seconds: float = _SECONDS) -> None:
        """Delete an object; one that is not there is fine."""
        self("delete", kind, name, "--ignore-not-found", *arguments, seconds=seconds)

    def status(self, training: str) -> Json:
        """A training's status."""
        found: Json = self.get("federatedtraining", training).get("status", {})
        return found

    def run(self, pod: str, container: str, *command: str, stdin: str | None = None, seconds: float = _SECONDS) -> str:
        """Run a command in a container."""
        flags = ("-i",) if stdin is not None else ()
        return self("exec", *flags, pod, "-c", container, "--", *command, stdin=stdin, seconds=seconds)


def eventually(question: Callable[[], T], seconds: float, pause: float = 0.5) -> T:
    """What ``question`` says once it is true, within ``seconds``; an error of kubectl counts as no.

    Raises AssertionError with the last answer.
    """
    deadline = time.monotonic() + seconds
    last: object = None
    while True:
        try:
            answer = question()
            if answer:
                return answer
            last = answer
        except (KubectlError, subprocess.TimeoutExpired, KeyError, IndexError, StopIteration) as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s; last: {last}")
        time.sleep(pause)
