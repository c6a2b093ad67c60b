import hashlib
import tempfile

import pytest

from shieldwall.local.layout import StrangeDirectoryError, laid_out
from shieldwall.local.notebook import save_model


def test_only_results_stay(tmp_path):
    with laid_out(tmp_path / "results", None) as layout:
        (layout.logs / "x.log").touch()
        (layout.state / "secret").touch()
    assert (tmp_path / "results" / "logs" / "x.log").exists()
    assert not layout.state.exists()
    assert not layout.scratch.exists()


def test_a_kept_directory_keeps_its_state_and_loses_its_pods(tmp_path):
    for _ in range(2):
        with laid_out(tmp_path, tmp_path) as layout:
            assert not list((layout.state / "pods").iterdir())
            (layout.state / "pods" / "x").mkdir()
            (layout.state / "claims" / "state").mkdir(exist_ok=True)
    assert (tmp_path / "claims" / "state").is_dir()


def test_sockets_have_short_paths_wherever_temporary_files_go(tmp_path, monkeypatch):
    deep = tmp_path / ("d" * 80)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with laid_out(tmp_path / "results", None) as layout:
        socket = layout.scratch / "501" / "supernode" / "run" / "shieldwall" / "signer" / "signer.sock"
        assert len(str(socket)) < 108


def test_the_model_that_was_released_is_saved_and_no_other(tmp_path):
    volume = tmp_path / "claims" / "model"
    volume.mkdir(parents=True)
    (volume / "round-1.npz").write_bytes(b"one")
    (volume / "round-2.npz").write_bytes(b"two")
    (volume / "link.npz").symlink_to("/etc/passwd")
    digest = hashlib.sha256(b"two").hexdigest()
    facts = save_model([tmp_path / "claims"], digest, tmp_path / "model")
    assert facts.sha256 == digest
    assert (tmp_path / "model" / "round-2.npz").read_bytes() == b"two"
    assert facts.size == 3
    assert save_model([tmp_path / "claims"], "0" * 64, tmp_path / "model") is None


def test_somebody_elses_directory_is_never_cleared(tmp_path):
    kept = tmp_path / "kept"
    (kept / "pods").mkdir(parents=True)
    (kept / "pods" / "file").write_text("precious")
    with pytest.raises(StrangeDirectoryError), laid_out(tmp_path / "results", kept):
        pass
    assert (kept / "pods" / "file").read_text() == "precious"


def test_a_kept_directory_is_gone_on_in(tmp_path):
    kept = tmp_path / "kept"
    for _ in range(2):
        with laid_out(kept, kept) as layout:
            (layout.state / "claims" / "model").mkdir(exist_ok=True)
    assert (kept / "claims" / "model").is_dir()
