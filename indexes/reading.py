"""What the catalog is asked: sources, items, rows of vectors, names, fields, counts, what failed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from embed.errors import spelled_out
from embed.media import Media, Modality, Span
from indexes.asking import ID, ByParts, ByWords, Narrowing, by_parts, by_words
from indexes.database import BLOCK, Database
from indexes.fields import of_source
from indexes.records import Failure, Item, Named, Note, Pending, Source, Store
from indexes.where import Condition
from indexes.words import file_name, folded, key_of, texts_of

__all__ = ["NO_ROW", "NO_SPAN", "STORES", "Reading", "read_json"]

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
NO_SPAN: Final = -1.0
NO_ROW: Final = -1


class Reading(Database):
    """The questions that searches and runs ask of the catalog; they change nothing."""

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

    def each_place_under(self, root: str) -> Iterator[tuple[str, int | None, int]]:
        """``places_under``, a thousand at a time; whatever is written meanwhile, none comes twice."""
        path, low, high = _below(root)
        count, last = "SELECT path, max(device), count(*) FROM source WHERE", low
        yield from self.query(f"{count} path = ? GROUP BY path", (path,))
        below = f"{count} path > ? AND path < ? GROUP BY path ORDER BY path LIMIT 1000"
        while some := self.query(below, (last, high)):
            yield from some
            last = some[-1][0]

    def count_paths(self) -> int:
        """How many files there are: a table is one, however many rows it has."""
        return int(self.query("SELECT count(DISTINCT path) FROM source")[0][0])

    def sources_after(self, last: int, limit: int) -> list[Source]:
        """The next sources in order of their ids."""
        ids = self._numbers("SELECT id FROM source WHERE id > ? ORDER BY id LIMIT ?", (last, limit)).tolist()
        found = {source.id: source for source in self._sources(f"id IN ({','.join('?' * len(ids))})", ids)}
        return [found[i] for i in ids]

    def items_of_contents(self, contents: Sequence[int]) -> dict[int, list[int]]:
        """Content id -> ids of its items, in order."""
        found: dict[int, list[int]] = {}
        for start in range(0, len(contents), 500):
            some = list(contents[start : start + 500])
            sql = f"SELECT content, id FROM item WHERE content IN ({','.join('?' * len(some))}) ORDER BY id"
            for content, item in self.query(sql, some):
                found.setdefault(content, []).append(item)
        return found

    def item_ids(self, space: str, modality: Modality) -> npt.NDArray[np.int64]:
        """The item of each row that counts, in order of the rows, int64 ``(n,)``."""
        return self._numbers("SELECT item FROM vector WHERE space = ? AND modality = ? ORDER BY row", (space, modality))

    def _sources(self, condition: str, parameters: Sequence[Any]) -> list[Source]:
        rows = self.query(
            "SELECT id, path, row, content, size, mtime, modalities, metadata, ctime, device FROM source "
            f"WHERE {condition} ORDER BY path, row",
            parameters,
        )
        return [
            Source(i, path, None if row == NO_ROW else row, content, size, mtime, tuple(k.split()), read_json(m), *at)
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
                    known, said = read_json(facts), read_json(labels) if labels else {}
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

    def matching_since(
        self, space: str, modality: Modality, condition: str, parameters: Sequence[Any], last: int
    ) -> npt.NDArray[np.int64]:
        """As ``matching_rows``, by the sources alone later than the ``last`` of the columns, or altered."""
        found = []
        for sources, after in (
            ("altered a CROSS JOIN source s ON s.id = a.source", "1 OR ?"),
            ("source s", "s.id > ?"),
        ):
            sql = (
                f"SELECT v.row FROM {sources} CROSS JOIN {CONTENT} c ON c.id = s.content CROSS JOIN item i ON "
                "i.content = s.content CROSS JOIN vector v ON v.item = i.id "
                f"WHERE ({after}) AND ({condition}) AND v.space = ? AND v.modality = ?"
            )
            found.append(self._numbers(sql, [last, *parameters, space, modality]))
        return np.concatenate(found)

    def matching_among(
        self, space: str, modality: Modality, rows: npt.NDArray[np.int64], condition: str, parameters: Sequence[Any]
    ) -> npt.NDArray[np.bool_]:
        """Which of some rows ``matching_rows`` would give, bool ``(n,)``."""
        found = [np.zeros(0, np.int64)]
        for start in range(0, len(rows), 500):
            some = rows[start : start + 500].tolist()
            sql = (
                "SELECT v.row FROM vector v CROSS JOIN item i ON i.id = v.item CROSS JOIN source s "
                f"ON s.content = i.content CROSS JOIN {CONTENT} c ON c.id = s.content "
                f"WHERE v.space = ? AND v.modality = ? AND v.row IN ({','.join('?' * len(some))}) AND ({condition})"
            )
            found.append(self._numbers(sql, [space, modality, *some, *parameters]))
        return np.isin(rows, np.concatenate(found))

    # -- what columns are made of --------------------------------------------------------------------------------------

    def columns_file(self) -> tuple[str, int] | None:
        """Which file has what filters ask of the sources, and the last source that it has."""
        found = self.query("SELECT file, last FROM columns")
        return (found[0][0], found[0][1]) if found else None

    def altered_sources(self, limit: int = -1) -> npt.NDArray[np.int64]:
        """The sources that this file has not as they are, int64 ``(n,)`` in order, ``limit`` at most."""
        return self._numbers("SELECT source FROM altered ORDER BY source LIMIT ?", (limit,))

    def last_source(self) -> int:
        """The highest id of a source; 0 where there is none."""
        return int(self.query("SELECT max(id) FROM source")[0][0] or 0)

    def values_of_sources(
        self, fields: Sequence[str], first: int, last: int, *, altered: bool = False
    ) -> list[tuple[Any, ...]]:
        """Of the sources from one id to another, all or the altered ones: id, content, and the value of each field.

        Each of the fields has an SQL in ``of_source``.
        """
        columns = [found for field in fields if (found := of_source(field)) is not None]
        contents = CONTENT if self.query("SELECT 1 FROM label LIMIT 1") else "content"
        sources, of = (
            ("altered a CROSS JOIN source o ON o.id = a.source", "a.source") if altered else ("source o", "o.id")
        )
        sql = (  # LIMIT: what is selected first is not worked out again for each field
            f"SELECT {', '.join(['s.id', 's.content', *(sql for sql, _ in columns)])} FROM ("
            f"SELECT o.id, o.content, o.metadata, o.path, o.row, o.size, c.facts FROM {sources} "
            f"CROSS JOIN {contents} c ON c.id = o.content WHERE {of} BETWEEN ? AND ? LIMIT -1) s"
        )
        return self.query(sql, [*(one for _, bound in columns for one in bound), first, last])

    def contents_of_rows(self, space: str, modality: Modality, first: int, end: int) -> npt.NDArray[np.int64]:
        """The content of each row of a vector file from ``first`` to before ``end``, int64; -1 of those that died."""
        found = np.full(max(0, end - first), -1, np.int64)
        sql = (
            "SELECT v.row, i.content FROM vector v CROSS JOIN item i ON i.id = v.item "
            "WHERE v.space = ? AND v.modality = ? AND v.row >= ? AND v.row < ?"
        )
        for start in range(first, end, BLOCK):
            if some := self.query(sql, (space, modality, start, min(end, start + BLOCK))):
                rows, contents = np.array(some, np.int64).T
                found[rows - first] = contents
        return found

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

    def last_text(self) -> int:
        """The id that was given to a text last; 0 before there was one."""
        found = self.query("SELECT seq FROM sqlite_sequence WHERE name = 'text'")
        return int(found[0][0]) if found else 0

    def live_texts(self, first: int, last: int) -> npt.NDArray[np.int64]:
        """Ids of the texts from one id to another, both included, that something is called by, in order."""
        return self._numbers("SELECT id FROM text WHERE id BETWEEN ? AND ? ORDER BY id", (first, last))

    def texts_there(self, texts: Sequence[int]) -> set[int]:
        """Those of some texts that something is called by."""
        found = set[int]()
        for start in range(0, len(texts), 500):
            some = texts[start : start + 500]
            found |= {i for (i,) in self.query(f"SELECT id FROM text WHERE id IN ({','.join('?' * len(some))})", some)}
        return found

    def sources_saying(self, texts: Sequence[int], narrowing: Narrowing, limit: int) -> list[tuple[int, int, float]]:
        """Of each text the first sources that are called by it and fulfil a condition: text, source, how much it says.

        As many texts as SQLite takes questions in one, which are 500.
        """
        one = (
            "SELECT * FROM (SELECT d.text, d.source, d.weight FROM said d WHERE d.text = ? "
            f"AND {narrowing.of('d.source')} LIMIT ?)"
        )
        return self.query(
            " UNION ALL ".join([one] * len(texts)),
            [value for text in texts for value in (text, *narrowing.parameters, limit)],
        )

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

    def is_done(self, content: int, space: str, modality: Modality) -> bool:
        """Whether a space is through with a content, whatever came of it."""
        sql = "SELECT 1 FROM done WHERE content = ? AND space = ? AND modality = ?"
        return bool(self.query(sql, (content, space, modality)))

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
        return {content: read_json(fields) for content, fields in self.query("SELECT content, fields FROM label")}

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

    def count_failures(self) -> int:
        """How many ``failures`` there are."""
        sql = (
            "SELECT (SELECT count(*) FROM failure) + (SELECT count(*) FROM (SELECT 1 FROM done d CROSS JOIN source s "
            "ON s.content = d.content WHERE d.error IS NOT NULL GROUP BY s.path, s.row, d.error))"
        )
        return int(self.query(sql)[0][0])

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

    def pending(self, space: str, modality: Modality, roots: Sequence[str]) -> npt.NDArray[np.int64]:
        """The contents of a modality at or below some paths that a space has not yet, in order, int64 ``(n,)``."""
        # All roots in one list: a shell's *.wav may name more paths than a statement has parameters.
        under = "SELECT s.content, s.modalities FROM json_each(?1) j CROSS JOIN source s ON s.path"
        low, high = (f"json_extract(j.value, '$[{which}]')" for which in (1, 2))
        sql = (
            f"SELECT DISTINCT s.content FROM ({under} = json_extract(j.value, '$[0]') UNION ALL "
            f"{under} > {low} AND s.path < {high}) s WHERE instr(' ' || s.modalities || ' ', ?2) > 0 "
            "AND NOT EXISTS (SELECT 1 FROM done d WHERE d.content = s.content AND d.space = ?3 AND d.modality = ?4)"
        )
        asked = json.dumps([_below(root) for root in roots])
        return np.sort(self._numbers(sql, (asked, f" {modality} ", space, modality)))

    def seconds(self, contents: npt.NDArray[np.int64]) -> float:
        """How long some contents last in all, as far as that is known."""
        known = "iif(json_valid(facts), json_extract(facts, '$.duration'), 0)"
        sql = f"SELECT total({known}) FROM content WHERE id IN (SELECT value FROM json_each(?))"
        asked = (json.dumps(contents[start : start + BLOCK].tolist()) for start in range(0, len(contents), BLOCK))
        return float(sum(self.query(sql, (some,))[0][0] for some in asked))

    def pending_media(
        self, modality: Modality, contents: npt.NDArray[np.int64], roots: Sequence[str]
    ) -> Iterator[Pending]:
        """Those contents in order, each with its first source at or below the paths; read as they are asked for."""
        named = {str(Path(root)) for root in roots}
        for start in range(0, len(contents), 1000):
            rows = self.query(
                "SELECT c.id, c.text, c.facts, s.path, s.row, s.size, s.mtime FROM json_each(?) j "
                "CROSS JOIN content c ON c.id = j.value CROSS JOIN source s ON s.content = c.id "
                "WHERE instr(' ' || s.modalities || ' ', ?) > 0 ORDER BY c.id, s.path, s.row",
                (json.dumps(contents[start : start + 1000].tolist()), f" {modality} "),
            )
            last = 0
            for content, text, facts, path, row, size, mtime in rows:
                if content != last and (path in named or any(str(folder) in named for folder in Path(path).parents)):
                    last = content
                    media = Media(modality, path=path, text=text, row=None if row == NO_ROW else row)
                    yield Pending(content, media, size, mtime, float(read_json(facts).get("duration") or 0.0))


def _below(root: str, separator: str = os.sep) -> tuple[str, str, str]:
    r"""A path, and the texts between which all paths below it lie, as SQLite compares the bytes of UTF-8.

    >>> _below("/a"), _below("C:\\", "\\")
    (('/a', '/a/', '/a0'), ('C:\\', 'C:\\', 'C:]'))
    """
    root = spelled_out(root)  # as paths that are not UTF-8 never stand here, but may be asked for
    prefix = root.rstrip(separator)
    return root, f"{prefix}{separator}", f"{prefix}{chr(ord(separator) + 1)}"


# Collections of earlier versions may hold numbers that JSON has not.
read_json: Final = json.JSONDecoder(parse_constant=lambda _: None).decode
