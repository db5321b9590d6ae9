"""Runs with the toy encoder, what they leave in a collection, and the same straight from the encoder."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from embed import Encoder, Media, load
from embed.pipeline import Encoded, encode_stream
from indexes.build import Plan, Report, build
from indexes.collection import Collection
from indexes.schema import KEPT, statements


def back_to_4(database: sqlite3.Connection) -> None:
    """Take from a catalog what its fifth version has, and those after it."""
    for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        database.execute(f"DROP TRIGGER {trigger}")
    database.execute("DROP INDEX done_error")
    tables = ("parts", "called", "tally", "text", "said", "meant", "dead", "died", "digested")
    for table in (*tables, "counting", "loose", "columns", "altered"):
        database.execute(f"DROP TABLE {table}")
    database.execute("PRAGMA user_version = 4")


def without_dead(database: sqlite3.Connection) -> None:
    """Take from a catalog what its sixth version has, and those after it."""
    for statement in (one for one in statements(KEPT) if " AFTER INSERT " in one):
        database.execute(f"DROP TRIGGER {statement.split()[2]}")
        database.execute(statement)
    added = "name LIKE 'digested%' OR name LIKE '%altered%' OR name LIKE 'label%' OR name LIKE 'source_left%'"
    sql = f"SELECT name FROM sqlite_master WHERE type = 'trigger' AND ({added} OR name = 'vector_died')"
    for (trigger,) in database.execute(sql).fetchall():
        database.execute(f"DROP TRIGGER {trigger}")
    for table in ("dead", "died", "digested", "counting", "loose", "columns", "altered"):
        database.execute(f"DROP TABLE {table}")
    database.execute("PRAGMA user_version = 5")


class Counting(Encoder):
    """The toy encoder, counting what it is asked to encode."""

    def __init__(self, name: str = "toy:16") -> None:
        self.inner = load(name)
        self.space, self.modalities = self.inner.space, self.inner.modalities
        self.audio, self.video = self.inner.audio, self.inner.video
        self.calls = 0

    def encode_batch(self, batch: Sequence[Media]) -> Any:
        self.calls += len(batch)
        return self.inner.encode_batch(batch)


def run(collection: Collection, *paths: Path, encoder: Encoder | None = None, **settings: Any) -> Report:
    encoder = encoder or Counting()
    plan = Plan(paths=tuple(map(str, paths)), **settings)
    return build(collection, [(encoder, {"family": "toy", "model": str(encoder.space.dim)})], plan)


def contents(collection: Collection) -> dict[tuple[str, str, float, float, str], bytes]:
    """Every vector of a collection by space, path and span."""
    found = {}
    for item in collection.catalog.all_items():
        for known in collection.spaces:
            if collection.catalog.row_of_item(known.space.id, item.id) is None:
                continue
            for source in item.sources:
                span = (item.span.start, item.span.end) if item.span else (-1.0, -1.0)
                key = (known.space.id, f"{source.path}#{source.row}", *span, item.modality)
                found[key] = collection.vector(known.space, item.id).tobytes()
    return found


def oracle(folder: Path, encoder: Encoder | None = None) -> dict[tuple[str, str, float, float, str], bytes]:
    """The same, straight from the encoder."""
    encoder = encoder or load("toy:16")
    files = sorted(folder.rglob("*.wav"))
    found = {}
    for result in encode_stream(encoder, [Media.from_path(path) for path in files]):
        if isinstance(result, Encoded):
            span = result.part.span
            assert span is not None
            key = (encoder.space.id, f"{files[result.index]}#None", span.start, span.end, "audio")
            found[key] = result.vector.tobytes()
    return found
