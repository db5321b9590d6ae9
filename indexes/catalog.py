"""The catalog: SQLite's account of what a collection holds, where it came from, and what failed and why.

::

    source   a path (and a table's row) -> its content      many sources may share one content
    content  a hash, what the medium knows of itself, a row's text
    item     a part of a content: modality and span          what a hit points at
    vector   (space, modality, row of the vector file) -> item
    done     a content is fully encoded in a space, or why it is not
    failure  a path that could not even be read
    store    which file holds the vectors of (space, modality), and how many of its rows count
    dead     rows of a vector file that lost their vector, in the order in which they did; each only once
    names    the words that each source is called by, for SQLite's full-text search (FTS5)
    text     a different name, folder or caption, by a hash; said: which sources are called by it, how much it counts
    meant    which file holds the vectors of texts in a space, and how many of its rows count
    called   what a source's file is called, in one form for all spellings; parts has its groups of three letters (FTS5)
    tally    how many rows there are of a kind, so that nobody has to count them
    digested a table all of whose rows stand here as its file, by its hash, has them: it need not be read again
    revision another number whenever any of these words change
    label    what a model said of a content: field -> value; no indexing run touches it

A row of a vector file counts only when the catalog says so; what lies behind the last counted row is what a killed
writer left, and is written over by the next one. Those that count live until a commit says that they are dead; none
comes back to life. So (file, rows, how many of them are dead) says which rows live, whatever else was committed.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from embed.errors import CollectionDamaged, CollectionError, escaped, spelled_out
from embed.faults import machine_fault
from embed.media import Media, Modality, Span
from indexes.asking import ID, ByParts, ByWords, Narrowing, by_parts, by_words
from indexes.where import Condition, install, json_path
from indexes.words import file_name, folded, key_of, texts_of, words_of

__all__ = ["Catalog", "Failure", "Item", "Named", "Note", "Pending", "Source", "Store"]

SCHEMA: Final = """
CREATE TABLE content (id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, facts TEXT NOT NULL, text TEXT);
CREATE TABLE source (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL, row INTEGER NOT NULL, content INTEGER NOT NULL REFERENCES content,
    modalities TEXT NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL, metadata TEXT NOT NULL,
    UNIQUE (path, row));
CREATE INDEX source_content ON source (content);
CREATE TABLE item (
    id INTEGER PRIMARY KEY AUTOINCREMENT, content INTEGER NOT NULL REFERENCES content, modality TEXT NOT NULL,
    start REAL NOT NULL, end REAL NOT NULL, text TEXT, UNIQUE (content, modality, start, end));
CREATE TABLE vector (
    space TEXT NOT NULL, modality TEXT NOT NULL, row INTEGER NOT NULL, item INTEGER NOT NULL REFERENCES item,
    PRIMARY KEY (space, modality, row)) WITHOUT ROWID;
CREATE UNIQUE INDEX vector_item ON vector (space, item);
CREATE INDEX vector_by_item ON vector (item);
CREATE TABLE done (
    content INTEGER NOT NULL, space TEXT NOT NULL, modality TEXT NOT NULL, parts INTEGER NOT NULL, error TEXT,
    PRIMARY KEY (content, space, modality)) WITHOUT ROWID;
CREATE TABLE failure (
    path TEXT NOT NULL, row INTEGER NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (path, row)) WITHOUT ROWID;
CREATE TABLE store (
    space TEXT NOT NULL, modality TEXT NOT NULL, file TEXT NOT NULL, rows INTEGER NOT NULL,
    PRIMARY KEY (space, modality)) WITHOUT ROWID;
CREATE TABLE field (name TEXT PRIMARY KEY) WITHOUT ROWID;
"""
NAMES: Final = """
CREATE VIRTUAL TABLE {schema}.names USING fts5(
    name, folder, captions, tokenize = 'porter unicode61 remove_diacritics 2');
CREATE TABLE {schema}.revision (names INTEGER NOT NULL);
INSERT INTO {schema}.revision VALUES (abs(random()));
"""
LABELS: Final = "CREATE TABLE {schema}.label (content INTEGER PRIMARY KEY, fields TEXT NOT NULL);"
STANDING: Final = """
ALTER TABLE {schema}.source ADD COLUMN ctime INTEGER;
ALTER TABLE {schema}.source ADD COLUMN device INTEGER;
"""
# detail=none and columnsize=0: a third of what an index with positions takes; what it proposes is compared with the
# name itself. Triggers keep the tally, so that no way to write can forget it; none where INSERT OR REPLACE is used,
# whose deletions SQLite tells only where recursive triggers are on.
CALLED: Final = """
CREATE TABLE {schema}.called (id INTEGER PRIMARY KEY, stem TEXT NOT NULL, suffix TEXT NOT NULL);
CREATE INDEX {schema}.called_stem ON called (stem);
CREATE VIRTUAL TABLE {schema}.parts USING fts5(
    stem, content = 'called', content_rowid = 'id', tokenize = 'trigram case_sensitive 1', detail = none,
    columnsize = 0);
"""
# Ids of texts are never used twice: each has a row of its own in the file of vectors.
MEANING: Final = """
CREATE TABLE {schema}.text (id INTEGER PRIMARY KEY AUTOINCREMENT, key INTEGER NOT NULL UNIQUE);
CREATE TABLE {schema}.said (
    text INTEGER NOT NULL, source INTEGER NOT NULL, weight REAL NOT NULL, PRIMARY KEY (text, source)) WITHOUT ROWID;
CREATE TABLE {schema}.meant (space TEXT PRIMARY KEY, file TEXT NOT NULL, rows INTEGER NOT NULL) WITHOUT ROWID;
"""
TALLY: Final = """
CREATE TABLE {schema}.tally (kind TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO {schema}.tally SELECT 'content', count(*) FROM content;
INSERT INTO {schema}.tally SELECT 'item', count(*) FROM item;
INSERT INTO {schema}.tally SELECT 'source', count(*) FROM source;
INSERT INTO {schema}.tally SELECT 'source ' || modalities, count(*) FROM source GROUP BY modalities;
INSERT INTO {schema}.tally SELECT 'vector ' || space || ' ' || modality, count(*) FROM vector GROUP BY space, modality;
INSERT INTO {schema}.tally SELECT 'unseen ' || modality, count(*) FROM item WHERE start = -1.0
    AND NOT EXISTS (SELECT 1 FROM vector v WHERE v.item = item.id) GROUP BY modality;
"""
_COUNTED: Final = """
CREATE TRIGGER {table}_counted AFTER INSERT ON {table} BEGIN
    INSERT INTO tally VALUES ({kind}, 1) ON CONFLICT (kind) DO UPDATE SET count = count + 1; END;
CREATE TRIGGER {table}_gone AFTER DELETE ON {table} BEGIN
    UPDATE tally SET count = count - 1 WHERE kind = {kind}; END;
"""
KEPT: Final = (
    _COUNTED.format(table="content", kind="'content'")
    + _COUNTED.format(table="item", kind="'item'")
    + _COUNTED.format(table="source", kind="'source'")
    + """
CREATE TRIGGER source_kind_counted AFTER INSERT ON source BEGIN
    INSERT INTO tally VALUES ('source ' || new.modalities, 1) ON CONFLICT (kind) DO UPDATE SET count = count + 1; END;
CREATE TRIGGER source_kind_gone AFTER DELETE ON source BEGIN
    UPDATE tally SET count = count - 1 WHERE kind = 'source ' || old.modalities; END;
CREATE TRIGGER source_kind_other AFTER UPDATE OF modalities ON source WHEN old.modalities <> new.modalities BEGIN
    UPDATE tally SET count = count - 1 WHERE kind = 'source ' || old.modalities;
    INSERT INTO tally VALUES ('source ' || new.modalities, 1) ON CONFLICT (kind) DO UPDATE SET count = count + 1; END;
CREATE TRIGGER vector_counted AFTER INSERT ON vector BEGIN
    INSERT INTO tally VALUES ('vector ' || new.space || ' ' || new.modality, 1)
        ON CONFLICT (kind) DO UPDATE SET count = count + 1;
    UPDATE tally SET count = count - 1 WHERE kind = (
        SELECT 'unseen ' || modality FROM item WHERE id = new.item AND start = -1.0
        AND 1 = (SELECT count(*) FROM vector WHERE item = new.item)); END;
CREATE TRIGGER vector_gone AFTER DELETE ON vector BEGIN
    UPDATE tally SET count = count - 1 WHERE kind = 'vector ' || old.space || ' ' || old.modality;
    UPDATE tally SET count = count + 1 WHERE kind = (
        SELECT 'unseen ' || modality FROM item WHERE id = old.item AND start = -1.0
        AND NOT EXISTS (SELECT 1 FROM vector WHERE item = old.item)); END;
CREATE TRIGGER item_unseen AFTER INSERT ON item WHEN new.start = -1.0 BEGIN
    INSERT INTO tally VALUES ('unseen ' || new.modality, 1) ON CONFLICT (kind) DO UPDATE SET count = count + 1; END;
CREATE TRIGGER item_unseen_gone AFTER DELETE ON item WHEN old.start = -1.0 BEGIN
    UPDATE tally SET count = count - 1 WHERE kind = 'unseen ' || old.modality
        AND NOT EXISTS (SELECT 1 FROM vector WHERE item = old.id); END;
CREATE INDEX done_error ON done (content) WHERE error IS NOT NULL;
"""
)
# What goes in one transaction stands together in ``dead``, as int64; ``number`` counts the dead up to its last. A
# trigger sees to it that no way to delete a vector forgets its row; ``died`` is empty but within a transaction.
DEAD: Final = """
CREATE TABLE {schema}.dead (file TEXT NOT NULL, number INTEGER NOT NULL, rows BLOB NOT NULL, UNIQUE (file, number));
CREATE TABLE {schema}.died (space TEXT NOT NULL, modality TEXT NOT NULL, row INTEGER NOT NULL);
"""
NOTICED: Final = """
CREATE TRIGGER vector_died AFTER DELETE ON vector BEGIN
    INSERT INTO died VALUES (old.space, old.modality, old.row); END;
"""
DIGESTED: Final = """
CREATE TABLE {schema}.digested (
    path TEXT PRIMARY KEY, digest TEXT NOT NULL, text TEXT NOT NULL, rows INTEGER NOT NULL, standing TEXT NOT NULL)
    WITHOUT ROWID;
"""
# No way to write a row of a table can forget that it is not as its file has it any more.
OTHERWISE: Final = """
CREATE TRIGGER digested_more AFTER INSERT ON source WHEN new.row >= 0 BEGIN
    DELETE FROM digested WHERE path = new.path; END;
CREATE TRIGGER digested_fewer AFTER DELETE ON source WHEN old.row >= 0 BEGIN
    DELETE FROM digested WHERE path = old.path; END;
CREATE TRIGGER digested_other AFTER UPDATE OF path, content, modalities, metadata ON source WHEN old.row >= 0 BEGIN
    DELETE FROM digested WHERE path IN (old.path, new.path); END;
"""
# What a version has that the one before had not; a catalog is brought up to date by these, one after another.
ADDED: Final = {
    2: NAMES,
    3: LABELS,
    4: STANDING,
    5: CALLED + MEANING + TALLY + KEPT,
    6: DEAD + NOTICED,
    7: DIGESTED + OTHERWISE,
}
# The same for one that cannot be written, where a column is not to be added: a view stands before the table.
IN_MEMORY: Final = {
    4: "CREATE VIEW {schema}.source AS SELECT *, NULL AS ctime, NULL AS device FROM main.source;",
    5: CALLED + MEANING + TALLY,
    6: DEAD,
    7: DIGESTED,
}
VERSION: Final = 7
# The contents as a filter sees them: what a model said of one comes before what the medium knows of itself. A scalar
# subquery, since SQLite takes a join for the right side of another one only by reading all of it.
CONTENT: Final = (
    "(SELECT k.id, k.text, ifnull(json_patch(k.facts, (SELECT l.fields FROM label l WHERE l.content = k.id)), k.facts) "
    "AS facts FROM content k)"
)
STORES: Final = (
    "SELECT space, modality, file, rows, ifnull((SELECT max(number) FROM dead d WHERE d.file = store.file), 0) "
    "FROM store"
)
# Of a path: is it this one, or below it? A range, which the index on paths answers: a run has a root for each file that
# a shell's *.wav names.
BELOW: Final = "(path = ? OR (path > ? AND path < ?))"
BLOCK: Final = 65536  # rows that are fetched at a time
NO_SPAN: Final = -1.0
NO_ROW: Final = -1


@dataclass(frozen=True, slots=True)
class Source:
    """Where a content was found: a path (and a table's row), with the file's size and mtime in nanoseconds.

    ``ctime``, in nanoseconds, is when anything of the file changed last, and ``device`` the file system of the folder
    that it lies in (``st_dev``); None where that is not known.
    """

    id: int
    path: str
    row: int | None
    content: int
    size: int
    mtime: int
    modalities: tuple[Modality, ...]
    metadata: dict[str, Any]
    ctime: int | None = None
    device: int | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """A part of a content, with every source that holds it and what is known of it.

    ``facts`` are what the medium knows of itself, ``labels`` what a model said of it.
    """

    id: int
    content: int
    modality: Modality
    span: Span | None
    text: str | None
    sources: tuple[Source, ...]
    facts: dict[str, Any]
    labels: dict[str, Any]

    @property
    def metadata(self) -> dict[str, Any]:
        """The labels, and the columns that side tables gave, which win; of several sources the first one's."""
        columns = [source.metadata for source in reversed(self.sources)]
        return {name: value for fields in (self.labels, *columns) for name, value in fields.items()}

    @property
    def media(self) -> Media:
        """What the item is, as something that can be encoded or shown again."""
        source = self.sources[0]
        return Media(self.modality, path=source.path, text=self.text, span=self.span, row=source.row)


@dataclass(frozen=True, slots=True)
class Failure:
    """A path (and a table's row) that could not be indexed, wholly or (``partly``) to its end, and why."""

    path: str
    reason: str
    row: int | None = None
    partly: bool = False

    def __str__(self) -> str:
        return escaped(f"{'partly indexed' if self.partly else 'skipped'} {_place(self.path, self.row)}: {self.reason}")

    def to_json(self) -> dict[str, Any]:
        """Every field by its name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Note:
    """What should be known of a path (and a table's row) that was indexed: what was dropped, guessed or mixed away."""

    path: str
    reason: str
    row: int | None = None

    def __str__(self) -> str:
        return escaped(f"{_place(self.path, self.row)}: {self.reason}")

    def to_json(self) -> dict[str, Any]:
        """Every field by its name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Pending:
    """A content that a space has not yet, and one of the sources to read it from."""

    content: int
    media: Media
    size: int
    mtime: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Store:
    """The vector file of one (space, modality), how many of its rows count, and how many of those are dead."""

    space: str
    modality: Modality
    file: str
    rows: int
    dead: int = 0


@dataclass(frozen=True, slots=True)
class Named:
    """A content of one modality that was found by its name: the first of its items, and the source of that name."""

    source: int
    item: int
    content: int
    modality: Modality


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


class Catalog:
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
        self._renamed = False  # whether it has changed what anything is called
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

    def _upgrade(self, schema: str) -> None:
        """Add what the catalog's version has not yet, in its file or ("temp") in memory."""
        for version in range(self._version() + 1, VERSION + 1):  # none, where another process came first
            added = IN_MEMORY.get(version, ADDED[version]) if schema == "temp" else ADDED[version]
            for statement in _statements(added.format(schema=schema)):
                self._db.execute(statement)
            if ADDED[version] == NAMES:
                self._means = False
                for (source,) in self._db.execute("SELECT id FROM source").fetchall():
                    self._put_words(source)
                self._means = True
            if version == 5:
                self._call_all()
            if ADDED[version].startswith(DEAD):
                for store in self.stores():
                    live = self.live_rows(store.space, store.modality)
                    self._bury(store.file, np.setdiff1d(np.arange(store.rows), live, assume_unique=True))
            if schema == "main":
                self._db.execute(f"PRAGMA main.user_version = {version}")

    def _call_all(self) -> None:
        for number, name in enumerate(("stem", "suffix")):
            self._db.create_function(f"called_{name}", 1, lambda path, part=number: file_name(path)[part])
        self._db.execute(
            "INSERT INTO called SELECT id, called_stem(path), called_suffix(path) FROM source WHERE row = ?", (NO_ROW,)
        )
        self._db.execute("INSERT INTO parts (parts) VALUES ('rebuild')")
        self._db.create_function(
            "texts_of", 3, lambda *words: json.dumps([(key_of(t), w) for t, w in texts_of(*words)])
        )
        called = "FROM names n, json_each(texts_of(n.name, n.folder, n.captions)) j"
        key, weight = "json_extract(j.value, '$[0]')", "json_extract(j.value, '$[1]')"
        self._db.execute(f"INSERT INTO text (key) SELECT {key} {called} GROUP BY 1 ORDER BY min(n.rowid), min(j.key)")
        self._db.execute(f"INSERT INTO said SELECT t.id, n.rowid, {weight} {called} CROSS JOIN text t ON t.key = {key}")

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
            self._noted, self._renamed = set(), False
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

    # -- what is there -------------------------------------------------------------------------------------------

    def state(self) -> tuple[int, int, int]:
        """What is another one whenever anything was committed, within a snapshot of this moment's; never comes back."""
        with self._lock if self._thread.connection is None else nullcontext():
            return id(self._db), int(self.query("PRAGMA data_version")[0][0]), self._db.total_changes

    def stores(self) -> list[Store]:
        """The vector files, in order of space and modality."""
        return [Store(*row) for row in self.query(f"{STORES} ORDER BY 1, 2")]

    def store(self, space: str, modality: Modality) -> Store | None:
        """The vector file of one (space, modality), if it has one."""
        found = self.query(f"{STORES} WHERE space = ? AND modality = ?", (space, modality))
        return Store(*found[0]) if found else None

    def source(self, path: str, row: int | None = None) -> Source | None:
        """The source at a path (and row), if it is known."""
        found = self._sources("path = ? AND row = ?", (path, NO_ROW if row is None else row))
        return found[0] if found else None

    def content_of_hash(self, digest: str) -> int | None:
        """The id of the content with this hash, if it is known."""
        found = self.query("SELECT id FROM content WHERE hash = ?", (digest,))
        return int(found[0][0]) if found else None

    def sources_of_path(self, path: str) -> list[Source]:
        """Every source in a file: one, or one a row of a table."""
        return self._sources("path = ?", (path,))

    def rows_of_path(self, path: str) -> set[int]:
        """The rows of a table that are known; -1 where the path was no table."""
        sql = "SELECT row FROM source WHERE path = ?"
        return set(self._numbers(sql, (path,)).tolist())

    def sources_of_content(self, content: int) -> list[Source]:
        """Every place where a content was found, in order of path and row."""
        return self._sources("content = ?", (content,))

    def found_elsewhere(self, content: int, path: str, row: int | None = None) -> bool:
        """Whether a content was found at another path, or in another row, as well."""
        sql = "SELECT 1 FROM source WHERE content = ? AND NOT (path = ? AND row = ?) LIMIT 1"
        return bool(self.query(sql, (content, path, NO_ROW if row is None else row)))

    def sources_under(self, root: str) -> list[Source]:
        """Sources whose path is ``root`` or lies below it."""
        return self._sources(BELOW, _below(root))

    def places_under(self, root: str) -> list[tuple[str, int | None, int]]:
        """The paths at ``root`` or below it in order, each with the device of its folder and how many sources it has.

        A table has as many as it has rows.
        """
        sql = f"SELECT path, max(device), count(*) FROM source WHERE {BELOW} GROUP BY path ORDER BY path"
        return self.query(sql, _below(root))

    def count_paths(self) -> int:
        """How many files there are: a table is one, however many rows it has."""
        return int(self.query("SELECT count(DISTINCT path) FROM source")[0][0])

    def _sources(self, condition: str, parameters: Sequence[Any]) -> list[Source]:
        rows = self.query(
            "SELECT id, path, row, content, size, mtime, modalities, metadata, ctime, device FROM source "
            f"WHERE {condition} ORDER BY path, row",
            parameters,
        )
        return [
            Source(i, path, None if row == NO_ROW else row, content, size, mtime, tuple(k.split()), _read_json(m), *at)
            for i, path, row, content, size, mtime, k, m, *at in rows
        ]

    def items(self, ids: Sequence[int]) -> dict[int, Item]:
        """Items by id; ids that are not there are left out."""
        items: dict[int, Item] = {}
        held: dict[int, tuple[Source, ...]] = {}  # a content may have many sources, and many parts that are asked for
        for start in range(0, len(ids), 500):
            some = [int(i) for i in ids[start : start + 500]]
            marks = ",".join("?" * len(some))
            contents = f"SELECT content FROM item WHERE id IN ({marks})"
            missing = [c for (c,) in self.query(f"{contents} GROUP BY content", some) if c not in held]
            held |= self._sources_of(missing)
            for row in self.query(
                "SELECT i.id, i.content, i.modality, i.start, i.end, coalesce(i.text, c.text), c.facts, l.fields "
                "FROM item i JOIN content c ON c.id = i.content LEFT JOIN label l ON l.content = c.id "
                f"WHERE i.id IN ({marks})",
                some,
            ):
                identity, content, modality, first, last, text, facts, labels = row
                if sources := held.get(content):
                    span = None if first == NO_SPAN else Span(first, last)
                    known, said = _read_json(facts), _read_json(labels or "{}")
                    items[identity] = Item(identity, content, modality, span, text, sources, known, said)
        return items

    def _sources_of(self, contents: Sequence[int]) -> dict[int, tuple[Source, ...]]:
        found: dict[int, list[Source]] = {}
        for source in self._sources(f"content IN ({','.join('?' * len(contents))})", contents):
            found.setdefault(source.content, []).append(source)
        return {content: tuple(sources) for content, sources in found.items()}

    def items_of_rows(self, space: str, modality: Modality, rows: Sequence[int]) -> dict[int, int]:
        """Row of a vector file -> item id, for rows that count."""
        found: dict[int, int] = {}
        for start in range(0, len(rows), 500):
            some = [int(r) for r in rows[start : start + 500]]
            marks = ",".join("?" * len(some))
            sql = f"SELECT row, item FROM vector WHERE space = ? AND modality = ? AND row IN ({marks})"
            found.update(dict(self.query(sql, [space, modality, *some])))
        return found

    def row_of_item(self, space: str, item: int) -> tuple[Modality, int] | None:
        """Where an item's vector of a space lies: modality and row."""
        found = self.query("SELECT modality, row FROM vector WHERE space = ? AND item = ?", (space, item))
        return (found[0][0], found[0][1]) if found else None

    def rows_of_content(self, space: str, modality: Modality, content: int) -> dict[int, int]:
        """Row of a vector file -> item id, for the parts of one content."""
        sql = (  # CROSS JOIN: from the content's few items to their vectors, never through all vectors of the space
            "SELECT v.row, v.item FROM item i CROSS JOIN vector v ON v.item = i.id "
            "WHERE i.content = ? AND v.space = ? AND v.modality = ?"
        )
        return dict(self.query(sql, (content, space, modality)))

    def hashes(self, contents: Sequence[int]) -> dict[int, str]:
        """Content id -> hash; ids that are not there are left out."""
        found: dict[int, str] = {}
        for start in range(0, len(contents), 500):
            some = contents[start : start + 500]
            marks = ",".join("?" * len(some))
            found.update(dict(self.query(f"SELECT id, hash FROM content WHERE id IN ({marks})", some)))
        return found

    def live_rows(self, space: str, modality: Modality) -> npt.NDArray[np.int64]:
        """The rows that have a vector, in order, int64 ``(n,)``: all are read. ``dead_rows`` costs only what died."""
        return self._numbers("SELECT row FROM vector WHERE space = ? AND modality = ? ORDER BY row", (space, modality))

    def count_rows(self, space: str, modality: Modality) -> int:
        """How many rows count."""
        found = self.query("SELECT count FROM tally WHERE kind = ?", (f"vector {space} {modality}",))
        return int(found[0][0]) if found else 0

    def dead_rows(self, file: str, after: int = 0) -> npt.NDArray[np.int64]:
        """The dead rows of a vector file but for the first ``after`` to die, int64 ``(n,)``, in the order of death."""
        sql = "SELECT rows FROM dead WHERE file = ? AND number > ? ORDER BY number"
        blocks = [np.frombuffer(rows, "<i8") for (rows,) in self.query(sql, (file, after))]
        return np.concatenate([np.zeros(0, np.int64), *blocks])

    def matching_rows(
        self, space: str, modality: Modality, condition: str, parameters: Sequence[Any]
    ) -> npt.NDArray[np.int64]:
        """The rows whose item has a source that fulfils an SQL condition over ``s``ource, ``c``ontent, ``i``tem.

        int64 ``(n,)``, in any order; one may come again.
        """
        sql = (  # CROSS JOIN: only what matches is looked up among items and vectors
            f"SELECT v.row FROM source s CROSS JOIN {CONTENT} c ON c.id = s.content CROSS JOIN item i ON "
            "i.content = s.content CROSS JOIN vector v ON v.item = i.id "
            f"WHERE ({condition}) AND v.space = ? AND v.modality = ?"
        )
        return self._numbers(sql, [*parameters, space, modality])

    def matching_sources(self, content: int, condition: str, parameters: Sequence[Any]) -> set[int]:
        """Ids of a content's sources that fulfil an SQL condition."""
        sql = (
            f"SELECT s.id FROM source s JOIN {CONTENT} c ON c.id = s.content JOIN item i ON i.content = c.id "
            f"WHERE c.id = ? AND ({condition})"
        )
        return {i for (i,) in self.query(sql, [content, *parameters])}

    def kinds(self) -> set[Modality]:
        """The modalities of the files that are here, whether or not there are vectors of them."""
        return cast(set[Modality], {kind for kinds in self._tallied("source") for kind in kinds.split()})

    def _tallied(self, kind: str) -> dict[str, int]:
        """How many rows of a kind there are, by what else tells them apart."""
        sql = "SELECT substr(kind, ?), count FROM tally WHERE kind > ? AND kind < ? AND count > 0 ORDER BY kind"
        return dict(self.query(sql, (len(kind) + 2, f"{kind} ", f"{kind}!")))

    def names_revision(self) -> int:
        """A number that is another one whenever any source's words are."""
        return int(self.query("SELECT names FROM revision")[0][0])

    def names(self) -> list[tuple[int, str, str, str]]:
        """Every source's id, the words of its name and of its folders, and its captions, one a line."""
        return self.query("SELECT rowid, name, folder, captions FROM names ORDER BY rowid")

    def sources_with_words(
        self, words: Sequence[str], modalities: Sequence[Modality] = (), condition: Condition | None = None
    ) -> ByWords:
        """The sources that any, and that all, of the words name, or other forms of them, best first.

        Those of some ``modalities`` that fulfil a condition are looked for among the names of words that very many have
        alone: what is found may hold others as well.
        """
        return by_words(self.query, words, self.narrowing(modalities, condition))

    def sources_with_part(
        self, part: str, modalities: Sequence[Modality] = (), condition: Condition | None = None
    ) -> ByParts:
        """The sources whose file's name has a part in it, in any case and normal form; the extension may be there."""
        stem, suffix = file_name(part)
        found = by_parts(self.query, folded(part), None, self.narrowing(modalities, condition))
        if not suffix:
            return found
        more = by_parts(self.query, stem, suffix, self.narrowing(modalities, condition))
        return ByParts(
            [*more.found, *(one for one in found.found if one not in more.found)], found.whole and more.whole
        )

    def sources_called(
        self, name: str, modalities: Sequence[Modality] = (), condition: Condition | None = None, *, limit: int
    ) -> list[int]:
        """The first sources whose file's name is this, in any case and normal form, with its extension or without."""
        stem, suffix = file_name(name)
        narrowing = self.narrowing(modalities, condition)
        sql = "SELECT d.id FROM called d WHERE d.stem = ? AND {test} AND {narrowing} ORDER BY d.id LIMIT ?"
        narrowed = narrowing.of("d.id")
        asked = [(folded(name), "1", ())] + ([(stem, "d.suffix = ?", (suffix,))] if suffix else [])
        found: dict[int, None] = {}
        for whole, test, more in asked:
            parameters = (whole, *more, *narrowing.parameters, limit)
            found |= dict.fromkeys(
                i for (i,) in self.query(sql.format(test=test, narrowing=narrowed), parameters) if whole
            )
        return list(found)[:limit]

    def names_file(self, space: str) -> tuple[str, int] | None:
        """Which file holds the vectors of texts in a space, and how many of its rows count."""
        found = self.query("SELECT file, rows FROM meant WHERE space = ?", (space,))
        return (found[0][0], found[0][1]) if found else None

    def texts_after(self, text: int, limit: int) -> list[tuple[int, str]]:
        """The next texts in order of their ids, and what they say."""
        rows = self.query(
            "SELECT t.id, t.key, n.name, n.folder, n.captions FROM (SELECT id, key FROM text WHERE id > ? ORDER BY id "
            "LIMIT ?) t CROSS JOIN names n ON n.rowid = (SELECT source FROM said WHERE text = t.id LIMIT 1) "
            "ORDER BY t.id",
            (text, limit),
        )
        found = []
        for i, key, *words in rows:
            found += [(i, said) for said, _ in texts_of(*words) if key_of(said) == key]
        return found

    def sources_saying(self, text: int, narrowing: Narrowing, limit: int) -> list[tuple[int, float]]:
        """The first sources that are called by a text and fulfil a condition, with how much it counts for each."""
        sql = f"SELECT d.source, d.weight FROM said d WHERE d.text = ? AND {narrowing.of('d.source')} LIMIT ?"
        return self.query(sql, (text, *narrowing.parameters, limit))

    def texts_of(self, sources: Sequence[int]) -> dict[int, list[tuple[int, float]]]:
        """The ids of the texts that some sources are called by, with how much each counts."""
        said: dict[int, list[tuple[int, float]]] = {}
        for start in range(0, len(sources), 500):
            some = sources[start : start + 500]
            marks = ",".join("?" * len(some))
            sql = f"SELECT rowid, name, folder, captions FROM names WHERE rowid IN ({marks})"
            said |= {
                source: [(key_of(text), weight) for text, weight in texts_of(*words)]
                for source, *words in self.query(sql, some)
            }
        keys = sorted({key for texts in said.values() for key, _ in texts})
        ids: dict[int, int] = {}
        for start in range(0, len(keys), 500):
            more = keys[start : start + 500]
            ids |= dict(self.query(f"SELECT key, id FROM text WHERE key IN ({','.join('?' * len(more))})", more))
        return {i: [(ids[key], weight) for key, weight in texts if key in ids] for i, texts in said.items()}

    def narrowing(self, modalities: Sequence[Modality], condition: Condition | None) -> Narrowing:
        tests, parameters = [], list[Any]()
        if modalities and not self.kinds() <= set(modalities):
            tests.append(f"i.modality IN ({','.join('?' * len(modalities))})")
            parameters += modalities
        if condition is not None:
            tests.append(f"({condition.sql})")
            parameters += condition.parameters
        if not tests:
            return Narrowing()
        # A correlated subquery, not a join: a source may hold several items.
        sql = (
            f"EXISTS (SELECT 1 FROM source s CROSS JOIN {CONTENT} c ON c.id = s.content "
            f"CROSS JOIN item i ON i.content = c.id WHERE s.id = {ID} AND {' AND '.join(tests)})"
        )
        return Narrowing(sql, parameters)

    def named(
        self, sources: Sequence[int], modalities: Sequence[Modality], condition: Condition | None = None
    ) -> dict[int, list[Named]]:
        """What some sources hold, of some modalities, source by source; with a condition, what fulfils it."""
        found: dict[int, list[Named]] = {}
        test = f"AND ({condition.sql})" if condition else ""
        kinds = ",".join("?" * len(modalities))
        for start in range(0, len(sources), 500):
            some = sources[start : start + 500]
            marks = ",".join("?" * len(some))
            for row in self.query(
                f"SELECT s.id, min(i.id), i.content, i.modality FROM source s CROSS JOIN {CONTENT} c "
                "ON c.id = s.content "
                f"CROSS JOIN item i ON i.content = c.id WHERE s.id IN ({marks}) AND i.modality IN ({kinds}) {test} "
                "GROUP BY s.id, i.modality ORDER BY 2",
                [*some, *modalities, *(condition.parameters if condition else ())],
            ):
                found.setdefault(row[0], []).append(Named(*row))
        return found

    def has_vectors(self, content: int) -> bool:
        """Whether any space holds a vector of a content."""
        sql = "SELECT 1 FROM item i CROSS JOIN vector v ON v.item = i.id WHERE i.content = ? LIMIT 1"
        return bool(self.query(sql, (content,)))

    def unseen(self) -> dict[Modality, int]:
        """How many contents of each modality are here by name alone, as no space holds a vector of them."""
        return cast(dict[Modality, int], self._tallied("unseen"))

    def all_items(self) -> Iterator[Item]:
        """Every item that has a source, in order of id, a thousand at a time."""
        last = 0
        while ids := [i for (i,) in self.query("SELECT id FROM item WHERE id > ? ORDER BY id LIMIT 1000", (last,))]:
            yield from self.items(ids).values()
            last = ids[-1]

    def fields(self) -> set[str]:
        """The names of metadata columns, labels and facts that a filter may use."""
        return {name for (name,) in self.query("SELECT name FROM field")}

    def labels(self) -> dict[int, dict[str, Any]]:
        """What models said: content -> field -> value, of the contents of which anything was said."""
        return {content: _read_json(fields) for content, fields in self.query("SELECT content, fields FROM label")}

    def counts(self) -> dict[str, int]:
        """How many sources, contents and items there are."""
        counts = dict(self.query("SELECT kind, count FROM tally WHERE kind IN ('source', 'content', 'item')"))
        return {name: counts.get(name, 0) for name in ("source", "content", "item")}

    def failures(self) -> list[Failure]:
        """All that could not be indexed, wholly or partly, by path."""
        found = [
            Failure(path, reason, None if row == NO_ROW else row)
            for path, row, reason in self.query("SELECT path, row, reason FROM failure")
        ]
        found += [
            Failure(path, error, None if row == NO_ROW else row, parts > 0)
            for path, row, error, parts in self.query(
                "SELECT s.path, s.row, d.error, max(d.parts) FROM done d CROSS JOIN source s ON s.content = d.content "
                "WHERE d.error IS NOT NULL GROUP BY s.path, s.row, d.error"
            )
        ]
        return sorted(found, key=lambda failure: (failure.path, failure.row or 0, failure.reason))

    def notes(self) -> list[Note]:
        """What decoding noted of contents that were indexed, by path."""
        rows = self.query(
            "SELECT s.path, s.row, n.value FROM content c JOIN source s ON s.content = c.id "
            "JOIN json_each(c.facts, '$.remarks') n ORDER BY s.path, s.row, n.id"
        )
        return [Note(path, note, None if row == NO_ROW else row) for path, row, note in rows]

    def failed_paths(self) -> set[str]:
        """The paths that could not be read, or that hold a row that could not."""
        return {path for (path,) in self.query("SELECT DISTINCT path FROM failure")}

    def pending(self, space: str, modality: Modality, roots: Sequence[str]) -> list[Pending]:
        """The contents of a modality under some paths that a space has not yet, in order of content."""
        rows = self.query(
            "SELECT c.id, c.text, c.facts, s.path, s.row, s.size, s.mtime "
            "FROM content c JOIN source s ON s.content = c.id WHERE instr(' ' || s.modalities || ' ', ?) > 0 "
            "AND NOT EXISTS (SELECT 1 FROM done d WHERE d.content = c.id AND d.space = ? AND d.modality = ?) "
            "ORDER BY c.id, s.path, s.row",
            (f" {modality} ", space, modality),
        )
        # Not in SQL: a shell's *.wav may name more paths than a statement can hold.
        named = {str(Path(root)) for root in roots}
        found: dict[int, Pending] = {}
        for content, text, facts, path, row, size, mtime in rows:
            if content not in found and (path in named or any(str(folder) in named for folder in Path(path).parents)):
                media = Media(modality, path=path, text=text, row=None if row == NO_ROW else row)
                seconds = float(_read_json(facts).get("duration") or 0.0)
                found[content] = Pending(content, media, size, mtime, seconds)
        return list(found.values())

    # -- what a writer does, inside a transaction ---------------------------------------------------------------

    def put_content(self, digest: str, facts: Mapping[str, Any], text: str | None) -> int:
        """The id of a content, made where it is new."""
        found = self._db.execute("SELECT id FROM content WHERE hash = ?", (digest,)).fetchone()
        return int(found[0]) if found else self.make_content(digest, facts, text)

    def make_content(self, digest: str, facts: Mapping[str, Any], text: str | None) -> int:
        """The id of a content that is not there yet."""
        self._note_fields(facts)
        made = self._db.execute(
            "INSERT INTO content (hash, facts, text) VALUES (?, ?, ?)", (digest, json.dumps(facts), text)
        )
        assert made.lastrowid is not None
        return made.lastrowid

    def put_remarks(self, content: int, facts: Mapping[str, Any], notes: Sequence[str]) -> None:
        """What decoding a content found where its header says something else or nothing, and what it noted.

        The notes become a fact like the others, ``remarks``, so that ``--where`` and hits know them.
        """
        known = _read_json(self._db.execute("SELECT facts FROM content WHERE id = ?", (content,)).fetchone()[0])
        said = dict.fromkeys((*known.get("remarks", ()), *notes))
        now = {**known, **facts} | ({"remarks": list(said)} if said else {})
        if now != known:
            self._note_fields(now)
            self._db.execute("UPDATE content SET facts = ? WHERE id = ?", (json.dumps(now), content))

    def put_source(
        self,
        path: str,
        row: int | None,
        content: int,
        modalities: Sequence[Modality],
        size: int,
        mtime: int,
        metadata: Mapping[str, Any],
        *,
        ctime: int | None = None,
        device: int | None = None,
        new: bool = False,
    ) -> None:
        """Say what a path (and row) holds now; what it held before is forgotten. ``new`` says that it held nothing.

        Without ``ctime`` what is known of that stays, where the file stands as it did; likewise ``device``.
        """
        self._note_fields(metadata)
        written = _json(metadata)
        key = (path, NO_ROW if row is None else row)
        self._db.execute("DELETE FROM failure WHERE path = ? AND row = ?", key)
        made = self._db.execute(
            "INSERT INTO source (path, row, content, modalities, size, mtime, metadata, ctime, device) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (path, row) DO UPDATE SET content = excluded.content, modalities = excluded.modalities, "
            "ctime = ifnull(excluded.ctime, iif(size = excluded.size AND mtime = excluded.mtime, ctime, NULL)), "
            "device = ifnull(excluded.device, device), "
            "size = excluded.size, mtime = excluded.mtime, metadata = excluded.metadata",
            (*key, content, " ".join(modalities), size, mtime, written, ctime, device),
        )
        if new and made.lastrowid is not None:
            source = made.lastrowid
        else:
            source = int(self._db.execute("SELECT id FROM source WHERE path = ? AND row = ?", key).fetchone()[0])
        if row is None:
            self._put_called(source, path)
        self._put_words(source, (path, key[1], written), new=new)

    def rows_between(
        self, path: str, first: int, last: int
    ) -> dict[int, tuple[int, tuple[str, str, str], tuple[int | None, ...]]]:
        """Rows of a table, both ends included: the source's id, what it holds as ``as_row`` gives it, and its standing.

        That is the file's size, mtime, ctime and device.
        """
        sql = (
            "SELECT s.row, s.id, c.hash, s.modalities, s.metadata, s.size, s.mtime, s.ctime, s.device "
            "FROM source s CROSS JOIN content c ON c.id = s.content WHERE s.path = ? AND s.row BETWEEN ? AND ?"
        )
        return {row: (i, (h, k, m), tuple(at)) for row, i, h, k, m, *at in self.query(sql, (path, first, last))}

    @staticmethod
    def as_row(digest: str, modalities: Sequence[Modality], metadata: Mapping[str, Any]) -> tuple[str, str, str]:
        """What ``rows_between`` gives where a row holds this."""
        return digest, " ".join(modalities), _json(metadata)

    def put_standings(self, sources: Sequence[int], standing: Sequence[int | None]) -> None:
        """The file of these rows of a table has another size, mtime, ctime or device now."""
        sql = "UPDATE source SET size = ?, mtime = ?, ctime = ?, device = ? WHERE id = ?"
        self._db.executemany(sql, ((*standing, source) for source in sources))

    def digested(self, path: str, digest: str, text: str) -> int | None:
        """How many rows a table has where all stand here as this very file has them, with its texts in that column."""
        found = self.query("SELECT rows FROM digested WHERE path = ? AND digest = ? AND text = ?", (path, digest, text))
        return int(found[0][0]) if found else None

    def put_digested(self, path: str, digest: str, text: str, rows: int, standing: Sequence[int | None]) -> None:
        """All rows of a table stand here as this file has them; that holds until one of them becomes another."""
        sql = "INSERT OR REPLACE INTO digested (path, digest, text, rows, standing) VALUES (?, ?, ?, ?, ?)"
        self._db.execute(sql, (path, digest, text, rows, json.dumps(standing)))

    def stand_again(self, path: str, standing: Sequence[int | None]) -> None:
        """A table that is as it was has this size, mtime, ctime and device now."""
        sql = "UPDATE digested SET standing = ? WHERE path = ? AND standing <> ?"
        now = json.dumps(standing)
        if self._db.execute(sql, (now, path, now)).rowcount:
            sql = "UPDATE source SET size = ?, mtime = ?, ctime = ?, device = ? WHERE path = ?"
            self._db.execute(sql, (*standing, path))

    def put_standing(self, source: int, ctime: int | None, device: int | None) -> None:
        """A file that is what it was lies on this device now, and changed last at this time."""
        self._db.execute("UPDATE source SET ctime = ?, device = ? WHERE id = ?", (ctime, device, source))

    def move_source(self, source: int, path: str, size: int, mtime: int) -> None:
        """A file was found under another name."""
        sql = "UPDATE source SET path = ?, size = ?, mtime = ?, ctime = NULL, device = NULL WHERE id = ?"
        self._db.execute(sql, (path, size, mtime, source))
        self._put_called(source, path)
        self._put_words(source)

    def _put_words(self, source: int, known: tuple[str, int, str] | None = None, *, new: bool = False) -> None:
        """Index the words that a source is called by; what it was called before is forgotten.

        ``known`` are its path, row and metadata, as they stand in the catalog; one that is ``new`` was called nothing.
        """
        sql = "SELECT path, row, metadata FROM source WHERE id = ?"
        path, row, metadata = known or self._db.execute(sql, (source,)).fetchone()
        words = words_of(path, None if row == NO_ROW else row, _read_json(metadata))
        now = (words.name, words.folder, "\n".join(words.captions))
        called = "SELECT name, folder, captions FROM names WHERE rowid = ?"
        before = None if new else self._db.execute(called, (source,)).fetchone()
        if now == before:
            return
        if self._means:
            self._put_texts(source, texts_of(*before) if before else [], texts_of(*now))
        if before:
            self._db.execute("DELETE FROM names WHERE rowid = ?", (source,))
        self._db.execute("INSERT INTO names (rowid, name, folder, captions) VALUES (?, ?, ?, ?)", (source, *now))
        self._names_changed()

    def _put_texts(self, source: int, before: list[tuple[str, float]], now: list[tuple[str, float]]) -> None:
        """Say what a source is called by; a text that nothing is called by any more is forgotten."""
        for one in before:
            if one not in now:
                key = key_of(one[0])
                known = self._db.execute("SELECT id FROM text WHERE key = ?", (key,)).fetchone()
                self._db.execute("DELETE FROM said WHERE text = ? AND source = ?", (known[0], source))
                unsaid = "DELETE FROM text WHERE id = ? AND NOT EXISTS (SELECT 1 FROM said WHERE text = ?)"
                self._db.execute(unsaid, (known[0], known[0]))
        for one in now:
            if one not in before:
                key = key_of(one[0])
                # Not INSERT OR IGNORE, which would use up an id each time.
                if self._db.execute("SELECT 1 FROM text WHERE key = ?", (key,)).fetchone() is None:
                    self._db.execute("INSERT INTO text (key) VALUES (?)", (key,))
                sql = "INSERT INTO said (text, source, weight) SELECT id, ?, ? FROM text WHERE key = ?"
                self._db.execute(sql, (source, one[1], key))

    def _put_called(self, source: int, path: str) -> None:
        now = file_name(path)
        before = self._db.execute("SELECT stem, suffix FROM called WHERE id = ?", (source,)).fetchone()
        if now == before:
            return
        self._forget_called([source] if before else [])
        self._db.execute("INSERT INTO called (id, stem, suffix) VALUES (?, ?, ?)", (source, *now))
        self._db.execute("INSERT INTO parts (rowid, stem) VALUES (?, ?)", (source, now[0]))

    def _forget_called(self, sources: Sequence[int]) -> None:
        ids = [(i,) for i in sources]
        forget = "INSERT INTO parts (parts, rowid, stem) SELECT 'delete', id, stem FROM called WHERE id = ?"
        self._db.executemany(forget, ids)  # the index holds no texts: it has to be told what it forgets
        self._db.executemany("DELETE FROM called WHERE id = ?", ids)

    def _names_changed(self) -> None:
        # By chance, not by counting: a cache left by another catalog in the same folder must not seem to fit this one.
        if self._thread.connection is None or not self._renamed:
            self._db.execute("UPDATE revision SET names = abs(random())")
        self._renamed = True

    def put_failure(self, path: str, row: int | None, reason: str) -> None:
        """Keep why a path could not be read; what it held before stays findable until it is pruned."""
        key = (path, NO_ROW if row is None else row)
        self._db.execute("INSERT OR REPLACE INTO failure (path, row, reason) VALUES (?, ?, ?)", (*key, reason))

    def forget_failures(self, path: str) -> None:
        """A path is readable again, or gone."""
        self._db.execute("DELETE FROM failure WHERE path = ?", (path,))

    def retry(self, space: str) -> None:
        """Forget which contents failed in a space, so that the next run tries them again."""
        self._db.execute("DELETE FROM done WHERE space = ? AND error IS NOT NULL", (space,))

    def put_labels(self, content: int, labels: Mapping[str, Any]) -> None:
        """Say something of a content; other fields stay as they are, and a value of None takes a field away."""
        row = self._db.execute("SELECT fields FROM label WHERE content = ?", (content,)).fetchone()
        merged = {**(_read_json(row[0]) if row else {}), **labels}
        kept = {field: value for field, value in merged.items() if value is not None}
        self._note_fields({field: value for field, value in labels.items() if value is not None})
        if kept:
            sql = "INSERT OR REPLACE INTO label (content, fields) VALUES (?, ?)"
            self._db.execute(sql, (content, _json(kept)))
        elif row:
            self._db.execute("DELETE FROM label WHERE content = ?", (content,))

    def remove_labels(self, field: str) -> int:
        """Take a field of labels from every content; gives how many had it. Side tables' columns stay."""
        held = [content for content, fields in self.labels().items() if field in fields]
        for content in held:
            self.put_labels(content, {field: None})
        path = json_path(field)
        self._noted = set()
        self._db.execute(
            "DELETE FROM field WHERE name = ? "
            "AND NOT EXISTS (SELECT 1 FROM source WHERE json_extract(metadata, ?) IS NOT NULL) "
            "AND NOT EXISTS (SELECT 1 FROM content WHERE json_extract(facts, ?) IS NOT NULL)",
            (field, path, path),
        )
        return len(held)

    def put_item(self, content: int, part: Media, text: str | None, *, new: bool = False) -> int:
        """The id of a part of a content, made where it is new; ``new`` says that the content has no part yet."""
        first, last = (part.span.start, part.span.end) if part.span else (NO_SPAN, NO_SPAN)
        key = (content, part.modality, first, last)
        known = "SELECT id FROM item WHERE content = ? AND modality = ? AND start = ? AND end = ?"
        if not new and (found := self._db.execute(known, key).fetchone()):
            return int(found[0])
        sql = "INSERT INTO item (content, modality, start, end, text) VALUES (?, ?, ?, ?, ?)"
        made = self._db.execute(sql, (*key, text))
        assert made.lastrowid is not None
        return made.lastrowid

    def has_vector(self, space: str, item: int) -> bool:
        """Whether a space holds a vector of an item already."""
        sql = "SELECT 1 FROM vector WHERE space = ? AND item = ?"
        return self._db.execute(sql, (space, item)).fetchone() is not None

    def put_vectors(self, space: str, modality: Modality, first: int, items: Iterable[int]) -> None:
        """The rows of the vector file from ``first`` on belong to these items."""
        sql = "INSERT INTO vector (space, modality, row, item) VALUES (?, ?, ?, ?)"
        self._db.executemany(sql, ((space, modality, row, item) for row, item in enumerate(items, first)))

    def remove_vectors(self, space: str, modality: Modality, content: int) -> None:
        """A space has no vector of a content any more, and is not through with it."""
        self._db.execute(
            "DELETE FROM vector WHERE space = ? AND item IN (SELECT id FROM item WHERE content = ? AND modality = ?)",
            (space, content, modality),
        )
        sql = "DELETE FROM done WHERE content = ? AND space = ? AND modality = ?"
        self._db.execute(sql, (content, space, modality))

    def put_done(self, content: int, space: str, modality: Modality, parts: int, error: str | None) -> None:
        """A content is through in a space: all its parts are there, or the reason why not.

        A whole that stood for a content whose parts nobody had looked at goes where there are parts now.
        """
        if parts:
            self._db.execute(
                "DELETE FROM item WHERE content = ? AND start = ? AND NOT EXISTS "
                "(SELECT 1 FROM vector v WHERE v.item = item.id)",
                (content, NO_SPAN),
            )
        sql = "INSERT OR REPLACE INTO done (content, space, modality, parts, error) VALUES (?, ?, ?, ?, ?)"
        self._db.execute(sql, (content, space, modality, parts, error))

    def put_names_file(self, space: str, file: str, rows: int) -> None:
        """Which file holds the vectors of texts, and how many of its rows count; those of other spaces go."""
        self._db.execute("DELETE FROM meant")
        self._db.execute("INSERT INTO meant (space, file, rows) VALUES (?, ?, ?)", (space, file, rows))

    def put_store(self, store: Store) -> None:
        """Which file holds the vectors of a (space, modality), and how many of its rows count."""
        sql = "INSERT OR REPLACE INTO store (space, modality, file, rows) VALUES (?, ?, ?, ?)"
        self._db.execute(sql, (store.space, store.modality, store.file, store.rows))

    def renumber(self, space: str, modality: Modality, live: npt.NDArray[np.int64]) -> None:
        """Give vectors the rows that they have in a compacted file: row ``live[i]``, in order, becomes row ``i``."""
        sql = "UPDATE vector SET row = ? WHERE space = ? AND modality = ? AND row = ?"
        first = int(np.searchsorted(live != np.arange(len(live)), True))  # those before it stay where they are
        for start in range(first, len(live), BLOCK):  # in order: no row is taken that is not free by then
            some = enumerate(live[start : start + BLOCK].tolist(), start)
            self._db.executemany(sql, ((new, space, modality, old) for new, old in some))
        self._forget_dead()

    def _bury_the_died(self) -> None:
        """Note whose vectors this transaction took."""
        for space, modality in self._db.execute("SELECT DISTINCT space, modality FROM died").fetchall():
            store = self.store(space, modality)
            if store is not None:
                sql = "SELECT row FROM died WHERE space = ? AND modality = ? AND row < ?"
                self._bury(store.file, self._numbers(sql, (space, modality, store.rows)), store.dead)
            self._db.execute("DELETE FROM died WHERE space = ? AND modality = ?", (space, modality))

    def _bury(self, file: str, rows: npt.NDArray[np.int64], before: int = 0) -> None:
        if len(rows):
            told = (file, before + len(rows), np.sort(rows).astype("<i8").tobytes())
            self._db.execute("INSERT INTO dead (file, number, rows) VALUES (?, ?, ?)", told)

    def _forget_dead(self) -> None:
        """Files that are no store's have no rows."""
        self._db.execute("DELETE FROM dead WHERE file NOT IN (SELECT file FROM store)")

    def remove_sources(self, ids: Sequence[int]) -> int:
        """Forget sources, and every content, item and vector that no source holds any more; gives how many items."""
        held = set[int]()
        for start in range(0, len(ids), 500):
            some = ids[start : start + 500]
            sql = f"SELECT content FROM source WHERE id IN ({','.join('?' * len(some))})"
            held |= {content for (content,) in self._db.execute(sql, some)}
        self._forget_called(ids)
        for source in ids:
            words = self._db.execute("SELECT name, folder, captions FROM names WHERE rowid = ?", (source,)).fetchone()
            if words is not None:
                self._put_texts(source, texts_of(*words), [])
        self._db.executemany("DELETE FROM source WHERE id = ?", [(i,) for i in ids])
        self._db.executemany("DELETE FROM names WHERE rowid = ?", [(i,) for i in ids])
        self._names_changed()
        return self._sweep(sorted(held))

    def sweep(self) -> int:
        """Forget contents without a source, with their items and vectors; gives how many items went."""
        sql = "SELECT id FROM content WHERE NOT EXISTS (SELECT 1 FROM source s WHERE s.content = content.id)"
        return self._sweep([content for (content,) in self._db.execute(sql)])

    def _sweep(self, contents: Sequence[int]) -> int:
        """Forget those of some contents that no source holds."""
        alone = "SELECT 1 FROM source WHERE content = ?"
        orphans = [(one,) for one in contents if self._db.execute(alone, (one,)).fetchone() is None]
        self._db.executemany("DELETE FROM vector WHERE item IN (SELECT id FROM item WHERE content = ?)", orphans)
        gone = self._db.executemany("DELETE FROM item WHERE content = ?", orphans).rowcount if orphans else 0
        self._db.executemany("DELETE FROM done WHERE content = ?", orphans)
        self._db.executemany("DELETE FROM label WHERE content = ?", orphans)
        self._db.executemany("DELETE FROM content WHERE id = ?", orphans)
        return gone

    def remove_space(self, space: str) -> None:
        """Forget a space's vectors."""
        for table in ("vector", "done", "store"):
            self._db.execute(f"DELETE FROM {table} WHERE space = ?", (space,))
        self._forget_dead()

    def _note_fields(self, columns: Mapping[str, Any]) -> None:
        if self._thread.connection is None:
            self._noted = set()
        if new := [name for name in columns if name not in self._noted]:
            names = _read_json(_json(new))
            self._db.executemany("INSERT OR IGNORE INTO field (name) VALUES (?)", [(name,) for name in names])
            self._noted.update(new)


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; a trigger's own do not end it."""
    statement = ""
    for piece in script.split(";")[:-1]:
        statement += f"{piece};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _place(path: str, row: int | None) -> str:
    return path if row is None else f"{path}, row {row + 1}"


def _below(root: str, separator: str = os.sep) -> tuple[str, str, str]:
    r"""A path, and the texts between which all paths below it lie, as SQLite compares the bytes of UTF-8.

    >>> _below("/a"), _below("C:\\", "\\")
    (('/a', '/a/', '/a0'), ('C:\\', 'C:\\', 'C:]'))
    """
    root = spelled_out(root)  # as paths that are not UTF-8 never stand here, but may be asked for
    prefix = root.rstrip(separator)
    return root, f"{prefix}{separator}", f"{prefix}{chr(ord(separator) + 1)}"


# Collections of earlier versions may hold numbers that JSON has not.
_read_json: Final = json.JSONDecoder(parse_constant=lambda _: None).decode


def _json(value: Any) -> str:
    """JSON that SQLite takes: what is no number becomes null, half of a surrogate pair, which is no text, a "?"."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(finite(value), ensure_ascii=False)
    return text.encode("utf-8", "replace").decode("utf-8")


def finite(value: Any) -> Any:
    """A value with None in place of numbers that JSON has not.

    >>> finite({"bpm": float("nan"), "peaks": [1.5, float("-inf")]})
    {'bpm': None, 'peaks': [1.5, None]}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(one) for key, one in value.items()}
    return [finite(one) for one in value] if isinstance(value, list | tuple) else value
