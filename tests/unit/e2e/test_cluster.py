"""Up and down, seen from outside: what is done once, what is undone after a failure, who is told what."""

from __future__ import annotations

import os
from contextlib import suppress

import pytest
from cluster import Cluster, __main__, commands, start
from cluster import cluster as module
from cluster.cluster import BrokenError, NotRootError, NotRunningError
from cluster.commands import MissingProgramsError
from cluster.namespaces import HOLDER
from cluster.processes import Process, Records
from cluster.processes import start as spawn


class Starter:
    """Stands in for what needs root: starts two programs, and fails when told to."""

    def __init__(self):
        self.pids = []
        self.failure = None
        self.policies = []

    def __call__(self, layout, components, *, policy):
        start.write_files(layout)
        self.policies.append(policy)
        for name in (HOLDER, "kubelet"):
            self.pids.append(spawn(["sleep", "100"], layout.logs / f"{name}.log", os.environ))
            Records(layout.records).save(name, Process.of(self.pids[-1]))
        if self.failure:
            raise self.failure

    @property
    def living(self):
        return [pid for pid in self.pids if runs(pid)]


def runs(pid):
    with suppress(ProcessLookupError):
        return Process.of(pid).alive
    return False


@pytest.fixture
def starter(monkeypatch):
    made = Starter()
    monkeypatch.setattr(module, "start", made)
    monkeypatch.setattr(module, "binary", lambda name: name)
    monkeypatch.setattr(module, "require", lambda names: None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    yield made
    for pid in made.pids:
        with suppress(ProcessLookupError):
            Process.of(pid).kill()
        os.waitpid(pid, 0)


@pytest.fixture
def cluster(tmp_path, starter):
    return Cluster(tmp_path / "cluster")


def test_it_runs_from_up_to_down(cluster, starter):
    assert not cluster.running
    assert cluster.up()
    assert cluster.running
    assert len(starter.living) == 2
    cluster.down()
    assert not cluster.running
    assert not starter.living


def test_up_again_starts_nothing(cluster, starter):
    assert cluster.up()
    assert not cluster.up()
    assert len(starter.pids) == 2


def test_who_did_not_start_it_finds_and_ends_it(cluster, starter):
    cluster.up()
    other = Cluster(cluster.layout.directory)
    assert other.running
    assert other.kubeconfig == cluster.layout.kubeconfig
    other.down()
    assert not starter.living


@pytest.mark.parametrize("failure", [RuntimeError("broken"), KeyboardInterrupt()])
def test_half_an_up_is_undone_but_for_its_logs(cluster, starter, failure):
    starter.failure = failure
    with pytest.raises(type(failure)):
        cluster.up()
    assert not starter.living
    assert not cluster.layout.state.exists()
    assert (cluster.layout.logs / "kubelet.log").exists()


def test_up_first_removes_what_a_killed_up_left(cluster, starter):
    cluster.up()
    cluster.layout.ready.unlink()
    first = list(starter.pids)
    assert not cluster.running
    assert cluster.up()
    assert not set(first) & set(starter.living)


def test_up_says_what_has_ended(cluster, starter):
    cluster.up()
    cluster.kill_kubelet()
    with pytest.raises(BrokenError, match="kubelet") as raised:
        cluster.up()
    assert raised.value.dead == ["kubelet"]
    assert len(starter.living) == 1


def test_a_kubelet_that_is_gone_cannot_be_killed_again(cluster):
    cluster.up()
    cluster.kill_kubelet()
    with pytest.raises(ProcessLookupError, match="kubelet"):
        cluster.kill_kubelet()


def test_without_its_holder_it_does_not_run(cluster):
    cluster.up()
    Records(cluster.layout.records).load(HOLDER).kill()
    assert not cluster.running
    with pytest.raises(NotRunningError):
        _ = cluster.kubeconfig


def test_logs_of_the_run_before_are_kept(cluster):
    cluster.up()
    (cluster.layout.logs / "kubelet.log").write_text("first")
    cluster.down()
    assert (cluster.layout.logs / "kubelet.log").read_text() == "first"
    cluster.up()
    assert (cluster.layout.directory / "logs.previous" / "kubelet.log").read_text() == "first"
    cluster.down()
    cluster.up()
    assert (cluster.layout.directory / "logs.previous" / "kubelet.log").read_text() == ""


def test_down_again_does_nothing(cluster):
    cluster.down()
    cluster.down()


@pytest.mark.parametrize("act", [Cluster.kill_kubelet, Cluster.start_kubelet, lambda cluster: cluster.load("x.tar")])
def test_nothing_can_be_asked_of_a_cluster_that_does_not_run(cluster, act):
    with pytest.raises(NotRunningError):
        act(cluster)


@pytest.mark.parametrize("act", [Cluster.up, Cluster.down])
def test_it_needs_root_and_leaves_nothing_without(cluster, monkeypatch, act):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NotRootError):
        act(cluster)
    assert not cluster.layout.directory.exists()


def test_what_is_not_installed_is_named_before_anything_is_made(cluster, monkeypatch):
    monkeypatch.setattr(module, "require", commands.require)
    monkeypatch.setattr(commands, "SEARCH", "/nowhere")
    with pytest.raises(MissingProgramsError, match=r"catatonit.*\.ci/e2e-packages"):
        cluster.up()
    assert not cluster.layout.directory.exists()


class TestCommand:
    def call(self, cluster, *words):
        return __main__.main(["--directory", str(cluster.layout.directory), *words])

    def test_up_prints_the_kubeconfig_and_nothing_else(self, cluster, capsys):
        assert self.call(cluster, "up") == 0
        out, err = capsys.readouterr()
        assert out == f"{cluster.layout.kubeconfig}\n"
        assert "is ready" in err
        assert self.call(cluster, "up") == 0
        out, err = capsys.readouterr()
        assert out == f"{cluster.layout.kubeconfig}\n"
        assert "runs already" in err

    def test_policies_are_enforced_unless_told_otherwise(self, cluster, starter):
        self.call(cluster, "up")
        self.call(cluster, "down")
        self.call(cluster, "up", "--no-policy")
        assert starter.policies == [True, False]

    def test_what_is_wrong_is_said_in_a_sentence(self, cluster, capsys):
        assert self.call(cluster, "kubeconfig") == 1
        assert capsys.readouterr().err == f"cluster: no cluster runs in {cluster.layout.directory}; `up` starts one\n"

    def test_what_the_machine_lacks_ends_with_69(self, cluster, monkeypatch, capsys):
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        assert self.call(cluster, "up") == os.EX_UNAVAILABLE
        assert capsys.readouterr().err.endswith("run this as root\n")

    def test_who_is_interrupted_leaves_nothing_and_says_so(self, cluster, starter, capsys):
        starter.failure = KeyboardInterrupt()
        assert self.call(cluster, "up") == 130
        assert capsys.readouterr().err == "cluster: interrupted\n"
        assert not starter.living

    def test_a_failed_up_is_told(self, cluster, starter, capsys):
        starter.failure = RuntimeError("no network")
        assert self.call(cluster, "up") == 1
        assert capsys.readouterr().err == "cluster: no network\n"
