"""Seconds a round of the same app takes under Shieldwall and under plain, insecure Flower, in one run.

The app (benchmarks/wide) moves a 20 MB model and computes nothing: the ratio is what mTLS on both sides, the gate,
signatures, admission, a robust rule and checkpoints cost, and what warm task processes save. The two are interleaved
and medians are compared, because machines are noisy. The first round of each run is left out: it holds the start.

    python benchmarks/round_time.py [--repeats 2] [--rounds 5] [--output bench/round_time.json]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDE = Path(__file__).parent / "wide"
CLIENTS = 4
GOAL = 1.15
START_SECONDS = 120
RUN_SECONDS = 600


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def program(*command: str, env: dict[str, str], log: Path) -> Iterator[None]:
    """Run ``command`` in a process group of its own while the context lasts."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=env, stdout=output, stderr=output, start_new_session=True)
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def plain_flower(rounds: int, directory: Path) -> list[float]:
    """Seconds of each round but the first under ``--insecure`` Flower with its defaults."""
    # Flower reads its environment when it is imported.
    os.environ |= {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
    from flwr.cli.build import build_fab_from_files
    from flwr.common.serde import fab_to_proto, user_config_to_proto
    from flwr.proto.control_pb2 import ListNodesRequest, ListRunsRequest, StartRunRequest
    from flwr.supercore.control import ControlHttpClient
    from flwr.supercore.fab import Fab
    from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor

    files = {str(path.relative_to(WIDE)): path.read_bytes() for path in WIDE.rglob("*.py")}
    fab, _ = build_fab_from_files(files | {"pyproject.toml": (WIDE / "pyproject.toml").read_bytes()})
    times = directory / "times"
    env = {
        **os.environ,
        "FLWR_HOME": str(directory / "home"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    port = free_port()
    superlink = f"127.0.0.1:{port}"
    with ExitStack() as stack:
        stack.enter_context(
            program(
                *("flower-superlink", "--insecure", "--host", "127.0.0.1", "--port", str(port)),
                "--disable-runtime-dependency-installation",
                env=env,
                log=directory / "superlink.log",
            )
        )
        _wait_for(lambda: socket.create_connection(("127.0.0.1", port), 1).close())
        for position in range(CLIENTS):
            stack.enter_context(
                program(
                    *("flower-supernode", "--insecure", "--superlink", superlink, "--port", str(free_port())),
                    *("--node-config", f"partition-id={position}"),
                    env=env,
                    log=directory / f"supernode-{position}.log",
                )
            )
        control = ControlHttpClient.from_server_address(
            superlink, True, None, [RuntimeVersionHttpInterceptor(component_name="benchmark")]
        )

        def all_online() -> None:
            online = [node for node in control.ListNodes(ListNodesRequest()).nodes_info if node.status == "online"]
            if len(online) < CLIENTS:
                raise ConnectionError(f"{len(online)} of {CLIENTS} nodes are online")

        _wait_for(all_online)
        config = {"rounds": rounds, "clients": CLIENTS, "times": str(times)}
        run_id = control.StartRun(
            StartRunRequest(
                fab=fab_to_proto(Fab(hashlib.sha256(fab).hexdigest(), fab, {})),
                override_config=user_config_to_proto(config),
            )
        ).run_id
        end = time.monotonic() + RUN_SECONDS
        while control.ListRuns(ListRunsRequest(run_id=run_id)).run_dict[run_id].status.status != "finished":
            if time.monotonic() > end:
                raise TimeoutError(f"plain Flower did not finish within {RUN_SECONDS} s; its logs are in {directory}")
            time.sleep(1)
    stamps = [float(line.split()[1]) for line in times.read_text().splitlines()]
    if len(stamps) != rounds + 1:
        raise RuntimeError(f"plain Flower finished {len(stamps) - 1} of {rounds} rounds; its logs are in {directory}")
    return [after - before for before, after in pairwise(stamps[1:])]


def _wait_for(check: object) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            check()  # type: ignore[operator]
        except OSError as error:
            if time.monotonic() > end:
                raise TimeoutError(f"plain Flower did not start within {START_SECONDS} s: {error}") from error
            time.sleep(0.5)
        else:
            return


def shieldwall(rounds: int, directory: Path) -> list[float]:
    """Seconds of each round but the first under Shieldwall, by the opening of one round and of the next."""
    command = [str(Path(sys.executable).parent / "shieldwall"), "run", str(WIDE / "training.yaml"), "--json"]
    # One round more: a round ends where the next one opens.
    done = subprocess.run(
        [*command, "--rounds", str(rounds + 1)],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_SECONDS,
    )
    if done.returncode != 0:
        raise RuntimeError(f"shieldwall run ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    opened = [event["record"]["opened"] for event in events if event["event"] == "round"]
    return [after - before for before, after in pairwise(opened[1:])]


def main() -> int:
    """Print the table; write the figures if asked; 1 when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    seconds: dict[str, list[float]] = {"plain": [], "shieldwall": []}
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        for repeat in range(arguments.repeats):
            for name, measure in (("plain", plain_flower), ("shieldwall", shieldwall)):
                directory = Path(scratch) / f"{name}-{repeat}"
                directory.mkdir()
                seconds[name] += measure(arguments.rounds, directory)
                print(f"{name} {repeat + 1}/{arguments.repeats}: {statistics.median(seconds[name]):.2f} s", flush=True)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    ratio = median["shieldwall"] / median["plain"]
    print(f"\nround of a 20 MB model, {CLIENTS} clients, median of {len(seconds['plain'])}")
    for name, title in (("plain", "plain Flower, --insecure"), ("shieldwall", "Shieldwall")):
        spread = f"from {min(seconds[name]):.2f} to {max(seconds[name]):.2f}"
        print(f"  {title:24} {median[name]:6.2f} s   ({spread})")
    print(f"  {'ratio':24} {ratio:6.2f}     (at most {GOAL})")
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps({"seconds": seconds, "ratio": ratio, "goal": GOAL}, indent=1))
    return int(ratio > GOAL)


if __name__ == "__main__":
    sys.exit(main())
