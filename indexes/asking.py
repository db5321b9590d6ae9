"""Questions to the full-text indexes of names that cost about the same however many names there are.

What stands in few names is looked at whole, and ranked by SQLite itself. A word that stands in many has little to tell
them apart by: FTS5 would read every one of them to rank them, so some are looked at, from all over the collection,
beside all that the rarer words find, and ranked by the same formula. Which words those were is told.
"""

from __future__ import annotations

import json
import math
import sqlite3
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["COLUMNS", "ID", "TOKENIZER", "WEIGHTS", "ByParts", "ByWords", "Narrowing", "by_parts", "by_words"]

TOKENIZER: Final = "porter unicode61 remove_diacritics 2"
COLUMNS: Final = ("name", "folder", "captions")
WEIGHTS: Final = (4.0, 1.0, 4.0)  # of a word in a file's name, in its folders' names, in its captions
K1: Final = 1.2  # FTS5's constants of BM25, and the least a word can tell
B: Final = 0.75
LEAST: Final = 1e-6

MANY: Final = 2048  # names that any of the words stands in, up to which SQLite ranks them all
RARE: Final = 1024  # names that a word stands in, up to which all are looked at where there are more with others
WORDS: Final = 32  # words of a question that are asked for where they stand in more than MANY names: the rarest
SAMPLED: Final = 256  # names that are looked at of those with a common word, and of those that rare ones find
WINDOWS: Final = 8  # places all over the collection that they are taken from
WIDTH: Final = 2048  # sources in a row of a place that are looked through for names with several common words
EXAMINED: Final = 16384  # names with common words that a filter is asked about
GROUPS: Final = 8  # groups of three letters of a question that are weighed
PARTED: Final = 1024  # names with a group of letters that are compared with the question
JOINED: Final = 3  # groups that SQLite intersects
INTERSECTED: Final = 16384  # names with the rarest of these, up to which it does so for all names

ID: Final = "<id>"

Query = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class Narrowing:
    """A condition in SQL that the source with the id ``ID`` fulfils, with its parameters."""

    sql: str = "1"
    parameters: Sequence[Any] = ()

    @property
    def filters(self) -> bool:
        """Whether it leaves anything out."""
        return self.sql != "1"

    def of(self, column: str) -> str:
        """The condition on the source whose id a column has."""
        return self.sql.replace(ID, column)


ALL: Final = Narrowing()


@dataclass(frozen=True, slots=True)
class ByWords:
    """Ids of sources and BM25 scores, best first: those that ``some`` of the words name, and those that ``all`` do.

    ``common`` are the words that stand in so many names that only some of those were looked at.
    """

    some: list[tuple[int, float]]
    all: list[tuple[int, float]]
    common: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ByParts:
    """Ids of sources and the share of their name that was asked for, best first; ``whole`` if all were looked at."""

    found: list[tuple[int, float]]
    whole: bool = True


# -- words -----------------------------------------------------------------------------------------------------------


def by_words(query: Query, words: Sequence[str], narrowing: Narrowing = ALL) -> ByWords:
    """The sources that any, and that all, of the words name, or other forms of them.

    Robertson and Zaragoza, "The probabilistic relevance framework: BM25 and beyond" (2009), as SQLite's FTS5 computes
    it, with k1 = 1.2 and b = 0.75; higher is better here. Where any word stands in more than ``MANY`` names, a filter
    narrows those that are looked at, and only then.
    """
    words = [word for word in words if '"' not in word]
    if not words:
        return ByWords([], [])
    if len(_matching(query, _any(words), MANY + 1)) <= MANY:
        some = _ranked(query, _any(words))
        return ByWords(some, some if len(words) == 1 else _ranked(query, _every(words)))
    return _Common(query, words, narrowing).found()


def _any(words: Iterable[str]) -> str:
    return " OR ".join(f'"{word}"' for word in words)


def _every(words: Iterable[str]) -> str:
    return " AND ".join(f'"{word}"' for word in words)


def _matching(query: Query, match: str, limit: int) -> list[int]:
    """The first ids, in order: FTS5 reads no further than it has to."""
    return [i for (i,) in query("SELECT rowid FROM names WHERE names MATCH ? LIMIT ?", (match, limit))]


def _ranked(query: Query, match: str, limit: int = -1) -> list[tuple[int, float]]:
    weights = ", ".join(map(str, WEIGHTS))
    sql = f"SELECT rowid, -bm25(names, {weights}) FROM names WHERE names MATCH ? ORDER BY 2 DESC, 1 LIMIT ?"
    return query(sql, (match, limit))


class _Common:
    """A question with words that stand in many names."""

    def __init__(self, query: Query, words: Sequence[str], narrowing: Narrowing) -> None:
        self.query, self.narrowing = query, narrowing
        self.last = int(query("SELECT max(id) FROM source", ())[0][0] or 0)
        cap = RARE + 1 if len(words) <= WORDS else 2 * RARE // WORDS
        self.counts: dict[str, float] = {word: len(_matching(query, f'"{word}"', cap)) for word in words}
        order = {word: at for at, word in enumerate(sorted(words, key=lambda word: self.counts[word]))}
        self.words = [word for word in words if order[word] < WORDS]
        self.rare = [word for word in self.words if self.counts[word] < cap]
        self.common = [word for word in self.words if self.counts[word] >= cap]
        self.left_out = tuple(word for word in words if self.counts[word] >= cap)

    def found(self) -> ByWords:
        for word in self.common:
            self.counts[word] = self._estimate(word)
        looked_at = dict.fromkeys(self._candidates())
        scores = _scores(self.query, list(looked_at), self.words, self.counts)
        some = sorted(((i, score) for i, (score, _) in scores.items()), key=lambda one: (-one[1], one[0]))
        every = {i for i, (_, count) in scores.items() if count == len(self.words)}
        return ByWords(some, [one for one in some if one[0] in every], self.left_out)

    def _candidates(self) -> Iterator[int]:
        if self.rare:
            if self.common:
                yield from self._narrowed(f"({_any(self.rare)}) AND ({_any(self.common)})", SAMPLED // 2)
                yield from self._narrowed(_every(self.words), SAMPLED // 4)
            if self.narrowing.filters:
                yield from self._narrowed(_any(self.rare), SAMPLED)
            else:
                yield from (i for i, _ in _ranked(self.query, _any(self.rare), SAMPLED))
        elif len(self.common) > 1:
            for first, _ in self._places():
                yield from self._narrowed(_every(self.common), SAMPLED // WINDOWS, first, first + WIDTH)
        each = max(1, SAMPLED // (WINDOWS * max(1, len(self.common))))
        for word in self.common:
            for first, end in self._places():
                yield from self._narrowed(f'"{word}"', each, first, end)

    def _narrowed(self, match: str, limit: int, first: int = 0, end: int | None = None) -> list[int]:
        """The first sources of a range that match, and fulfil the filter."""
        examined = limit
        if self.narrowing.filters:
            examined = EXAMINED if end is None else EXAMINED // (WINDOWS * len(self.common))
        sql = (
            "SELECT f.id FROM (SELECT rowid AS id FROM names WHERE names MATCH ? AND rowid >= ? AND rowid < ? "
            f"LIMIT ?) f WHERE {self.narrowing.of('f.id')} LIMIT ?"
        )
        end = self.last + 1 if end is None else end
        return [i for (i,) in self.query(sql, (match, first, end, examined, *self.narrowing.parameters, limit))]

    def _places(self) -> Iterator[tuple[int, int]]:
        return _places(self.last)

    def _estimate(self, word: str) -> float:
        """How many names a word stands in."""
        return _estimate(self.query, "names", f'"{word}"', self.last, RARE)


def _places(last: int) -> Iterator[tuple[int, int]]:
    for place in range(WINDOWS):
        yield last * place // WINDOWS, last * (place + 1) // WINDOWS + (place == WINDOWS - 1)


def _estimate(query: Query, table: str, match: str, last: int, read: int) -> float:
    """How many rows match, by how near those that are read lie to each other."""
    limit, total = max(1, read // WINDOWS), 0.0
    one = (
        f"SELECT ?, ?, count(*), max(id) FROM (SELECT rowid AS id FROM {table} WHERE {table} MATCH ? AND rowid >= ? "
        "AND rowid < ? LIMIT ?)"
    )
    places = list(_places(last))
    values = [value for first, end in places for value in (first, end, match, first, end, limit)]
    for first, end, count, highest in query(" UNION ALL ".join([one] * len(places)), values):
        total += count if count < limit else limit * (end - first) / (highest - first + 1)
    return total


def _scores(
    query: Query, ids: Sequence[int], words: Sequence[str], counts: Mapping[str, float]
) -> dict[int, tuple[float, int]]:
    """BM25 of some sources, as FTS5 computes it, and how many of the words each has; those with none are left out."""
    documents, average = _sizes(query)
    rows = []
    for start in range(0, len(ids), 500):
        some = ids[start : start + 500]
        marks = ",".join("?" * len(some))
        rows += query(f"SELECT rowid, {', '.join(COLUMNS)} FROM names WHERE rowid IN ({marks})", some)
    lengths, hits = _tokens(rows, words)
    rarity = {}
    for number, word in enumerate(words):
        told = math.log((documents - counts[word] + 0.5) / (counts[word] + 0.5)) if counts[word] < documents else 0.0
        rarity[number] = told if told > 0 else LEAST
    scores = {}
    for i, found in hits.items():
        length = K1 * (1 - B + B * lengths[i] / average)
        score = sum(rarity[number] * weight * (K1 + 1) / (weight + length) for number, weight in found.items())
        scores[i] = score, len(found)
    return scores


def _sizes(query: Query) -> tuple[int, float]:
    """How many names FTS5 has, and how many tokens one has on average, from its record of averages."""
    block = query("SELECT block FROM names_data WHERE id = 1", ())[0][0]
    values, value = [], 0
    for byte in block:  # SQLite's variable-length integers, which end with a byte below 128; none here takes nine bytes
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            values.append(value)
            value = 0
    return values[0], max(1.0, sum(values[1:]) / max(1, values[0]))


def _tokens(
    rows: Sequence[tuple[Any, ...]], words: Sequence[str]
) -> tuple[dict[int, int], dict[int, dict[int, float]]]:
    """Of texts ``(id, *COLUMNS)``: how many tokens each has, and of each word that it has the weighted hits.

    What FTS5 takes for a token, and for a word's stem, it says itself.
    """
    memory = sqlite3.connect(":memory:")
    try:
        memory.execute(f"CREATE VIRTUAL TABLE names USING fts5({', '.join(COLUMNS)}, tokenize = '{TOKENIZER}')")
        memory.execute("CREATE VIRTUAL TABLE token USING fts5vocab(names, instance)")
        memory.executemany("INSERT INTO names (rowid, name) VALUES (?, ?)", [(-1 - n, w) for n, w in enumerate(words)])
        memory.executemany("INSERT INTO names (rowid, name, folder, captions) VALUES (?, ?, ?, ?)", rows)
        phrases: dict[int, list[str]] = defaultdict(list)
        sql = "SELECT doc, term FROM token WHERE doc < 0 ORDER BY doc, offset"
        for document, term in memory.execute(sql):
            phrases[-1 - document].append(term)
        terms = sorted({term for phrase in phrases.values() for term in phrase})
        lengths = dict(memory.execute("SELECT doc, count(*) FROM token WHERE doc >= 0 GROUP BY doc"))
        columns = " ".join(f"WHEN '{column}' THEN {weight}" for column, weight in zip(COLUMNS, WEIGHTS, strict=True))
        sql = (
            f"SELECT doc, term, sum(CASE col {columns} END), json_group_array(json_array(col, offset)) FROM token "
            f"WHERE term IN ({','.join('?' * len(terms))}) AND doc >= 0 GROUP BY doc, term"
        )
        found: dict[int, dict[str, tuple[float, str]]] = defaultdict(dict)
        for document, term, weight, places in memory.execute(sql, terms):
            found[document][term] = weight, places
    finally:
        memory.close()
    hits: dict[int, dict[int, float]] = {}
    for document, at in found.items():
        weights = {}
        for number, phrase in phrases.items():
            if len(phrase) == 1 and phrase[0] in at:
                weights[number] = at[phrase[0]][0]
            elif len(phrase) > 1 and (weight := _together(phrase, at)):
                weights[number] = weight
        if weights:
            hits[document] = weights
    return lengths, hits


def _together(phrase: Sequence[str], at: Mapping[str, tuple[float, str]]) -> float:
    """The weighted hits of a word that is several tokens, one after another, by where each of those stands."""
    if any(term not in at for term in phrase):
        return 0.0
    places = [{(column, offset) for column, offset in json.loads(at[term][1])} for term in phrase]
    return sum(
        WEIGHTS[COLUMNS.index(column)]
        for column, offset in places[0]
        if all((column, offset + more) in some for more, some in enumerate(places))
    )


# -- parts of names --------------------------------------------------------------------------------------------------


def by_parts(query: Query, part: str, suffix: str | None, narrowing: Narrowing = ALL) -> ByParts:
    """The sources whose file's name, in the form of ``folded``, has the part in it; with a suffix, that one.

    Where all groups of three letters of the part stand in very many names, those that begin with it are found, and some
    of the others.
    A part of fewer than three characters finds nothing.
    """
    groups = list(dict.fromkeys(part[at : at + 3] for at in range(len(part) - 2)))
    if not groups or "\0" in part:
        return ByParts([])
    asked = groups if len(groups) <= GROUPS else [groups[len(groups) * at // GROUPS] for at in range(GROUPS)]
    counts = {}
    for group in asked:
        sql = "SELECT count(*) FROM (SELECT rowid FROM parts WHERE parts MATCH ? LIMIT ?)"
        counts[group] = query(sql, (_quoted(group), PARTED + 1))[0][0]
        if not counts[group]:
            return ByParts([])
    last = int(query("SELECT max(id) FROM source", ())[0][0] or 0)
    if min(counts.values()) > PARTED:
        counts = {group: _estimate(query, "parts", _quoted(group), last, PARTED // GROUPS) for group in asked}
    rarest = sorted(asked, key=lambda group: counts[group])[:JOINED]
    match = " AND ".join(map(_quoted, rarest))
    test = "AND instr(d.stem, ?) > 0" + (" AND d.suffix = ?" if suffix else "")
    values = [part, suffix] if suffix else [part]
    sql = (
        "SELECT f.id, 1.0 * length(?) / length(d.stem) FROM (SELECT rowid AS id FROM parts WHERE parts MATCH ? AND "
        "rowid >= ? AND rowid < ? LIMIT ?) f CROSS JOIN called d ON d.id = f.id "
        f"WHERE {narrowing.of('f.id')} {test} ORDER BY 2 DESC, 1 LIMIT ?"
    )
    whole = (counts[rarest[0]] <= INTERSECTED and len(rarest) == JOINED) or counts[rarest[0]] <= PARTED
    windows = [(0, last + 1)]
    found: dict[int, float] = {}
    if not whole:
        starts = (
            "SELECT d.id, 1.0 * length(?) / length(d.stem) FROM called d WHERE d.stem >= ? AND d.stem < ? "
            f"AND {narrowing.of('d.id')} {test} LIMIT ?"
        )
        found.update(
            query(starts, (part, part, part + chr(sys.maxunicode), *narrowing.parameters, *values, PARTED // WINDOWS))
        )
        firsts = (last * place // WINDOWS for place in range(WINDOWS))
        windows = [(first, first + max(WIDTH, last // WINDOWS if len(rarest) == 1 else 0)) for first in firsts]
    for first, end in windows:
        limit = 4 * INTERSECTED if whole else PARTED // WINDOWS
        found.update(query(sql, (part, match, first, end, limit, *narrowing.parameters, *values, PARTED)))
    return ByParts(sorted(found.items(), key=lambda one: (-one[1], one[0])), whole)


def _quoted(group: str) -> str:
    return '"' + group.replace('"', '""') + '"'
