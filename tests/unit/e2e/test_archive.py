"""Images of one program, as containerd and skopeo read them."""

from __future__ import annotations

import io
import json
import tarfile
from hashlib import sha256

import pytest
from cluster.archive import write_image


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "pause"
    path.write_bytes(b"\x7fELF")
    path.chmod(0o600)
    return path


def contents(tar_bytes):
    with tarfile.open(fileobj=io.BytesIO(tar_bytes)) as tar:
        return {each.name: (tar.extractfile(each).read(), each) for each in tar.getmembers()}


def test_the_archive_holds_the_program_and_starts_it(tmp_path, program):
    write_image(tmp_path / "a.tar", "e2e.test/pause:1", program, ["-P"])
    files = contents((tmp_path / "a.tar").read_bytes())
    ((manifest,),) = [json.loads(files["manifest.json"][0])]
    assert manifest["RepoTags"] == ["e2e.test/pause:1"]
    configuration = json.loads(files[manifest["Config"]][0])
    assert configuration["config"]["Entrypoint"] == ["/pause", "-P"]
    layers = [files[name][0] for name in manifest["Layers"]]
    assert configuration["rootfs"]["diff_ids"] == [f"sha256:{sha256(layer).hexdigest()}" for layer in layers]
    ((name, (content, entry)),) = contents(layers[0]).items()
    assert (name, content, entry.mode, entry.uid) == ("pause", b"\x7fELF", 0o755, 0)


def test_same_program_same_bytes(tmp_path, program):
    for name in ("a.tar", "b.tar"):
        write_image(tmp_path / name, "e2e.test/pause:1", program)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
