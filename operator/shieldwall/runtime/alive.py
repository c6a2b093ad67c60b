"""Role ``alive``: the liveness probe of what Flower runs, told by requests that move, not by processes that exist.

A SuperNode that got a 429 or a 500 stays alive and never asks again (envoy.md); a SuperExec polls its Runtime API five
times a second. Both show in the counters of the pod's proxy. Standard library only: it runs every few seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shieldwall.contract import ports
from shieldwall.contract.paths import POD_IP_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

_COUNTERS: Final = ("downstream_rq_total", "downstream_cx_rx_bytes_total")
_TIMEOUT_SECONDS: Final = 3.0


def main(argv: Sequence[str]) -> int:
    """0 while requests move through the proxy's loopback listener, 1 once none has for ``--within`` seconds."""
    parser = argparse.ArgumentParser(prog="shieldwall-runtime alive", description=__doc__)
    parser.add_argument("role", choices=("supernode", "aggregator"))
    parser.add_argument("--within", type=float, default=60.0, metavar="SECONDS")
    arguments = parser.parse_args(argv)
    address = os.environ.get(POD_IP_VARIABLE, "127.0.0.1")
    url = f"http://{address}:{ports.METRICS}/stats/prometheus?filter=http.local.downstream_"
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:
            text = response.read().decode()
    except (urllib.error.URLError, OSError) as error:
        sys.stdout.write(f"the proxy cannot be asked, which its own probe will tell: {error}\n")
        return 0
    still = stillness(requests(text), Path(tempfile.gettempdir()) / f"alive-{arguments.role}", time.monotonic())
    if still > arguments.within:
        sys.stdout.write(f"no request for {still:.0f} s\n")
        return 1
    return 0


def requests(text: str) -> float:
    """The sum of the proxy's counters of the loopback listener, from Prometheus text."""
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if '"local"' in line and not line.startswith("#"))
    return sum(float(value) for name, value in lines if any(counter in name for counter in _COUNTERS))


def stillness(counted: float, memory: Path, now: float) -> float:
    """Seconds since ``counted`` last changed; ``memory`` is a file that remembers it from probe to probe."""
    try:
        before, since = json.loads(memory.read_text())
    except (OSError, ValueError):
        before, since = None, now
    if before != counted or now < since:
        before, since = counted, now
    replacement = memory.with_name(f"{memory.name}.new")
    replacement.write_text(json.dumps([before, since]))
    replacement.replace(memory)
    return float(now - since)
