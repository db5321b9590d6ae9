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
    loose    contents that a source left, and that may have none any more
    tally    how many rows there are of a kind, so that nobody has to count them; counting: 0 while a block is written
    digested a table all of whose rows stand here as its file, by its hash, has them: it need not be read again
    revision another number whenever any of these words change
    columns  which file has what filters ask of sources, and the last of those; altered: which ones it has otherwise
    label    what a model said of a content: field -> value; no indexing run touches it

A row of a vector file counts only when the catalog says so; what lies behind the last counted row is what a killed
writer left, and is written over by the next one. Those that count live until a commit says that they are dead; none
comes back to life. So (file, rows, how many of them are dead) says which rows live, whatever else was committed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from embed.media import MODALITIES, Media, Modality
from indexes.additions import Additions
from indexes.database import BLOCK
from indexes.reading import NO_ROW, NO_SPAN, Reading, read_json
from indexes.records import Source, Store
from indexes.schema import ADDED, DEAD, IN_MEMORY, NAMES, VERSION, statements
from indexes.where import json_path
from indexes.words import file_name, key_of, texts_of, words_of

__all__ = ["Catalog"]

CACHE: Final = 64 << 20  # bytes
SOME: Final = 4096  # rows that are removed by one statement
# Wholes of a content that no space has a vector of.
WHOLES: Final = (
    "DELETE FROM item WHERE content = ? AND start = ? AND NOT EXISTS (SELECT 1 FROM vector v WHERE v.item = item.id)"
)


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

    @contextmanager
    def roomy(self) -> Iterator[None]:
        """For one who writes much: ``CACHE`` of memory for pages, as what is new lies in all of an index at once."""
        (before,) = self.query("PRAGMA cache_size")[0]
        self._db.execute(f"PRAGMA cache_size = -{CACHE >> 10}")
        try:
            yield
        finally:
            self._db.execute(f"PRAGMA cache_size = {before}")

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

    def rows_between(self, path: str, first: int, last: int) -> dict[int, tuple[str, str, str]]:
        """Rows of a table, both ends included, and what each holds as ``as_row`` gives it."""
        sql = (
            "SELECT s.row, c.hash, s.modalities, s.metadata FROM source s CROSS JOIN content c ON c.id = s.content "
            "WHERE s.path = ? AND s.row BETWEEN ? AND ?"
        )
        return {row: (digest, kinds, metadata) for row, digest, kinds, metadata in self.query(sql, (path, first, last))}

    @staticmethod
    def as_row(digest: str, modalities: Sequence[Modality], metadata: Mapping[str, Any]) -> tuple[str, str, str]:
        """What ``rows_between`` gives where a row holds this."""
        return digest, " ".join(modalities), _json(metadata)

    def rows_beyond(self, path: str, rows: int) -> list[int]:
        """The sources of a path that are none of the first ``rows`` rows of a table."""
        sql = "SELECT id FROM source WHERE path = ? AND (row < 0 OR row >= ?)"
        return [int(i) for i in self._numbers(sql, (path, rows))]

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
            self.put_standings(path, standing)

    def put_standings(self, path: str, standing: Sequence[int | None]) -> None:
        """The rows of a table have this size, mtime, ctime and device now."""
        sql = "UPDATE source SET size = ?, mtime = ?, ctime = ?, device = ? WHERE path = ? AND NOT ("
        sql += "size IS ? AND mtime IS ? AND ctime IS ? AND device IS ?)"
        self._db.execute(sql, (*standing, path, *standing))

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
        if gone := [(key_of(text), source) for text, weight in before if (text, weight) not in now]:
            self._forget_said(gone)
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
        if before:
            self._forget_called(json.dumps([source]))
        self._db.execute("INSERT INTO called (id, stem, suffix) VALUES (?, ?, ?)", (source, *now))
        self._db.execute("INSERT INTO parts (rowid, stem) VALUES (?, ?)", (source, now[0]))

    def _forget_called(self, sources: str) -> None:
        """Forget what files are called: the ids of sources, as JSON."""
        # The index holds no texts: it has to be told what it forgets.
        forget = f"INSERT INTO parts (parts, rowid, stem) SELECT 'delete', id, stem FROM called WHERE {_among('id')}"
        self._db.execute(forget, (sources,))
        self._db.execute(f"DELETE FROM called WHERE {_among('id')}", (sources,))

    def _forget_said(self, said: Sequence[tuple[int, int]]) -> None:
        """Sources are not called by these texts any more, (key, source); texts that nothing is called by go."""
        keys = json.dumps(sorted({key for key, _ in said}))
        ids = dict(self.query(f"SELECT key, id FROM text WHERE {_among('key')}", (keys,)))
        rows = sorted((ids[key], source) for key, source in said)
        self._db.executemany("DELETE FROM said WHERE text = ? AND source = ?", rows)
        unsaid = f"DELETE FROM text WHERE {_among('id')} AND NOT EXISTS (SELECT 1 FROM said s WHERE s.text = text.id)"
        self._db.execute(unsaid, (json.dumps(sorted(ids.values())),))

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

    def sources_at(self, places: Iterable[tuple[str, int | None]]) -> dict[tuple[str, int | None], Source]:
        """The sources at some paths (and rows), as far as they are known."""
        keys = [(path, NO_ROW if row is None else row) for path, row in places]
        # SQLite's JSON ends a text at a zero.
        found = [
            one for path, row in keys if "\0" in path for one in self._sources("path = ? AND row = ?", (path, row))
        ]
        at = "json_each(?) j CROSS JOIN source s ON s.path = json_extract(j.value, '$[0]') "
        at = f"id IN (SELECT s.id FROM {at} AND s.row = json_extract(j.value, '$[1]'))"
        found += self._sources(at, (_json([key for key in keys if "\0" not in key[0]]),))
        return {(one.path, one.row): one for one in found}

    def contents_of_hashes(self, digests: Iterable[str]) -> dict[str, int]:
        """Hash -> id of the contents that are known."""
        sql = "SELECT hash, id FROM content WHERE hash IN (SELECT value FROM json_each(?))"
        return dict(self.query(sql, (json.dumps(list(digests)),)))

    def parts_of(
        self, contents: Iterable[int], space: str
    ) -> dict[int, dict[tuple[Modality, float, float], tuple[int, int | None]]]:
        """Content -> modality, start and end of each part -> its item, and the row of its vector in a space."""
        sql = (
            "SELECT i.content, i.modality, i.start, i.end, i.id, v.row FROM json_each(?) j CROSS JOIN item i "
            "ON i.content = j.value LEFT JOIN vector v ON v.space = ? AND v.item = i.id"
        )
        found: dict[int, dict[tuple[Modality, float, float], tuple[int, int | None]]] = {}
        for content, modality, start, end, item, row in self.query(sql, (json.dumps(list(contents)), space)):
            found.setdefault(content, {})[modality, start, end] = (item, row)
        return found

    def additions(self) -> Additions:
        """Room for what is to be new, behind the last ids."""
        last = "SELECT (SELECT ifnull(max(id), 0) FROM content), (SELECT ifnull(max(id), 0) FROM source), "
        last += "ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'item'), 0)"
        return Additions(*self.query(last)[0])

    def put_additions(self, new: Additions) -> None:
        """Write what is new, but for its vectors, table by table."""
        for facts in {tuple(facts): facts for _, _, facts, _ in new.contents}.values():
            self._note_fields(facts)
        for columns in {tuple(source.metadata): source.metadata for source in new.sources}.values():
            self._note_fields(columns)
        self._db.executemany(
            "INSERT INTO content (id, hash, facts, text) VALUES (?, ?, ?, ?)",
            ((i, digest, json.dumps(facts) if facts else "{}", text) for i, digest, facts, text in new.contents),
        )
        written = [_json(source.metadata) for source in new.sources]
        places = [(one.path, NO_ROW if one.row is None else one.row) for one in new.sources]
        if self._db.execute("SELECT 1 FROM failure LIMIT 1").fetchone():
            self._db.executemany("DELETE FROM failure WHERE path = ? AND row = ?", places)
        self._db.executemany(
            "INSERT INTO source (id, path, row, content, modalities, size, mtime, metadata, ctime, device) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    one.id,
                    *place,
                    one.content,
                    " ".join(one.modalities),
                    one.size,
                    one.mtime,
                    metadata,
                    one.ctime,
                    one.device,
                )
                for one, place, metadata in zip(new.sources, places, written, strict=True)
            ),
        )
        self._db.executemany(
            "INSERT INTO item (id, content, modality, start, end, text) VALUES (?, ?, ?, ?, ?, ?)",
            new.items,
        )
        called = [(one.id, *file_name(one.path)) for one in new.sources if one.row is None]
        self._db.executemany("INSERT INTO called (id, stem, suffix) VALUES (?, ?, ?)", called)
        self._db.executemany("INSERT INTO parts (rowid, stem) VALUES (?, ?)", (one[:2] for one in called))
        names, said = [], list[tuple[int, int, float]]()  # key of a text, source, weight
        keys: dict[str, int] = {}
        for one, metadata in zip(new.sources, written, strict=True):
            known = read_json(metadata) if "?" in metadata else one.metadata  # which stands for what is no text
            words = words_of(one.path, one.row, known)
            names.append((one.id, words.name, words.folder, "\n".join(words.captions)))
            for text, weight in texts_of(*names[-1][1:]):
                key = keys.get(text)
                if key is None:
                    key = keys[text] = key_of(text)
                said.append((key, one.id, weight))
        self._db.executemany("INSERT INTO names (rowid, name, folder, captions) VALUES (?, ?, ?, ?)", names)
        self._put_said(said)
        if names:
            self._names_changed()

    def _put_said(self, said: Sequence[tuple[int, int, float]]) -> None:
        """Say what sources that are new are called by: the key of a text, the source, how much it counts."""
        keys = list(dict.fromkeys(key for key, _, _ in said))
        found = "SELECT key, id FROM text WHERE key IN (SELECT value FROM json_each(?))"
        ids = dict(self.query(found, (json.dumps(sorted(keys)),)))
        last = self.query("SELECT ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'text'), 0)")[0][0]
        new = {key: i for i, key in enumerate((key for key in keys if key not in ids), last + 1)}
        ids |= new
        self._db.executemany("INSERT INTO text (key, id) VALUES (?, ?)", sorted(new.items()))
        rows = sorted((ids[key], source, weight) for key, source, weight in said)
        self._db.executemany("INSERT INTO said (text, source, weight) VALUES (?, ?, ?)", rows)

    @contextmanager
    def counted_together(self, space: str = "") -> Iterator[None]:
        """Rows that are put behind the last ones are counted when the block ends, not each by a trigger.

        Vectors are those of one space, and nothing that was put is taken away meanwhile.
        """
        content, source, item = (
            self.query(f"SELECT ifnull(max(id), 0) FROM {table}")[0][0] for table in ("content", "source", "item")
        )
        rows = "SELECT ifnull(max(row), -1) FROM vector WHERE space = ? AND modality = ?"
        last = {modality: self.query(rows, (space, modality))[0][0] for modality in MODALITIES}
        self._db.execute("UPDATE counting SET each = 0")
        yield
        self._db.execute("UPDATE counting SET each = 1")
        came = [
            ("content", self.query("SELECT count(*) FROM content WHERE id > ?", (content,))[0][0]),
            ("item", self.query("SELECT count(*) FROM item WHERE id > ?", (item,))[0][0]),
        ]
        kinds = self.query("SELECT modalities, count(*) FROM source WHERE id > ? GROUP BY 1", (source,))
        came += [("source", sum(count for _, count in kinds)), *((f"source {kind}", count) for kind, count in kinds)]
        seen = "NOT EXISTS (SELECT 1 FROM vector WHERE item = item.id)"
        unseen = f"SELECT 'unseen ' || modality, count(*) FROM item WHERE id > ? AND start = ? AND {seen} GROUP BY 1"
        came += self.query(unseen, (item, NO_SPAN))
        for modality, row in last.items():
            new = "FROM vector v WHERE v.space = ? AND v.modality = ? AND v.row > ?"
            count = self.query(f"SELECT count(*) {new}", (space, modality, row))[0][0]
            came.append((f"vector {space} {modality}", count))
            if count:  # items that were there, as wholes without a vector, have one
                was = "FROM item i WHERE i.id = v.item AND i.start = ?"
                was = f"EXISTS (SELECT 1 {was}) AND 1 = (SELECT count(*) FROM vector o WHERE o.item = v.item)"
                first = self.query(
                    f"SELECT count(*) {new} AND +v.item <= ? AND {was}", (space, modality, row, item, NO_SPAN)
                )
                came.append((f"unseen {modality}", -first[0][0]))
        sql = "INSERT INTO tally VALUES (?, ?) ON CONFLICT (kind) DO UPDATE SET count = count + excluded.count"
        self._db.executemany(sql, [(kind, count) for kind, count in came if count])

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
            self._db.execute(WHOLES, (content, NO_SPAN))
        sql = "INSERT OR REPLACE INTO done (content, space, modality, parts, error) VALUES (?, ?, ?, ?, ?)"
        self._db.execute(sql, (content, space, modality, parts, error))

    def put_all_done(self, space: str, new: Additions) -> None:
        """What was added is through in a space, as ``put_done`` says it of one content."""
        rows = [(content, space, kind, *done) for (content, kind), done in sorted(new.done.items())]
        sql = "INSERT OR REPLACE INTO done (content, space, modality, parts, error) VALUES (?, ?, ?, ?, ?)"
        self._db.executemany(sql, rows)
        there = [
            (content, NO_SPAN) for (content, _), (parts, _) in new.done.items() if parts and content <= new.content
        ]
        self._db.executemany(WHOLES, there)

    def put_names_file(self, space: str, file: str, rows: int) -> None:
        """Which file holds the vectors of texts, and how many of its rows count; those of other spaces go."""
        self._db.execute("DELETE FROM meant")
        self._db.execute("INSERT INTO meant (space, file, rows) VALUES (?, ?, ?)", (space, file, rows))

    def put_columns_file(self, file: str, last: int) -> None:
        """Which file has what filters ask of the sources up to the ``last``, all of them as they are now."""
        self._db.execute("DELETE FROM columns")
        self._db.execute("DELETE FROM altered")
        self._db.execute("INSERT INTO columns (file, last) VALUES (?, ?)", (file, last))

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
        gone = 0
        for start in range(0, len(ids), SOME):
            some = json.dumps([int(i) for i in ids[start : start + SOME]])
            held = self._numbers(f"SELECT DISTINCT content FROM source WHERE {_among('id')}", (some,))
            self._forget_called(some)
            words = self.query(f"SELECT rowid, name, folder, captions FROM names WHERE {_among('rowid')}", (some,))
            self._forget_said([(key_of(text), i) for i, *called in words for text, _ in texts_of(*called)])
            self._db.execute(f"DELETE FROM source WHERE {_among('id')}", (some,))
            self._db.execute(f"DELETE FROM names WHERE {_among('rowid')}", (some,))
            gone += self._sweep(held)
        self._names_changed()
        return gone

    def sweep(self) -> int:
        """Forget contents that lost their last source, with their items and vectors; gives how many items went."""
        return self._sweep(self._numbers("SELECT content FROM loose"))

    def _sweep(self, contents: npt.NDArray[np.int64]) -> int:
        """Forget those of some contents that no source holds."""
        gone = 0
        for start in range(0, len(contents), SOME):
            some = json.dumps(contents[start : start + SOME].tolist())
            alone = "NOT EXISTS (SELECT 1 FROM source s WHERE s.content = content.id)"
            orphans = self._numbers(f"SELECT id FROM content WHERE {_among('id')} AND {alone}", (some,))
            self._db.execute(f"DELETE FROM loose WHERE {_among('content')}", (some,))
            if not len(orphans):
                continue
            these = (json.dumps(orphans.tolist()),)
            items = f"SELECT id FROM item WHERE {_among('content')}"
            self._db.execute(f"DELETE FROM vector WHERE item IN ({items})", these)
            gone += self._db.execute(f"DELETE FROM item WHERE {_among('content')}", these).rowcount
            for table in ("done", "label"):
                self._db.execute(f"DELETE FROM {table} WHERE {_among('content')}", these)
            self._db.execute(f"DELETE FROM content WHERE {_among('id')}", these)
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


def _among(column: str) -> str:
    """A column is one of a JSON list."""
    return f"{column} IN (SELECT value FROM json_each(?))"


_encode: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def _json(value: Any) -> str:
    """JSON that SQLite takes: what is no number becomes null, half of a surrogate pair, which is no text, a "?"."""
    try:
        text = _encode(value)
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
