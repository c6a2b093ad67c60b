"""Images of several archives in one, each layer once; and what of it containerd is given."""

from __future__ import annotations

import io
import json
import tarfile
from hashlib import sha256

import pytest
from cluster import bundle, store
from cluster.archive import write_image
from cluster.bundle import NoArchiveError
from cluster.commands import CommandError, feed
from cluster.layout import Layout


def add(tar, name, content):
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def digest(content):
    return f"sha256:{sha256(content).hexdigest()}"


def archive_of(path, images):
    """As buildah and docker write it: layers under names of their own choice, one of them by way of a link."""
    manifest = []
    with tarfile.open(path, "w") as tar:
        for number, (name, layers) in enumerate(images.items()):
            configuration = json.dumps({"of": name, "rootfs": {"diff_ids": [digest(each) for each in layers]}}).encode()
            add(tar, f"{number}.json", configuration)
            members = [f"{number}-{place}.tar" for place in range(len(layers))]
            for member, layer in zip(members, layers, strict=True):
                add(tar, member, layer)
            link = tarfile.TarInfo(f"{number}-link/layer.tar")
            link.type, link.linkname = tarfile.SYMTYPE, f"../{members[0]}"
            tar.addfile(link)
            manifest.append({"Config": f"{number}.json", "RepoTags": [name], "Layers": [link.name, *members[1:]]})
        add(tar, "manifest.json", json.dumps(manifest).encode())
    return path


@pytest.fixture
def archives(tmp_path):
    return [
        archive_of(tmp_path / "a.tar", {"runtime:1": [b"base", b"flower"]}),
        archive_of(tmp_path / "b.tar", {"digits:1": [b"base", b"flower", b"app"], "operator:1": [b"base", b"kopf"]}),
    ]


def members(content):
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return [(each.name, tar.extractfile(each).read()) for each in tar]


def written(images):
    out = io.BytesIO()
    bundle.write(images, out)
    return out.getvalue()


def test_every_image_is_there_and_every_layer_once(archives, tmp_path):
    images = [image for archive in archives for image in bundle.images(archive)]
    together = tmp_path / "together.tar"
    together.write_bytes(written(images))
    again = bundle.images(together)
    assert [image.names for image in again] == [("runtime:1",), ("digits:1",), ("operator:1",)]
    assert [image.identity for image in again] == [image.identity for image in images]
    contents = [content for _, content in members(together.read_bytes())]
    assert all(contents.count(layer) == 1 for layer in (b"base", b"flower", b"app", b"kopf"))
    for image in again:
        with tarfile.open(together) as tar:
            assert all(digest(tar.extractfile(name).read()) == layer for layer, name in image.layers)


def test_an_image_is_another_when_a_layer_is(tmp_path):
    (one,) = bundle.images(archive_of(tmp_path / "one.tar", {"a:1": [b"1"]}))
    (two,) = bundle.images(archive_of(tmp_path / "two.tar", {"a:1": [b"2"]}))
    assert one.identity != two.identity


def test_our_own_images_are_read_too(tmp_path):
    (tmp_path / "pause").write_bytes(b"\x7fELF")
    write_image(tmp_path / "a.tar", "e2e.test/pause:1", tmp_path / "pause")
    (image,) = bundle.images(tmp_path / "a.tar")
    assert image.names == ("e2e.test/pause:1",)


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_what_is_no_docker_archive_is_told(tmp_path, content):
    path = tmp_path / "x.tar"
    if content is None:
        with tarfile.open(path, "w") as tar:
            add(tar, "other", b"")
    else:
        path.write_bytes(content)
    with pytest.raises(NoArchiveError, match=r"x\.tar is no docker-archive"):
        bundle.images(path)


class Containerd:
    """Stands in for ctr."""

    def __init__(self):
        self.images, self.imports = {}, 0

    def run(self, *words):
        if "list" in words:
            name = words[-1].removeprefix("name==")
            return f"REF TYPE DIGEST SIZE\n{name} application/x {name} 1\n" if name in self.images else "REF\n"
        return json.dumps({"config": {"digest": self.images[words[-1]]}})

    def feed(self, *words, write):
        out = io.BytesIO()
        write(out)
        self.imports += 1
        files = dict(members(out.getvalue()))
        for each in json.loads(files["manifest.json"]):
            self.images |= {name: digest(files[each["Config"]]) for name in each["RepoTags"]}


@pytest.fixture
def containerd(monkeypatch):
    made = Containerd()
    monkeypatch.setattr(store, "run", made.run)
    monkeypatch.setattr(store, "feed", made.feed)
    return made


def test_what_containerd_has_is_not_given_again(tmp_path, archives, containerd):
    layout = Layout(tmp_path)
    assert store.load(layout, archives) == ["runtime:1", "digits:1", "operator:1"]
    assert store.load(layout, archives) == []
    assert containerd.imports == 1


def test_an_image_that_has_changed_under_its_name_is_given_alone(tmp_path, archives, containerd):
    layout = Layout(tmp_path)
    store.load(layout, archives)
    before = store.identity(layout, "runtime:1")
    archive_of(archives[0], {"runtime:1": [b"base", b"newer"]})
    assert store.load(layout, archives) == ["runtime:1"]
    assert store.identity(layout, "runtime:1") not in {before, None}


def test_what_was_never_loaded_has_no_identity(tmp_path, containerd):
    assert store.identity(Layout(tmp_path), "runtime:1") is None


class TestFeeding:
    def test_a_command_reads_what_is_written(self, tmp_path):
        feed("sh", "-c", 'cat > "$0"', tmp_path / "read", write=lambda file: file.write(b"x" * 1_000_000))
        assert (tmp_path / "read").stat().st_size == 1_000_000

    @pytest.mark.parametrize("size", [1, 1_000_000])
    def test_a_command_that_ends_early_says_why(self, size):
        with pytest.raises(CommandError, match="no space"):
            feed("sh", "-c", "echo no space >&2; exit 1", write=lambda file: file.write(b"x" * size))

    def test_half_of_it_is_not_taken_for_the_whole(self, tmp_path):
        def broken(file):
            file.write(b"half")
            file.flush()
            raise ValueError("unreadable")

        with pytest.raises(ValueError, match="unreadable"):
            feed("sh", "-c", 'cat > /dev/null; touch "$0"', tmp_path / "whole", write=broken)
        assert not (tmp_path / "whole").exists()
