import os

import pytest

from shieldwall.control.api.parse import parse_training
from shieldwall.local.cluster.containers import base_environment
from shieldwall.local.preflight import MissingModuleError, SuspendedTrainingError, references, require_app
from shieldwall.local.runner import Job, run_training
from shieldwall.local.stages import last_line


def training(*, suspend=False, **app):
    spec = {
        "suspend": suspend,
        "app": {"image": "registry.example/x:1", "clientApp": "mine.client:app", "model": "mine.task:model", **app},
        "rounds": {"count": 1},
        "clients": [{"name": name} for name in ("a", "b", "c")],
    }
    metadata = {"name": "digits"}
    api = "shieldwall.dev/v1alpha1"
    return parse_training({"apiVersion": api, "kind": "FederatedTraining", "metadata": metadata, "spec": spec})


def test_a_missing_module_is_named_with_its_field_before_anything_starts(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "client.py").write_text("raise RuntimeError('not imported here')")
    wanted = training(evaluate="elsewhere.task:evaluate")
    with pytest.raises(MissingModuleError) as caught:
        require_app(wanted, tmp_path, base_environment(tmp_path, os.environ), None)
    assert caught.value.modules == {"spec.app.model": "mine.task", "spec.app.evaluate": "elsewhere.task"}
    assert str(tmp_path) in str(caught.value)


def test_an_app_that_is_there_may_run(tmp_path):
    (tmp_path / "mine").mkdir()
    for name in ("client", "task"):
        (tmp_path / "mine" / f"{name}.py").write_text("")
    assert set(references(training())) == {"spec.app.clientApp", "spec.app.model"}
    require_app(training(), tmp_path, base_environment(tmp_path, os.environ), None)


async def test_a_suspended_training_is_refused_before_anything_starts(tmp_path):
    job = Job(training(suspend=True), app=tmp_path, results=tmp_path / "results", label="")
    with pytest.raises(SuspendedTrainingError, match=r"spec\.suspend of digits is true.* Set it to false"):
        await run_training(job, pytest.fail)
    assert list(tmp_path.iterdir()) == []


def test_last_words(tmp_path):
    log = tmp_path / "log"
    assert last_line(log) == ""
    log.write_bytes(b"x" * 9000 + b"\nTraceback\n  File\nImportError: \xff no\n\n")
    assert last_line(log) == "ImportError: \ufffd no"
