"""Flower's SQLite database: copied while it is in use, and put back when it is lost or damaged.

What is lost with it are node ids and runs. Both heal without a copy: nodes are registered again, under new ids, and
the steward starts a run that goes on from the last released round. A copy spares the clients that: they keep their
ids. A copy is older than what was lost, by minutes. Nodes registered since are registered again; a run started since
is unknown to it, and one that ended since looks as if it ran until its heartbeats are missed. In either case the
steward starts a continuation run, and no round is lost: model and ledger are on the aggregator's volume. Whoever was
denied since stays denied: that list is the gate's own.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Final

_BUSY_SECONDS: Final = 10.0
_COMPANIONS: Final = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database; applied to another one they would damage it (sqlite.org/howtocorrupt.html)."""
_ROOM: Final = 2
"""A copy is made only while the volume has so many times its size free."""


class NotCopiedError(RuntimeError):
    """There is no new copy; the one of before, if any, stays. The message is a sentence."""


class Restored(StrEnum):
    """What was found at a start."""

    SOUND = "sound"
    """The database is good; nothing was done."""
    FROM_BACKUP = "from-backup"
    """It was missing or damaged; the copy is in its place."""
    LOST = "lost"
    """It was missing or damaged, and there is no good copy: Flower begins with an empty one."""


def copy(database: Path, backup: Path) -> None:
    """Put a sound, compact copy of ``database``, which others may be writing, at ``backup``, whole or not at all.

    ``VACUUM INTO`` reads in one transaction, as the backup API does, and leaves out the free pages: Flower keeps the
    messages of a round in its database, so most of a file is free pages after it. Raises NotCopiedError.
    """
    fresh = _beside(backup, ".new")
    try:
        _require_room(database)
        for path in (fresh, *_companions(fresh)):
            path.unlink(missing_ok=True)
        with closing(_reader(database)) as source:
            source.execute("VACUUM INTO ?", (str(fresh),))
        if not is_sound(fresh):
            raise NotCopiedError("The copy is damaged; so may be the database.")
        shutil.copymode(database, fresh)
        _sync(fresh)
        fresh.replace(backup)
        _sync(backup.parent)
    except (OSError, sqlite3.Error) as error:
        raise NotCopiedError(f"The database could not be copied: {error}.") from error
    finally:
        fresh.unlink(missing_ok=True)


def restore(database: Path, backup: Path) -> Restored:
    """See to it that ``database`` is sound or absent before Flower opens it; nobody may have it open.

    A damaged file is kept aside as ``<name>.damaged``. Killed at any moment and called again, it ends the same: the
    copy is put in place last, in one step, when nothing of the old database is left that could mix with it. Raises
    OSError, or sqlite3.Error when a file cannot be read, which says nothing about its content.
    """
    if is_sound(database):
        return Restored.SOUND
    _set_aside(database)
    if not is_sound(backup):
        _set_aside(backup)
        return Restored.LOST
    fresh = _beside(database, ".new")
    shutil.copyfile(backup, fresh)
    _sync(fresh)
    fresh.replace(database)
    _sync(database.parent)
    return Restored.FROM_BACKUP


def is_sound(database: Path) -> bool:
    """Whether it is there, has tables and passes ``PRAGMA quick_check``.

    Raises OSError or sqlite3.Error when that cannot be told.
    """
    if not database.exists() or database.stat().st_size == 0:
        return False
    try:
        with closing(_reader(database)) as connection:
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return bool(tables and connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            return False
        raise


def version_of(database: Path) -> tuple[int, int, int, int] | None:
    """Changes whenever something was written; None when there is no database."""
    try:
        main = database.stat()
    except FileNotFoundError:
        return None
    try:
        log = Path(f"{database}-wal").stat()
    except FileNotFoundError:
        return main.st_mtime_ns, main.st_size, 0, 0
    return main.st_mtime_ns, main.st_size, log.st_mtime_ns, log.st_size


def _reader(database: Path) -> sqlite3.Connection:
    """A connection that never makes a database; it may write, since the log of a killed writer has to be taken over."""
    connection = sqlite3.connect(f"{database.resolve().as_uri()}?mode=rw", uri=True, timeout=_BUSY_SECONDS)
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _require_room(database: Path) -> None:
    size = database.stat().st_size
    free = shutil.disk_usage(database.parent).free
    if free < _ROOM * size:
        raise NotCopiedError(f"The volume has {free >> 20} MiB free, too few for a copy of {size >> 20} MiB.")


def _set_aside(database: Path) -> None:
    """Keep what is left of a database for people to look at; of several, the last."""
    for path in (database, *_companions(database)):
        if path.exists():
            path.replace(_beside(path, ".damaged"))
    if database.parent.exists():
        _sync(database.parent)


def _companions(database: Path) -> tuple[Path, ...]:
    return tuple(_beside(database, suffix) for suffix in _COMPANIONS)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
