"""A power cut before each system call of a save, and what a disk may have done with what was not synced."""

import os
import stat

import numpy as np
import pytest

from shieldwall.contract.privacy import PrivacyMode, Spend
from shieldwall.contract.records import Outcome, RoundRecord
from shieldwall.runtime.checkpoint import CheckpointStore
from shieldwall.runtime.model import Model

KEPT, LOST = "all reached the disk", "only what was synced"
TORN, RENAMED = "names reached the disk, bytes did not", "renames reached the disk, new names did not"
CALLS = ("open", "write", "fsync", "ftruncate", "replace", "link", "unlink")


class PowerCut(BaseException):
    """No handler of the program under test may catch it."""


class Disk:
    """Counts system calls below a directory, cuts the power before call ``cut``, and knows what was synced when."""

    def __init__(self, directory, monkeypatch, cut):
        self.directory, self.cut, self.calls = directory, cut, 0
        self.real = {name: getattr(os, name) for name in CALLS}
        self.paths = {}
        self.identity = {}  # inode → a file; numbers are used again after an unlink
        self.synced = {}  # file → content on disk
        self.entries = {}  # name → file, on disk
        self.renamed = {}  # the same, since the directory was synced
        for path in directory.iterdir():
            self.synced[self.file(path, new=True)] = path.read_bytes()
        self.sync_directory()
        for name in CALLS:
            monkeypatch.setattr(os, name, getattr(self, name))

    def file(self, path, *, new=False):
        inode = path.stat().st_ino
        if new:
            self.identity[inode] = object()
        return self.identity[inode]

    def sync_directory(self):
        self.entries = {path.name: self.file(path) for path in self.directory.iterdir()}
        self.renamed = {}

    def tick(self):
        if self.calls == self.cut:
            raise PowerCut
        self.calls += 1

    def open(self, path, flags, mode=0o777, **options):
        self.tick()
        new = bool(flags & os.O_CREAT) and not path.exists()
        descriptor = self.real["open"](path, flags, mode, **options)
        self.paths[descriptor] = path
        if new:
            self.file(path, new=True)
        return descriptor

    def write(self, descriptor, data):
        if self.calls == self.cut:
            self.real["write"](descriptor, data[: len(data) // 2])
        self.tick()
        return self.real["write"](descriptor, data)

    def fsync(self, descriptor):
        self.tick()
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            self.sync_directory()
        else:
            path = self.paths[descriptor]
            self.synced[self.file(path)] = path.read_bytes()

    def ftruncate(self, descriptor, length):
        self.tick()
        self.real["ftruncate"](descriptor, length)

    def replace(self, source, target):
        self.tick()
        self.real["replace"](source, target)
        self.renamed[target.name] = self.file(target)

    def link(self, source, target, **options):
        self.tick()
        self.real["link"](source, target, **options)

    def unlink(self, path, **options):
        self.tick()
        self.real["unlink"](path, **options)

    def after(self, how, target):
        """Write to ``target`` what the next process would find."""
        target.mkdir()
        if how == KEPT:
            found = {path.name: path.read_bytes() for path in self.directory.iterdir()}
        elif how in (LOST, RENAMED):
            entries = self.entries | (self.renamed if how == RENAMED else {})
            found = {name: self.synced.get(file, b"") for name, file in entries.items()}
        else:
            found = {path.name: self.synced.get(self.file(path), b"") for path in self.directory.iterdir()}
        for name, content in found.items():
            (target / name).write_bytes(content)


def model(round_):
    return Model.of({"w": np.full(50, round_, np.float32), "n": np.array(round_)})


def record(round_, outcome=Outcome.RELEASED):
    return RoundRecord(
        run_id="1", round=round_, attempt=1, outcome=outcome, opened=0, seconds=1, rule="Krum", admitted=9, byzantine=1,
        replies=(),
    )  # fmt: skip


def cost(round_):
    return Spend(
        run_id="1", round=round_, attempt=1, mode=PrivacyMode.CLIENT_LEVEL_CENTRAL, noise_multiplier=3.5, releases=1,
        clients=("a", "b"), clip=1.0,
    )  # fmt: skip


def paid(store, round_):
    store.spend(cost(round_))
    store.save(model(round_), record(round_))


def save(before):
    def act(store):
        paid(store, before + 1)

    return before, act, before + 1


def note(before):
    def act(store):
        store.note(record(before + 1, Outcome.REPEATED))

    return before, act, before


SCENARIOS = {"first": save(0), "second": save(1), "with pruning": save(4), "a repeated attempt": note(2)}


def attempt(directory, scenario, monkeypatch, cut):
    """Prepare a store, cut the power; returns the disk and whether the program had its answer."""
    before, act, _ = SCENARIOS[scenario]
    store = CheckpointStore(directory, keep=1)
    for round_ in range(1, before + 1):
        paid(store, round_)
    with monkeypatch.context() as patch:
        disk = Disk(directory, patch, cut)
        try:
            act(store)
        except PowerCut:
            return disk, False
    return disk, True


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_power_cut_anywhere_leaves_the_old_release_or_the_new(tmp_path, monkeypatch, scenario):
    before, _, after = SCENARIOS[scenario]
    cut, answered, seen = 0, False, set()
    while not answered:
        disk, answered = attempt(tmp_path / f"{cut}", scenario, monkeypatch, cut)
        for how in (KEPT, LOST, TORN, RENAMED):
            target = tmp_path / f"{cut}-{how}"
            disk.after(how, target)
            seen.add(check(target, before, after, must_be_new=answered))
        cut += 1
    assert cut > 10
    assert seen == {"old", "new"}


def test_a_power_cut_anywhere_leaves_a_spend_that_was_answered(tmp_path, monkeypatch):
    monkeypatch.setitem(SCENARIOS, "ask", (2, lambda store: store.spend(cost(3)), 2))
    cut, answered, seen = 0, False, set()
    while not answered:
        disk, answered = attempt(tmp_path / f"{cut}", "ask", monkeypatch, cut)
        for how in (KEPT, LOST, TORN, RENAMED):
            disk.after(how, tmp_path / f"{cut}-{how}")
            store = CheckpointStore(tmp_path / f"{cut}-{how}", keep=1)
            rounds = [spend.round for spend in store.spends]
            assert rounds == [1, 2, 3] or (rounds == [1, 2] and not answered)
            assert (store.latest().round, len(store.records)) == (2, 2)
            seen.add(len(rounds))
        cut += 1
    assert seen == {2, 3}


def check(directory, before, after, *, must_be_new):
    store = CheckpointStore(directory, keep=1)
    release, records = store.latest(), store.records
    rounds = [r.round for r in records]
    state = "new" if len(records) == before + 1 else "old"
    assert rounds == list(range(1, before + 1 + (state == "new")))
    assert state == "new" or not must_be_new
    newest = after if state == "new" else before
    if newest == 0:
        assert release is None
    else:
        assert (release.round, release.lost) == (newest, ())
        assert release.model.sha256 == model(newest).sha256
        assert records[newest - 1].model_sha256 == release.sha256
        assert (directory / "model.npz").read_bytes() == (directory / f"round-{newest}.npz").read_bytes()
    spent = [spend.round for spend in store.spends]
    assert spent in (list(range(1, newest + 1)), list(range(1, after + 1))), "each release was paid for before it"
    left = {path.name for path in directory.iterdir()} - {"head", "ledger.jsonl", "privacy.jsonl", "model.npz"}
    assert left == {f"round-{n}.npz" for n in (newest - 1, newest) if n > 0}
    store.save(model(newest + 1), record(newest + 1))
    assert CheckpointStore(directory).latest().round == newest + 1
    return state
