"""Every protocol attack against the real chain: refused at its layer, on record with its reason, and harmless."""

import os
import shutil
import signal
import textwrap
from pathlib import Path

import pytest
from ruamel.yaml import YAML

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart"
AT_THE_DOOR = {
    "plain-text": "fleet.protocol-error",
    "no-certificate": "fleet.no-certificate",
    "foreign-ca": "fleet.untrusted",
}
IN_THE_ROUND = {
    "unsigned": "unsigned",
    "altered": "tampered",
    "replayed": "stale",
    "nan": "not-finite",
    "wrong-shape": "wrong-schema",
}
HONEST = 4


def rewrite(file, change):
    yaml = YAML(typ="safe", pure=True)
    document = yaml.load(file)
    change(document["spec"])
    with file.open("w") as stream:
        yaml.dump(document, stream)


def fates(outcome, kind, rounds=(2, 3)):
    client = next(client for client, own in outcome["attackers"].items() if own == kind)
    return {
        reply["fate"]
        for record in outcome["records"]
        for reply in record["replies"]
        if reply["client"] == client and record["round"] in rounds
    }


def test_each_attack_is_refused_at_its_layer_and_the_training_completes(training, run, tmp_path):
    # The impostor is in tests/integration/proxy/test_server_pod_live.py: the gate ends its SuperNode at once.
    kinds = [*AT_THE_DOOR, *IN_THE_ROUND]

    def with_attackers(spec):
        spec["clients"] = [{"name": f"client-{position}"} for position in range(HONEST + len(kinds))]
        spec["rounds"] = {"count": 3, "minReplies": HONEST, "graceSeconds": 45, "timeoutSeconds": 120}

    rewrite(training, with_attackers)
    attacks = [part for kind in kinds for part in ("--attack", kind)]
    code, events, stderr = run(*attacks, "--keep", tmp_path / "kept").end()
    assert code == 0, stderr
    outcome = events[-1]["outcome"]
    assert [record["round"] for record in outcome["records"]] == [1, 2, 3]
    for kind, counter in AT_THE_DOOR.items():
        assert outcome["status"]["handshakes"].get(counter, 0) > 0, kind
        assert "admitted" not in fates(outcome, kind, (1, 2, 3)), kind
    for kind, fate in IN_THE_ROUND.items():
        assert fate in fates(outcome, kind), kind
        if kind != "replayed":  # whose first reply is honest
            assert "admitted" not in fates(outcome, kind), kind
    replayer = next(client for client, own in outcome["attackers"].items() if own == "replayed")
    honest = {replayer, *(f"client-{position}" for position in range(HONEST))}
    admitted = {
        reply["client"]
        for record in outcome["records"][1:]
        for reply in record["replies"]
        if reply["fate"] == "admitted"
    }
    assert admitted <= honest
    report = (tmp_path / "kept" / "report.html").read_text()
    for reason in ("unsigned", "was signed"):
        assert reason in report.lower() or reason.replace("-", " ") in report.lower(), reason


SPY = """
    import os
    from pathlib import Path

    def readable_keys():
        here = Path(os.environ["SHIELDWALL_ROOT"]).resolve()
        found = []
        for base in (here, *here.parents[:3]):
            for folder, _, files in os.walk(base, followlinks=False):
                for name in files:
                    if name in ("tls.key", "node.key", "local.key"):
                        try:
                            found.append((Path(folder) / name).read_bytes())
                        except OSError:
                            continue
        return found

    def cannot(path):
        try:
            os.listdir(path)
        except OSError:
            return True
        return False

    def spy():
        keys = readable_keys()
        if keys:
            raise RuntimeError(f"the user's code read {len(keys)} private keys")
        if os.getuid() == 0:
            raise RuntimeError("the user's code is root")
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root may switch users")
def test_a_trainer_cannot_read_a_key(training, run):
    client_app = training.parent / "digits" / "client_app.py"
    spying = client_app.read_text().replace(
        "images, labels, _, _ = local_data(context)\n    arrays",
        "spy()\n    images, labels, _, _ = local_data(context)\n    arrays",
    )
    assert spying != client_app.read_text()
    client_app.write_text(textwrap.dedent(SPY) + spying)
    # Spies look through the whole disk, one after the other: nobody is too late.
    rewrite(training, lambda spec: spec["rounds"].update(graceSeconds=120))
    command = run()
    command.until("round")
    keys = list(Path("/tmp").glob("sw-*/**/*.key"))  # noqa: S108  # where local runs keep their volumes
    code, events, stderr = command.end()
    assert code == 0, stderr
    outcome = events[-1]["outcome"]
    assert "users of their own" in outcome["isolation"]
    assert keys, "there was no key to be read, so the test shows nothing"
    details = {reply["detail"] for record in outcome["records"] for reply in record["replies"]}
    assert details == {""}


def aggregators(app):
    """Processes of the aggregator of the run whose app lies in ``app``."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command, environment = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
            except OSError:
                continue
            if b"\0aggregator" in command and f"PYTHONPATH={app}".encode() in environment:
                yield int(entry.name)


def test_a_dead_aggregator_costs_time_and_no_round(training, run):
    command = run("--rounds", "3")
    command.until("round")
    killed = list(aggregators(training.parent))
    assert killed
    for process in killed:
        os.kill(process, signal.SIGKILL)
    code, events, stderr = command.end()
    assert code == 0, stderr
    outcome = events[-1]["outcome"]
    released = [record for record in outcome["records"] if record["outcome"] == "released"]
    assert [record["round"] for record in released] == [1, 2, 3]
    assert outcome["status"]["runs_started"] == 2
    assert len({record["run_id"] for record in released}) == 2


@pytest.fixture
def training_of_quickstart(training):
    """The quickstart app in the place of the digits app."""
    shutil.rmtree(training.parent)
    shutil.copytree(QUICKSTART, training.parent)
    return training


def test_a_stock_app_with_its_own_server_runs_unchanged(training_of_quickstart, run, tmp_path):
    code, events, stderr = run("--attack", "sign-flip", "--keep", tmp_path / "kept").end()
    assert code == 0, stderr
    outcome = events[-1]["outcome"]
    assert [record["round"] for record in outcome["records"]] == [1, 2, 3]
    assert {record["rule"] for record in outcome["records"]} == {"FedMedian"}
    assert next((tmp_path / "kept").rglob("final_model.npz")).stat().st_size > 0
