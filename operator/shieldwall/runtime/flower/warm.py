"""A warm parent: Flower and the user's app are imported once, and every task is a fork of that.

SuperExec starts a fresh ``flwr-clientapp`` (or ``flwr-serverapp``) for each task and finds the command on PATH; each
spends 1.5 to 2 CPU seconds on imports alone. Here the command on PATH is ``shim.py``, which asks this parent for a
fork and waits for it. Flower is not changed, and a task is as alone in its process as before: it starts from the
memory the parent had before any task, with fresh random generators.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

DIRECTORY_VARIABLE: Final = "SHIELDWALL_WARM_DIRECTORY"
"""Where ``shim.py`` finds the parent's socket."""
_REQUEST_BYTES: Final = 65536
_GRACE_SECONDS: Final = 10.0
"""How long children have to end after SIGTERM (Flower's tasks tell the server that they failed)."""
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


def reseed() -> None:
    """Give a forked task random generators of its own, as a fresh process would have.

    Python's own generator reseeds itself after a fork; NumPy's and PyTorch's global ones do not, and every task
    would draw the same numbers.
    """
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed(int.from_bytes(os.urandom(4), "little"))
    if (torch := sys.modules.get("torch")) is not None:
        torch.seed()


def install_shim(directory: Path, commands: Sequence[str]) -> None:
    """Put a small program for each of ``commands`` into ``directory``, to be found first on PATH.

    It runs isolated and without site-packages (-IS): it needs neither and starts in a few milliseconds.
    """
    program = Path(__file__).with_name("shim.py").read_text(encoding="utf-8")
    directory.mkdir(parents=True, exist_ok=True)
    for command in commands:
        path = directory / command
        path.write_text(f"#!{sys.executable} -IS\n{program}", encoding="utf-8")
        path.chmod(0o700)


@dataclass(slots=True)
class WarmParent:
    """Forks a child for SuperExec and one for each task that it starts.

    ``tasks`` maps the name of a command to the function that a task's child runs, with sys.argv set as for the command.
    """

    directory: Path
    """Writable and private: socket and shims lie here."""
    superexec: Callable[[], None]
    tasks: Mapping[str, Callable[[], None]]
    _children: dict[int, socket.socket | None] = field(default_factory=dict)
    """By pid: where to tell the exit code; None for SuperExec."""
    _stopping: bool = False

    def run(self) -> int:
        """Serve until SuperExec ends or a signal comes; returns SuperExec's exit code."""
        selector = selectors.DefaultSelector()
        listener = self._listen()
        wakeup = self._catch_signals()
        install_shim(self.directory / "bin", tuple(self.tasks))
        os.environ["PATH"] = f"{self.directory / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
        gc.collect()
        gc.freeze()  # what is warm stays shared: the collector in a child must not write to it
        superexec = self._fork((listener, wakeup), None, self.superexec)
        selector.register(listener, selectors.EVENT_READ, "task")
        selector.register(wakeup, selectors.EVENT_READ, "signal")
        selector.register(os.pidfd_open(superexec), selectors.EVENT_READ, superexec)
        code = 0
        while self._children:
            ready = selector.select(_GRACE_SECONDS if self._stopping else None)
            if not ready:
                self._signal(signal.SIGKILL)
            for key, _ in ready:
                if key.data == "task":
                    if (pid := self._start_task(listener, wakeup)) is not None:
                        selector.register(os.pidfd_open(pid), selectors.EVENT_READ, pid)
                elif key.data == "signal":
                    if set(wakeup.recv(64)) & {int(number) for number in _SIGNALS}:
                        self._stop()
                else:
                    selector.unregister(key.fileobj)
                    os.close(key.fd)
                    ended = self._reap(key.data)
                    if key.data == superexec:
                        code = ended
                        self._stop()
        return code

    def _listen(self) -> socket.socket:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.directory / "warm.sock"
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        directory = os.open(self.directory, os.O_PATH | os.O_DIRECTORY)
        listener.bind(f"/proc/self/fd/{directory}/warm.sock")  # a socket's own path may have 107 bytes at the most
        os.close(directory)
        path.chmod(0o600)
        listener.listen(64)
        os.environ[DIRECTORY_VARIABLE] = str(self.directory)
        return listener

    def _catch_signals(self) -> socket.socket:
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.detach())
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)
        return reader

    def _start_task(self, listener: socket.socket, wakeup: socket.socket) -> int | None:
        connection, _ = listener.accept()
        try:
            argv = json.loads(connection.recv(_REQUEST_BYTES))
            task = self.tasks[Path(argv[0]).name]
        except (OSError, ValueError, LookupError, TypeError):
            connection.close()
            return None

        def child() -> None:
            connection.close()
            sys.argv = argv
            reseed()
            task()

        return self._fork((listener, wakeup), connection, child)

    def _fork(self, private: tuple[socket.socket, ...], reply: socket.socket | None, task: Callable[[], None]) -> int:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            for other in (*private, *(connection for connection in self._children.values() if connection)):
                other.close()
            _run_as_child(task)
        self._children[pid] = reply
        return pid

    def _reap(self, pid: int) -> int:
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if (connection := self._children.pop(pid)) is not None:
            with connection, contextlib.suppress(OSError):
                connection.sendall(str(code).encode())
        return code

    def _stop(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def _run_as_child(task: Callable[[], None]) -> NoReturn:
    """Run ``task`` and leave with its code, never returning into the parent's frames."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        task()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  # whatever a task raises ends that task alone
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
