"""Seconds of interleaved runs, and the most memory that a run takes besides its input and its result."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    Clock = Callable[[], float]

_STATUS = Path("/proc/self/status")


READ = "read"
_READ_SECONDS = 0.25


def interleaved(
    runs: Mapping[str, Callable[[], object]], matrix: NDArray[np.float32], repeats: int, patience: float, clock: Clock
) -> dict[str, list[float]]:
    """Seconds of each of ``runs``, and of reading the matrix, in turns; at ``patience`` seconds in all turns end."""
    seconds: dict[str, list[float]] = {name: [] for name in (READ, *runs)}
    for _ in range(repeats):
        seconds[READ].append(_read(matrix, clock))
        for name, run in runs.items():
            if sum(seconds[name]) > patience:
                continue
            started = clock()
            run()
            seconds[name].append(clock() - started)
    return seconds


def _read(matrix: NDArray[np.float32], clock: Clock) -> float:
    """Seconds of looking at every number once, on one thread.

    The mean of many times: a single one is so short that others who use the machine would not get in between, as they
    do in what it is compared with.
    """
    started, times = clock(), 0
    while (elapsed := clock() - started) < _READ_SECONDS:
        for row in matrix:
            row.max()
        times += 1
    return elapsed / times


def extra_bytes(run: Callable[[], object]) -> int:
    """The resident memory of ``run`` at its highest, less what was there before and the result's own.

    In a child process, whose high-water mark the kernel keeps: also what BLAS takes behind Python's back.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # what earlier runs left would be taken first
        Path("/proc/self/clear_refs").write_text("5")  # the mark begins anew
        before = _kibibytes("VmRSS")
        result = run()
        answer = (_kibibytes("VmHWM") - before) * 1024 - _size(result)
        os.write(writer, json.dumps(answer).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    if not text:
        raise MemoryError("the run did not end")
    return max(int(json.loads(text)), 0)


def _kibibytes(field: str) -> int:
    found = re.search(rf"{field}:\s+(\d+) kB", _STATUS.read_text())
    if found is None:
        raise RuntimeError(f"the kernel tells no {field}")
    return int(found[1])


def _size(result: Any) -> int:  # noqa: ANN401  # an Aggregate, layers, an array, or nothing of the kind
    if isinstance(result, list):
        return sum(layer.nbytes for layer in result)
    return int(getattr(getattr(result, "delta", result), "nbytes", 0))
