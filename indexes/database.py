"""SQLite under the catalog: connections, snapshots, transactions, and the version that a file is brought up to."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import chain
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from embed.errors import CollectionDamaged, CollectionError
from embed.faults import machine_fault
from indexes.schema import SCHEMA, VERSION
from indexes.where import install

__all__ = ["BLOCK", "Database"]

BLOCK: Final = 65536  # rows that are fetched at a time


class _Closed:
    """Stands where a connection was."""

    def __init__(self, path: Path) -> None:
        self._name = path.parent.name

    def __getattr__(self, _: str) -> Any:
        raise CollectionError(f"the collection {self._name} is closed: open it again")

    def close(self) -> None:
        """Nothing more to close."""


class _Thread(threading.local):
    """The connection that a thread's snapshot or transaction has."""

    connection: sqlite3.Connection | None = None

    @contextmanager
    def using(self, connection: sqlite3.Connection) -> Iterator[None]:
        before, self.connection = self.connection, connection
        try:
            yield
        finally:
            self.connection = before


@contextmanager
def _reading(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")


class Database:
    """One SQLite file. Readers see the last commit while a writer goes on (write-ahead log).

    Several threads may use it: each snapshot has a connection of its own, all else one that they share in turns.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self.path = path
        self._lock = threading.RLock()  # of the connection that all share; whoever writes holds it for long
        self._pool = threading.Lock()  # of those of snapshots; none is taken while it is held
        self._thread = _Thread()
        self._idle: list[sqlite3.Connection] = []  # connections of snapshots that are over
        self._noted: set[str] = set()  # fields that this transaction has met
        self._alone = False  # whether what the file lacks was made in the memory of the one connection
        self._shared: sqlite3.Connection
        self._means = True  # whether there are texts yet: not in an earlier version that is being brought up
        if not create and not path.is_file():
            raise CollectionDamaged(f"{path}: the catalog is gone; index again into a new collection")
        try:
            self._closed_well = self._stands()
            self._shared = self._connect()
            if create:
                self._db.execute("PRAGMA journal_mode = WAL")
            version = self._version()
            if version == 0 and create:
                self._db.executescript(f"BEGIN;{SCHEMA}PRAGMA user_version = 1;")
                self._upgrade("main")
                self._db.execute("COMMIT")
                version = VERSION
            if 1 <= version < VERSION:
                version = self._bring_up()
        except sqlite3.DatabaseError as error:
            if (fault := machine_fault(error, str(path))) is not None:
                raise fault from None
            raise CollectionDamaged(f"{path}: not a readable catalog: {error}") from None
        if version > VERSION:
            raise CollectionError(
                f"{path}: made by a newer analogon, with catalog version {version}; this one reads versions 1 to "
                f"{VERSION}: update analogon"
            )
        if version != VERSION:
            raise CollectionDamaged(f"{path}: not a catalog: version {version}; there are versions 1 to {VERSION}")

    def _stands(self) -> tuple[int, int] | None:
        """When a catalog that can be read as it stands was written, and how long it is; None for any other.

        A write-ahead log needs a file of shared memory beside it, which a read-only folder cannot take; a catalog that
        was closed well has no log left, until somebody else writes who may.
        """
        if os.access(self.path.parent, os.W_OK) or self.path.with_name(f"{self.path.name}-wal").exists():
            return None
        status = self.path.stat()
        return status.st_mtime_ns, status.st_size

    def _connect(self) -> sqlite3.Connection:
        uri = self.path.resolve().as_uri() + ("?immutable=1" if self._closed_well else "")
        made = sqlite3.connect(uri, timeout=30.0, isolation_level=None, check_same_thread=False, uri=True)
        made.execute("PRAGMA synchronous = FULL")
        install(made)
        return made

    @property
    def _db(self) -> sqlite3.Connection:
        return self._thread.connection or self._shared

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def _bring_up(self) -> int:
        """Take a catalog of an older version to the present one, all or nothing; gives its version then.

        Where the file cannot be written, what it lacks is made in memory for as long as it is open.
        """
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._upgrade("main")
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_READONLY:
                raise
            self._upgrade("temp")
            self._alone = True
            return VERSION
        return self._version()

    def _bury_the_died(self) -> None:
        """What a transaction does last: note which rows of vector files died in it."""
        raise NotImplementedError

    def _upgrade(self, schema: str) -> None:
        """Add what the catalog's version has not yet, in its file or ("temp") in memory."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connections; what is asked of the catalog afterwards raises ``CollectionError``."""
        with self._lock, self._pool:
            for one in (self._shared, *self._idle):
                one.close()
            self._idle.clear()
            self._shared = cast(sqlite3.Connection, _Closed(self.path))

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return isinstance(self._shared, _Closed)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and on disk when it returns."""
        with self._lock, self._thread.using(self._shared):
            self._db.execute("BEGIN IMMEDIATE")
            self._noted = set()
            try:
                yield
                self._bury_the_died()
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # SQLite takes some back by itself, such as where the disk is full
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything that this thread reads inside is of one moment, whatever anybody commits meanwhile.

        It holds up nobody: neither a writer nor another thread that reads.
        """
        if self._thread.connection is not None:
            yield
        elif self._alone:
            with self._lock, self._thread.using(self._shared), _reading(self._shared):
                yield
        else:
            one = self._take()
            try:
                with self._thread.using(one), _reading(one):
                    yield
            finally:
                with self._pool:
                    if self.closed or one.in_transaction:
                        one.close()
                    else:
                        self._idle.append(one)

    def _take(self) -> sqlite3.Connection:
        """A connection for a snapshot. Raises ``CollectionError`` and ``MachineError``."""
        if self._closed_well is not None:
            self._look_again()
        with self._pool:
            if self.closed:
                self._shared.execute  # noqa: B018  raises that it is closed
            try:
                return self._idle.pop() if self._idle else self._connect()
            except (sqlite3.DatabaseError, OSError) as error:
                raise self._failure(error) from None

    def _look_again(self) -> None:
        """Open a catalog that was read as it stood anew, where somebody has written it since."""
        with self._lock, self._pool:
            try:
                if not self.closed and self._closed_well != (now := self._stands()):
                    self._closed_well = now
                    for one in (self._shared, *self._idle):
                        one.close()
                    self._idle.clear()
                    self._shared = self._connect()
            except (sqlite3.DatabaseError, OSError) as error:
                raise self._failure(error) from None

    def _failure(self, error: Exception) -> Exception:
        return machine_fault(error, str(self.path)) or CollectionDamaged(f"{self.path}: {error}")

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a SELECT."""
        try:
            if (own := self._thread.connection) is not None:
                return own.execute(sql, parameters).fetchall()
            with self._lock:
                return self._shared.execute(sql, parameters).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._failure(error) from None

    def _numbers(self, sql: str, parameters: Sequence[Any] = ()) -> npt.NDArray[np.int64]:
        """The whole numbers that a SELECT of one column gives, int64 ``(n,)``; 8 bytes each, and a block of rows."""
        blocks = [np.zeros(0, np.int64)]
        try:
            with self._lock if self._thread.connection is None else nullcontext():
                cursor = self._db.execute(sql, parameters)
                while some := cursor.fetchmany(BLOCK):
                    blocks.append(np.fromiter(chain.from_iterable(some), np.int64, len(some)))
        except sqlite3.DatabaseError as error:
            raise self._failure(error) from None
        return np.concatenate(blocks)
