"""Selection: of a list of prompts, those that say best what a recording, a picture, a text or an expression is like.

A list is a collection of texts, or a file, which becomes a collection of its own below ``config.home()/lists`` the
first time: thousands of captions are encoded once. Or a prompt is what the files of a collection are called in their
metadata, where these are recordings or pictures.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from analogon.prompts import Prompt, Source
from analogon.search.ask import QueryLike
from analogon.search.hits import Hit
from analogon.search.library import Library
from analogon.settings import config
from embed import tables
from embed.errors import CollectionLocked, MediaError, UsageError
from embed.media import TABLE_SUFFIXES, check_readable
from indexes.build import Listener
from indexes.durable import replacing

__all__ = ["VARIETY", "Chosen", "Selection", "open_list", "select"]

VARIETY: Final = 0.3
"""How much being unlike those before it counts for a prompt: Carbonell and Goldstein's trade of 0.7. Lists hold the
same prompt in many wordings; without it five of one kind come back, and far above it the query hardly counts."""
TEXT_COLUMNS: Final = ("prompt", "caption", "text", "description")
LINES: Final = ("line", "list file")  # metadata of a row that was a line of a text file
SPARE: Final = 4  # hits asked for each prompt, where hits may have no caption, or the same one


@dataclass(frozen=True, slots=True)
class Chosen:
    """A prompt that was chosen: its rank from 1, and its cosine with what was asked."""

    rank: int
    score: float
    prompt: Prompt

    def to_json(self) -> dict[str, Any]:
        return {"rank": self.rank, "score": round(self.score, 6)} | self.prompt.to_json()


@dataclass(frozen=True, slots=True)
class Selection:
    """The prompts for ``query``, in the order in which they were chosen; ``notes`` say what could not be asked."""

    query: str
    chosen: tuple[Chosen, ...]
    notes: tuple[str, ...]
    arithmetic: bool = False
    """Whether more was asked than a text or a file."""


def select(
    library: Library,
    query: QueryLike,
    *,
    k: int = 5,
    variety: float = VARIETY,
    caption: str | None = None,
    where: str | None = None,
    bridge: str | None = None,
    encoders: Sequence[str | os.PathLike[str] | Mapping[str, Any]] = (),
) -> Selection:
    """The ``k`` best prompts of a collection for a query, each with the hit that it comes from.

    ``query``, ``where``, ``bridge``, ``encoders`` and ``variety`` are ``Library.search``'s. The prompts are the
    collection's texts; with ``caption``, the metadata of that name of the recordings and pictures that are nearest,
    each wording once. Raises what ``Library.search`` does, and ``UsageError`` where the collection has no such column.
    """
    if caption is None:
        held = library.collection.catalog.kinds()
        if held and "text" not in held:
            raise UsageError(
                f"{library.collection.name} holds {', '.join(sorted(held))}, no texts: `caption` names the "
                "column of their metadata that prompts are made of"
            )
        hits = library.search(
            query, to="text", by="content", k=k, variety=variety, where=where, bridge=bridge, spaces=encoders
        )
        found = [(_words(hit.media.text or ""), hit) for hit in hits]
    else:
        fields = library.collection.catalog.fields()
        if caption not in fields:
            known = ", ".join(sorted(fields)) or "none: index with metadata"
            raise UsageError(f"{library.collection.name} has no column {caption!r}; its columns: {known}")
        hits = library.search(
            query, by="content", k=SPARE * k, variety=variety, where=where, bridge=bridge, spaces=encoders
        )
        found = [(_words(str(hit.metadata.get(caption, ""))), hit) for hit in hits]
    first: dict[str, Hit] = {}
    for text, hit in found:
        if text:
            first.setdefault(text, hit)
    chosen = [
        Chosen(rank, hit.score, Prompt(text, because=(_source(hit),)))
        for rank, (text, hit) in enumerate(list(first.items())[:k], start=1)
    ]
    return Selection(hits.query, tuple(chosen), hits.notes, hits.arithmetic)


def _words(text: str) -> str:
    return " ".join(text.split())


def _source(hit: Hit) -> Source:
    """Where a prompt stands: a row of a table, a line of a list, a recording."""
    if all(key in hit.metadata for key in LINES):
        line, path = (hit.metadata[key] for key in LINES)
        return Source(f"{path}, line {line}", hit.score, hit.media.text, hit.id)
    return Source.of(hit)


# -- a file as a collection -------------------------------------------------------------------------------------------


@contextmanager
def open_list(
    path: Path,
    encoder: str | os.PathLike[str] | Mapping[str, Any],
    *,
    text_column: str | None = None,
    listener: Listener | None = None,
) -> Iterator[Library]:
    """The prompts of a file as an open collection, which is made, or brought up to date, in ``config.home()/lists``.

    The file is a table with the texts in ``text_column`` (without it the one called prompt, caption, text or
    description, or the only one), or a text file with a prompt on each line. Only what is new in it is encoded. Raises
    ``UsageError`` and ``MediaError`` where it cannot be read.
    """
    path = path.expanduser().resolve()
    check_readable(path)
    column = text_column
    table, column = (path, _column(path, column)) if path.suffix.lower() in TABLE_SUFFIXES else (None, column)
    if table is None and column is not None:
        raise UsageError(f"{path}: a text file has no columns; `text_column` goes with a csv, tsv or jsonl table")
    key = hashlib.blake2b(json.dumps([str(path), column]).encode(), digest_size=4).hexdigest()
    folder = config.home() / "lists" / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', path.stem)[:40]}-{key}"
    if table is None:
        table, column = folder.with_name(f"{folder.name}.jsonl"), "text"
        _write_lines(path, table)
    with Library.open_or_create(folder) as library:
        try:
            library.index(
                table,
                encoders=[encoder],
                text_column=column,
                only=["text"],
                prune=True,
                listener=listener,
            )
        except CollectionLocked:
            # Somebody else is bringing it up to date: what it holds of this encoder can be asked.
            if not library.collection.spaces:
                raise
        yield library


def _column(path: Path, column: str | None) -> str:
    there = tables.columns(path)
    if column is not None:
        if column not in there:
            raise UsageError(f"{path}: no column {column!r}; its columns: {', '.join(there) or 'none'}")
        return column
    if len(there) == 1:
        return there[0]
    for name in TEXT_COLUMNS:
        for one in there:
            if one.strip().lower() == name:
                return one
    raise UsageError(f"{path}: say with `text_column` where the prompts stand; its columns: {', '.join(there)}")


def _write_lines(path: Path, table: Path) -> None:
    """Put the lines of a text file into a table, each with its number; an equal table stays untouched."""
    try:
        lines = tables.lines(path)
    except MediaError as error:
        raise MediaError(str(path), f"{error.reason}; a list of prompts has one on each line") from None
    named = dict(zip(LINES, ("", str(path)), strict=True))
    rows = [
        json.dumps({"text": line.strip()} | named | {LINES[0]: number}, ensure_ascii=False)
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if not rows:
        raise UsageError(f"{path} holds no prompts: write one on each line")
    text = "\n".join(rows) + "\n"
    with suppress(OSError):
        if table.read_text("utf-8") == text:
            return
    table.parent.mkdir(parents=True, exist_ok=True)
    with replacing(table) as temporary:
        temporary.write_text(text, "utf-8")
