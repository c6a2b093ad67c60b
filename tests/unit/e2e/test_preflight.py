"""What the machine lacks for a node is said in a sentence each, before anything is done."""

from __future__ import annotations

import os

import pytest
from cluster import __main__, commands, preflight


@pytest.fixture(autouse=True)
def capable(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(preflight, "run", lambda *words: "")


@pytest.fixture
def version_1(tmp_path):
    (tmp_path / "memory").mkdir()
    return tmp_path


@pytest.fixture
def version_2(tmp_path):
    for name, content in {"controllers": "cpu memory pids", "subtree_control": "", "procs": "1\n2\n"}.items():
        (tmp_path / f"cgroup.{name}").write_text(content)
    return tmp_path


def lacks(root):
    return list(preflight.lacks(root))


@pytest.mark.parametrize("version", ["version_1", "version_2"])
def test_nothing_is_lacking_where_all_can_be_made_and_nothing_is_left_of_the_trial(version, request):
    root = request.getfixturevalue(version)
    before = sorted(root.rglob("*"))
    assert lacks(root) == []
    assert sorted(root.rglob("*")) == before


def test_who_is_not_root_is_told_that_alone(version_1, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    (lack,) = lacks(version_1 / "nowhere")
    assert lack.endswith("run this as root")


def test_what_unshare_says_is_told(version_1, monkeypatch):
    def refused(*words):
        raise commands.CommandError(words, 1, "unshare failed: Operation not permitted")

    monkeypatch.setattr(preflight, "run", refused)
    (lack,) = lacks(version_1)
    assert "namespaces" in lack
    assert "Operation not permitted" in lack


def test_without_unshare_its_package_is_named(version_1, monkeypatch):
    monkeypatch.setattr(preflight, "SEARCH", "/nowhere")
    (lack,) = lacks(version_1)
    assert "util-linux" in lack


def test_a_hierarchy_that_takes_no_group_is_named(version_1):
    (version_1 / "memory" / f"shieldwall-trial-{os.getpid()}").write_text("in the way")
    (lack,) = lacks(version_1)
    assert f"{version_1}/memory" in lack
    assert "File exists" in lack


@pytest.mark.parametrize("root", ["", "nowhere"])
def test_cgroups_that_are_not_mounted_are_lacking(tmp_path, root):
    (lack,) = lacks(tmp_path / root)
    assert str(tmp_path / root) in lack


def test_the_version_2_of_a_container_that_holds_processes_delegates_nothing(version_2):
    (version_2 / "cgroup.type").write_text("domain")
    (lack,) = lacks(version_2)
    assert "delegates no controllers" in lack
    (version_2 / "cgroup.subtree_control").write_text("cpu memory pids")
    assert lacks(version_2) == []


@pytest.mark.parametrize(("root", "code"), [("", 0), ("nowhere", os.EX_UNAVAILABLE)])
def test_the_command_ends_with_69_for_a_lack_and_prints_nothing_else(version_1, monkeypatch, capsys, root, code):
    monkeypatch.setattr(preflight.lacks, "__defaults__", (version_1 / root,))
    assert __main__.main(["check"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == bool(code)
