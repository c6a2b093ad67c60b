"""What is built, in which order, and what is not; buildah is a stand-in."""

import threading
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from images import build
from images.buildah import BuildahError
from images.catalogue import SBOM_DIRECTORY, Image


class Shelf:
    """A buildah that builds nothing and remembers what it was asked for."""

    def __init__(self, files):
        self.files, self.tags, self.built, self.pushed, self.broken = files, {}, [], [], set()
        self.lock = threading.Lock()

    def build(self, tag, context, dockerfile, *, arguments, options):
        with self.lock:
            if tag in self.broken:
                raise BuildahError(("bud",), 1, "broken")
            self.built.append(tag)
            self.tags[tag] = arguments

    def run(self, *arguments):
        assert arguments[0] == "push"
        archive = Path(arguments[-1].split(":")[1])
        assert not archive.exists()
        archive.write_text(arguments[-2])
        self.pushed.append(arguments[-2])
        return ""

    def has(self, tag):
        return tag in self.tags

    @contextmanager
    def mounted(self, tag):
        yield self.files


@pytest.fixture
def source(tmp_path, monkeypatch):
    root = tmp_path / "source"
    for name in ("one", "two", "three"):
        (root / name).mkdir(parents=True)
        (root / name / "Dockerfile").write_text(name)
    catalogue = (
        Image("one", "one:1", "one", "one/Dockerfile", ("one",), sbom=True),
        Image("two", "two:1", "two", "two/Dockerfile", ("two",), parent="one", parent_argument="ONE"),
        Image("three", "three:1", "three", "three/Dockerfile", ("three",)),
    )
    monkeypatch.setattr(build, "CATALOGUE", catalogue)
    monkeypatch.setattr(build, "ROOT", root)
    return root


@pytest.fixture
def shelf(tmp_path):
    (tmp_path / "files" / SBOM_DIRECTORY).mkdir(parents=True)
    (tmp_path / "files" / SBOM_DIRECTORY / "one.cdx.json").write_text("{}")
    return Shelf(tmp_path / "files")


@pytest.fixture
def bring(source, shelf, tmp_path):
    output = tmp_path / "output"
    output.mkdir()

    def brought(base="base:1"):
        shelf.built.clear()
        shelf.pushed.clear()
        build.build_all(shelf, output, base)
        return set(shelf.built)

    brought.output = output
    return brought


def test_all_are_built_and_written_parents_first(bring, shelf):
    assert bring() == {"one:1", "two:1", "three:1"}
    assert shelf.built.index("one:1") < shelf.built.index("two:1")
    assert shelf.tags["two:1"]["ONE"] == "one:1"
    assert shelf.tags["one:1"]["BASE"] == "base:1"
    assert {path.name for path in bring.output.glob("*.tar")} == {"one.tar", "two.tar", "three.tar"}
    assert (bring.output / "one.cdx.json").read_text() == "{}"


def test_nothing_is_done_when_nothing_changed(bring, shelf):
    bring()
    assert bring() == set()
    assert shelf.pushed == []


def test_a_change_builds_the_image_and_what_stands_on_it(bring, source):
    bring()
    (source / "one" / "code").write_text("new")
    assert bring() == {"one:1", "two:1"}
    (source / "two" / "code").write_text("new")
    assert bring() == {"two:1"}


def test_another_base_builds_all(bring):
    bring()
    assert bring("base:2") == {"one:1", "two:1", "three:1"}


def test_an_archive_or_an_image_that_is_gone_is_made_again(bring, shelf):
    bring()
    (bring.output / "three.tar").unlink()
    assert bring() == {"three:1"}
    del shelf.tags["three:1"]
    assert bring() == {"three:1"}


def test_a_build_that_failed_is_tried_again_even_after_the_change_was_taken_back(bring, shelf, source):
    bring()
    (source / "three" / "code").write_text("wrong")
    shelf.broken = {"three:1"}
    with pytest.raises(BuildahError):
        bring()
    (source / "three" / "code").unlink()
    shelf.broken = set()
    assert bring() == {"three:1"}


def test_what_stands_on_a_broken_image_is_not_built(bring, shelf):
    shelf.broken = {"one:1"}
    with pytest.raises(BuildahError):
        bring()
    assert set(shelf.built) <= {"three:1"}


def test_an_interruption_stops_what_builds(bring, shelf, monkeypatch):
    stopped = threading.Event()
    shelf.children = SimpleNamespace(stop=stopped.set)
    shelf.build = lambda *_, **__: stopped.wait(10)

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bring()
    assert stopped.is_set()
