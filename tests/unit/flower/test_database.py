"""A database that is copied in use, lost, damaged, and put back, with a kill at every step."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from shieldwall.runtime.flower import database as module
from shieldwall.runtime.flower.database import NotCopiedError, Restored, copy, is_sound, restore, version_of


@pytest.fixture
def database(tmp_path):
    return tmp_path / "state.db"


@pytest.fixture
def backup(tmp_path):
    return tmp_path / "backup.db"


def fill(path, *values):
    """As Flower writes: with a write-ahead log."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE IF NOT EXISTS node (id INTEGER PRIMARY KEY, key TEXT)")
        connection.executemany("INSERT INTO node (key) VALUES (?)", [(value,) for value in values])


def keys(path):
    with closing(sqlite3.connect(path)) as connection:
        return [key for (key,) in connection.execute("SELECT key FROM node ORDER BY id")]


def damage(path):
    """A page in the middle is noise."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    content[4096:8192] = b"\xa5" * 4096
    path.write_bytes(content)


def test_a_copy_holds_what_is_only_in_the_log_of_an_open_database(database, backup):
    fill(database, "berlin")
    with closing(sqlite3.connect(database)) as writer:
        writer.execute("INSERT INTO node (key) VALUES ('paris')")
        writer.commit()
        writer.execute("INSERT INTO node (key) VALUES ('not yet')")
        copy(database, backup)
        writer.rollback()
    assert keys(backup) == ["berlin", "paris"]
    assert sorted(each.name for each in database.parent.iterdir()) == ["backup.db", "state.db"]


def test_a_copy_leaves_out_what_was_freed(database, backup):
    fill(database, *("x" * 4000 for _ in range(200)))
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM node WHERE id > 1")
    copy(database, backup)
    assert backup.stat().st_size < 20_000 < database.stat().st_size


def test_a_sound_database_is_left_alone(database, backup):
    fill(backup, "old")
    fill(database, "new")
    assert restore(database, backup) is Restored.SOUND
    assert keys(database) == ["new"]


def test_nothing_at_all_is_a_first_start(database, backup):
    assert restore(database, backup) is Restored.LOST
    assert not list(database.parent.iterdir())


@pytest.mark.parametrize("empty", [False, True])
def test_a_missing_database_comes_back(database, backup, empty):
    fill(backup, "berlin")
    if empty:
        database.touch()
    assert restore(database, backup) is Restored.FROM_BACKUP
    assert keys(database) == keys(backup) == ["berlin"]


@pytest.mark.parametrize("damaged", [damage, lambda path: path.write_bytes(b"not a database" * 1000)])
def test_a_damaged_database_is_kept_aside_and_replaced(database, backup, damaged):
    fill(database, *("x" * 3000 for _ in range(20)))
    copy(database, backup)
    damaged(database)
    evidence = database.read_bytes()
    assert restore(database, backup) is Restored.FROM_BACKUP
    assert len(keys(database)) == 20
    assert database.with_name("state.db.damaged").read_bytes() == evidence


def test_the_log_of_a_lost_database_is_not_applied_to_the_copy(database, backup):
    fill(backup, "berlin")
    fill(database, "a", "b")
    with closing(sqlite3.connect(database)) as writer:
        writer.execute("INSERT INTO node (key) VALUES ('c')")
        writer.commit()
        log = Path(f"{database}-wal").read_bytes()
    database.unlink()
    Path(f"{database}-wal").write_bytes(log)
    assert restore(database, backup) is Restored.FROM_BACKUP
    assert not Path(f"{database}-wal").exists()
    assert keys(database) == ["berlin"]


def test_when_both_are_damaged_flower_begins_anew_and_both_are_kept(database, backup):
    for path in (database, backup):
        path.write_bytes(b"not a database" * 1000)
    assert restore(database, backup) is Restored.LOST
    assert sorted(each.name for each in database.parent.iterdir()) == ["backup.db.damaged", "state.db.damaged"]


def test_a_file_that_cannot_be_read_is_not_called_damaged(database, backup):
    database.mkdir()
    (database / "something").touch()
    with pytest.raises(sqlite3.OperationalError):
        restore(database, backup)
    assert database.exists()


class KilledError(Exception):
    """The process ended here."""


shutil_copyfile = shutil.copyfile


@pytest.fixture
def kill_at(monkeypatch):
    """Ends the process at the n-th of the steps that change something, in the midst of copying; counts them."""

    def kill_at(number):
        count = 0

        def step(real):
            def stepped(*arguments, **more):
                nonlocal count
                count += 1
                if count == number:
                    if real is shutil_copyfile:
                        source, target = arguments
                        target.write_bytes(source.read_bytes()[:5000])
                    raise KilledError
                return real(*arguments, **more)

            return stepped

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", step(Path.replace))
            patch.setattr(module.shutil, "copyfile", step(shutil_copyfile))
            patch.setattr(module.os, "fsync", step(os.fsync))
            yield lambda: count

    return contextmanager(kill_at)


@pytest.mark.parametrize("lost", ["missing", "damaged", "log left"])
def test_killed_at_any_step_of_a_restore_the_next_one_ends_the_same(tmp_path, kill_at, lost):
    def scene(directory):
        directory.mkdir()
        database, backup = directory / "state.db", directory / "backup.db"
        fill(backup, "berlin")
        if lost == "damaged":
            database.write_bytes(b"not a database" * 1000)
        if lost == "log left":
            Path(f"{database}-wal").write_bytes(b"left")
        return database, backup

    with kill_at(0) as count:
        restore(*scene(tmp_path / "whole"))
    steps = count()
    assert steps >= 4
    for number in range(1, steps + 1):
        database, backup = scene(tmp_path / f"killed-{number}")
        with kill_at(number), pytest.raises(KilledError):
            restore(database, backup)
        assert restore(database, backup) in {Restored.FROM_BACKUP, Restored.SOUND}
        assert keys(database) == keys(backup) == ["berlin"]
        assert not Path(f"{database}-wal").exists()
        assert database.with_name("state.db.damaged").exists() == (lost == "damaged")


def test_killed_at_any_step_of_a_copy_the_old_copy_stays_until_the_new_one_is_there(database, backup, kill_at):
    fill(database, "berlin")
    copy(database, backup)
    fill(database, "paris")
    with kill_at(0) as count:
        copy(database, backup.with_name("other.db"))
    for number in range(1, count() + 1):
        with kill_at(number), pytest.raises(KilledError):
            copy(database, backup)
        assert keys(backup) in (["berlin"], ["berlin", "paris"])
    copy(database, backup)
    assert keys(backup) == ["berlin", "paris"]


def test_a_damaged_database_does_not_replace_a_good_copy(database, backup):
    fill(database, *("x" * 3000 for _ in range(20)))
    copy(database, backup)
    good = backup.read_bytes()
    damage(database)
    with pytest.raises(NotCopiedError):
        copy(database, backup)
    assert backup.read_bytes() == good
    assert not backup.with_name("backup.db.new").exists()


def test_neither_does_one_without_tables_or_none(database, backup):
    fill(backup, "berlin")
    for make in (lambda: None, database.touch):
        make()
        with pytest.raises(NotCopiedError):
            copy(database, backup)
        assert keys(backup) == ["berlin"]


def test_a_copy_never_fills_the_volume(database, backup, monkeypatch):
    fill(database, "berlin")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 99, 1))
    with pytest.raises(NotCopiedError, match="free"):
        copy(database, backup)


def test_its_version_changes_with_every_write_and_with_nothing_else(database):
    assert version_of(database) is None
    fill(database, "berlin")
    with closing(sqlite3.connect(database)) as writer:
        writer.execute("SELECT * FROM node")
        before = version_of(database)
        assert version_of(database) == before
        writer.execute("INSERT INTO node (key) VALUES ('paris')")
        writer.commit()
        assert version_of(database) != before


WRITER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=30)
number = 0
while True:
    number += 1
    connection.execute("INSERT INTO node (key) VALUES (?)", (str(number),))
    connection.commit()
    print(number, flush=True)
"""


@pytest.mark.parametrize("round_", range(3))
def test_copies_of_a_database_that_another_process_writes_and_is_killed_in(database, backup, round_):
    fill(database, "0")
    with subprocess.Popen([sys.executable, "-c", WRITER, str(database)], stdout=subprocess.PIPE, text=True) as writer:
        told = 0
        while told < 20 * (round_ + 1):
            told = int(writer.stdout.readline())
        copy(database, backup)
        writer.send_signal(signal.SIGKILL)
        last = int([told, *writer.communicate()[0].split()][-1])
    held = [int(key) for key in keys(backup)]
    assert held == list(range(len(held)))
    assert len(held) > told
    assert restore(database, backup) is Restored.SOUND
    assert len(keys(database)) >= last
    assert is_sound(backup)
