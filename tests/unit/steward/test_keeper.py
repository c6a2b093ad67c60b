"""When Flower's database is copied."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from shieldwall.runtime.steward.keeper import AGAIN, EVERY, Keeper
from shieldwall.runtime.steward.metrics import registry_for, render


class Setting:
    def __init__(self, office, directory):
        self.office, self.now = office, 1000.0
        self.database, self.backup = directory / "state.db", directory / "backup.db"
        self.keeper = self.fresh()

    def fresh(self):
        self.keeper = Keeper(self.office, self.database, self.backup, lambda: self.now)
        return self.keeper

    def write(self, text):
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute("CREATE TABLE IF NOT EXISTS run (name TEXT)")
            connection.execute("INSERT INTO run VALUES (?)", (text,))

    async def copied(self):
        """Whether a look makes a copy."""
        self.office.backed_up = None
        await self.keeper.look()
        return self.office.backed_up == self.now


@pytest.fixture
def setting(office, tmp_path):
    return Setting(office, tmp_path / "office")


@pytest.fixture(autouse=True)
def directory(tmp_path):
    (tmp_path / "office").mkdir(exist_ok=True)


async def test_it_is_copied_soon_after_each_start_of_a_run(setting):
    setting.write("a")
    assert not await setting.copied()
    for run in ("1", "2"):
        setting.write(run)
        setting.office.remember(setting.office.run.started(run, 0))
        assert await setting.copied()
        assert not await setting.copied()


async def test_it_is_copied_every_five_minutes_while_it_changes(setting):
    setting.write("a")
    setting.now += EVERY
    assert await setting.copied()
    setting.now += EVERY
    assert not await setting.copied()
    setting.write("b")
    assert await setting.copied()
    setting.write("c")
    setting.now += EVERY - 1
    assert not await setting.copied()


async def test_without_a_database_nothing_is_done(setting):
    setting.now += EVERY
    assert not await setting.copied()
    assert not setting.backup.exists()


async def test_a_copy_that_fails_is_told_once_and_tried_again(setting, caplog):
    setting.database.write_bytes(b"not a database" * 1000)
    setting.now += EVERY
    for _ in range(3):
        assert not await setting.copied()
        setting.now += AGAIN
    assert len(caplog.records) == 1
    setting.database.unlink()
    setting.write("a")
    assert await setting.copied()


async def test_a_steward_that_starts_again_copies_for_no_old_run_unless_there_is_no_copy(setting):
    setting.write("a")
    setting.office.remember(setting.office.run.started("1", 0))
    setting.fresh()
    assert await setting.copied()
    setting.fresh()
    assert not await setting.copied()


async def test_the_time_of_the_last_copy_is_a_metric(setting):
    name = b"shieldwall_superlink_backup_timestamp_seconds"
    assert name not in render(registry_for(setting.office))
    setting.write("a")
    setting.now += EVERY
    await setting.keeper.look()
    assert name + b" 1300.0" in render(registry_for(setting.office))
