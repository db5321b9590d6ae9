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
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from embed.media import Media, Modality
from indexes.database import BLOCK
from indexes.reading import NO_ROW, NO_SPAN, Reading, read_json
from indexes.records import Store
from indexes.schema import ADDED, DEAD, IN_MEMORY, NAMES, VERSION, statements
from indexes.where import json_path
from indexes.words import file_name, key_of, texts_of, words_of

__all__ = ["Catalog"]


class Catalog(Reading):
    """One SQLite file: what is asked of it, and what a writer does inside a transaction."""

    def _upgrade(self, schema: str) -> None:
        """Add what the catalog's version has not yet, in its file or ("temp") in memory."""
        for version in range(self._version() + 1, VERSION + 1):  # none, where another process came first
            added = IN_MEMORY.get(version, ADDED[version]) if schema == "temp" else ADDED[version]
            for statement in statements(added.format(schema=schema)):
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
        known = read_json(self._db.execute("SELECT facts FROM content WHERE id = ?", (content,)).fetchone()[0])
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
        words = words_of(path, None if row == NO_ROW else row, read_json(metadata))
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
        self._db.execute("UPDATE revision SET names = abs(random())")

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
        merged = {**(read_json(row[0]) if row else {}), **labels}
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

    def sweep_contents(self, contents: Sequence[int]) -> int:
        """Forget those of some contents that no source holds, with their items and vectors; gives how many items."""
        return self._sweep(sorted(set(contents)))

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
            names = read_json(_json(new))
            self._db.executemany("INSERT OR IGNORE INTO field (name) VALUES (?)", [(name,) for name in names])
            self._noted.update(new)


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
