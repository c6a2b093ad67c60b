"""Both versions of cgroups, as directories of files."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from cluster import cgroups


@pytest.fixture
def version_1(tmp_path):
    for controller in ("cpu", "cpuset", "memory"):
        (tmp_path / controller).mkdir()
    (tmp_path / "cpu,cpuacct").symlink_to("cpu")
    for name, content in {"cpuset.cpus": "0-1", "cpuset.mems": "0"}.items():
        (tmp_path / "cpuset" / name).write_text(content)
    return tmp_path


@pytest.fixture
def version_2(tmp_path):
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids rdma")
    (tmp_path / "cgroup.subtree_control").write_text("")
    (tmp_path / "system.slice").mkdir()
    return tmp_path


def test_version_1_has_the_group_in_each_hierarchy(version_1):
    cgroups.create("us", version_1)
    assert all((version_1 / controller / "us").is_dir() for controller in ("cpu", "cpuset", "memory"))
    group = version_1 / "cpuset" / "us"
    assert [(group / name).read_text() for name in ("cpuset.cpus", "cpuset.mems")] == ["0-1", "0"]


def test_version_2_delegates_the_controllers_that_a_kubelet_demands_and_pods_need(version_2):
    cgroups.create("us", version_2)
    assert (version_2 / "us").is_dir()
    assert (version_2 / "cgroup.subtree_control").read_text() == "+cpu +cpuset +hugetlb +io +memory +pids"
    assert not (version_2 / "system.slice" / "us").exists()


def test_version_2_delegates_nothing_that_the_machine_does_not_offer(version_2):
    (version_2 / "cgroup.controllers").write_text("cpu memory pids")
    cgroups.create("us", version_2)
    assert (version_2 / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"


def test_a_group_is_looked_for_in_each_hierarchy_of_version_1_and_in_the_one_of_version_2(version_1, tmp_path):
    assert {path.name for path in cgroups.hierarchies(version_1)} == {"cpu", "cpu,cpuacct", "cpuset", "memory"}
    (tmp_path / "cgroup.controllers").write_text("cpu")
    assert list(cgroups.hierarchies(tmp_path)) == [tmp_path]


@pytest.mark.parametrize("version", ["version_1", "version_2"])
def test_the_group_is_removed_with_those_below_it_and_no_other(version, request):
    root = request.getfixturevalue(version)
    parents = [root / name for name in ("cpu", "cpuset", "memory")] if version == "version_1" else [root]
    for parent in parents:
        (parent / "us" / "besteffort" / "pod").mkdir(parents=True)
        (parent / "us" / "burstable").mkdir()
        (parent / "us-too").mkdir(exist_ok=True)
    assert cgroups.removed("us", root)
    assert not list(root.rglob("us"))
    assert all((parent / "us-too").is_dir() for parent in parents)
    assert cgroups.removed("us", root)


def test_a_group_with_a_dying_process_is_told(version_2, monkeypatch):
    cgroups.create("us", version_2)

    def busy(_):
        raise OSError(errno.EBUSY, "busy")

    monkeypatch.setattr(Path, "rmdir", busy)
    assert not cgroups.removed("us", version_2)


def test_other_errors_are_not_waited_for(version_2, monkeypatch):
    cgroups.create("us", version_2)

    def denied(_):
        raise PermissionError(errno.EPERM, "denied")

    monkeypatch.setattr(Path, "rmdir", denied)
    with pytest.raises(PermissionError):
        cgroups.removed("us", version_2)
