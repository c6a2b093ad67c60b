"""Three free-riders and two poisoners among twelve clients: real processes, from the first lie to a reinstatement."""

import json
import re
import time
import urllib.request
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from shieldwall.contract import ports, routes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

CLIENTS = 12
ROUNDS = 8
RIDERS = ("free-zero", "free-replay", "free-noise")
POISON = "sign-flip"


def rewrite(file, change):
    yaml = YAML(typ="safe", pure=True)
    document = yaml.load(file)
    change(document)
    with file.open("w") as stream:
        yaml.dump(document, stream)


def watched(document):
    document["spec"] |= {
        "clients": [{"name": f"client-{position:02}"} for position in range(CLIENTS)],
        "rounds": {"count": ROUNDS, "minReplies": 7, "graceSeconds": 20, "timeoutSeconds": 120},
        "aggregation": {"rule": "FedTrimmedAvg", "byzantine": 3},
    }
    document["spec"]["app"]["config"]["local-epochs"] = 2


def fates(outcome, client):
    """The fate of its reply, by round."""
    return {
        record["round"]: reply["fate"]
        for record in outcome["records"]
        if record["outcome"] == "released"
        for reply in record["replies"]
        if reply["client"] == client
    }


def listening(port):
    """Addresses of 127.0.0.0/8 at which something listens on ``port`` (proc_net_tcp: little-endian hex)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    places = [row[1].split(":") for row in rows if row[3] == "0A"]
    return [".".join(str(byte) for byte in bytes.fromhex(host)[::-1]) for host, at in places if int(at, 16) == port]


def scraped():
    """Clients that the metrics of a steward on this machine call banned, and by how many bans."""
    for address in listening(ports.METRICS):
        try:
            with urllib.request.urlopen(
                f"http://{address}:{ports.METRICS}{routes.METRICS_STEWARD}", timeout=5
            ) as answer:
                text = answer.read().decode()
        except OSError:  # a pod without a steward, or one that begins
            continue
        if banned := set(re.findall(r'^shieldwall_client_banned{client="([^"]+)"} 1', text, re.MULTILINE)):
            return banned, float(re.search(r"^shieldwall_bans_total (.*)", text, re.MULTILINE)[1])
    return None


def within(seconds, question):
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < deadline, answer
        time.sleep(0.5)
    return answer


def test_free_riders_are_banned_poison_is_refused_and_a_client_comes_back(training, run, tmp_path):
    rewrite(training, watched)
    attacks = [part for kind in (*RIDERS, f"{POISON}:2") for part in ("--attack", kind)]
    code, events, stderr = run(*attacks, "--keep", tmp_path / "kept").end()
    assert code == 0, stderr
    outcome = events[-1]["outcome"]
    riders = [client for client, kind in outcome["attackers"].items() if kind in RIDERS]
    poisoners = [client for client, kind in outcome["attackers"].items() if kind == POISON]
    honest = set(outcome["clients"]) - {*riders, *poisoners}
    assert (len(riders), len(poisoners), len(honest)) == (3, 2, 7)

    known = {client["name"]: client for client in outcome["status"]["clients"]}
    for rider in riders:
        banned = known[rider]["banned_since"]
        assert banned is not None, known[rider]
        assert banned <= 15
        assert known[rider]["denied"]
        assert "admitted" not in {fate for number, fate in fates(outcome, rider).items() if number > banned}
    assert all(known[client]["banned_since"] is None for client in honest)
    for poisoner in poisoners:  # never in the model
        found = fates(outcome, poisoner)
        assert set(found.values()) <= {"norm-outlier", "distance-outlier", "no-reply"}, found
        assert known[poisoner]["refused"] >= ROUNDS // 2
    accuracy = [record["metrics"]["accuracy"] for record in outcome["records"] if record["outcome"] == "released"][-1]
    assert accuracy > 0.85

    report = json.loads((tmp_path / "kept" / "report.json").read_text())
    assert sorted(report["runs"][0]["banned"]) == sorted(riders)
    assert "banned for not contributing" in report["summary"]
    assert "<h3>Contribution</h3>" in (tmp_path / "kept" / "report.html").read_text()

    def reinstated(document):
        document["spec"]["rounds"]["count"] = ROUNDS + 1
        document["metadata"]["annotations"] = {f"reinstate.shieldwall.dev/{riders[0]}": "a-mistake"}

    rewrite(training, reinstated)
    again = run("--keep", tmp_path / "kept")
    assert within(60, lambda: (found := scraped()) and found[0] == set(riders[1:]) and found[1] == len(riders))
    code, events, stderr = again.end()
    assert code == 0, stderr
    outcome = events[-1]["outcome"]
    known = {client["name"]: client for client in outcome["status"]["clients"]}
    assert outcome["status"]["reinstated"] == {riders[0]: "a-mistake"}
    assert fates(outcome, riders[0])[ROUNDS + 1] == "admitted"
    assert known[riders[0]]["banned_since"] is None
    assert all(known[rider]["banned_since"] is not None for rider in riders[1:])  # a restart forgets nothing
