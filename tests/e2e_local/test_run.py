"""Whole trainings on this machine: the real Envoy, SuperLink, SuperNodes and apps."""

import json
import signal
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def test_a_training_completes_under_attack_and_reports_it(run, tmp_path):
    command = run("--attack", "sign-flip", "--attack", "no-certificate", "--keep", tmp_path / "kept")
    code, events, stderr = command.end()
    assert code == 0, stderr
    outcome = events[-1]["outcome"]
    assert outcome["end"] == "completed"
    assert set(outcome["attackers"].values()) == {"sign-flip", "no-certificate"}
    assert [record["round"] for record in outcome["records"]] == [1, 2]
    refused = next(client for client, kind in outcome["attackers"].items() if kind == "no-certificate")
    admitted = {
        reply["client"] for record in outcome["records"] for reply in record["replies"] if reply["fate"] == "admitted"
    }
    assert refused not in admitted
    assert outcome["status"]["handshakes"]["fleet.no-certificate"] > 0
    report = json.loads((tmp_path / "kept" / "report.json").read_text())
    assert report["runs"][0]["accuracy"] > 0.5
    assert (tmp_path / "kept" / "report.html").stat().st_size > 10_000
    assert (tmp_path / "kept" / "model").is_dir()
    keys = list((tmp_path / "kept" / "secrets" / "authorities").rglob("tls.key"))
    assert len(keys) == 2
    assert {key.stat().st_mode & 0o777 for key in keys} == {0o600}
    secret = next((tmp_path / "kept" / "secrets" / "shared").rglob("superexec")).read_text()
    assert secret not in json.dumps(events)


def test_ctrl_c_ends_everything_and_leaves_the_last_model(run, nothing_left):
    command = run("--rounds", "50")
    command.until("round")
    command.process.send_signal(signal.SIGINT)
    code, events, stderr = command.end()
    assert code == 130, stderr
    outcome = events[-1]["outcome"]
    assert outcome["end"] == "interrupted"
    assert outcome["model"] is not None
    assert Path(outcome["model"]["path"]).stat().st_size == outcome["model"]["size"]
    assert nothing_left()


def test_a_killed_run_leaves_nothing_behind(run, nothing_left):
    command = run()
    command.until("status")
    command.process.kill()
    assert nothing_left()


def test_a_stopped_training_goes_on_from_what_was_kept(run, tmp_path):
    command = run("--rounds", "3", "--keep", tmp_path / "kept")
    first = command.until("round")["record"]
    command.process.send_signal(signal.SIGTERM)
    assert command.end()[0] == 130
    code, events, stderr = run("--rounds", "3", "--keep", tmp_path / "kept").end()
    assert code == 0, stderr
    released = [record for record in events[-1]["outcome"]["records"] if record["outcome"] == "released"]
    assert [record["round"] for record in released] == [1, 2, 3]
    assert released[0]["model_sha256"] == first["model_sha256"]
