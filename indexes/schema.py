"""The tables of the catalog, and what each version of it has that the one before had not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

__all__ = ["ADDED", "DEAD", "IN_MEMORY", "NAMES", "SCHEMA", "VERSION", "statements"]


def statements(script: str) -> Iterator[str]:
    """The statements of a script; a trigger's own do not end it."""
    statement = ""
    for piece in script.split(";")[:-1]:
        statement += f"{piece};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


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
# Which file has what filters ask of the sources up to the ``last``, and which of those are not as it has them any more.
# An id that went may come again, of another source: it stays among the altered, or comes among them where it had gone
# before the file was written.
COLUMNS: Final = """
CREATE TABLE {schema}.columns (file TEXT NOT NULL, last INTEGER NOT NULL);
CREATE TABLE {schema}.altered (source INTEGER PRIMARY KEY);
"""
# No way to write can forget what it alters. Labels are written by INSERT OR REPLACE, which tells of an insertion. No
# INSERT OR IGNORE here: the policy of the statement that fires a trigger counts, and that of an upsert is to fail.
ALTERED: Final = """
CREATE TRIGGER source_altered AFTER UPDATE OF path, row, content, size, metadata ON source
    WHEN old.id <= (SELECT last FROM columns) AND (old.content <> new.content OR old.metadata <> new.metadata
        OR old.size <> new.size OR old.path <> new.path OR old.row <> new.row) BEGIN
    INSERT INTO altered SELECT old.id WHERE NOT EXISTS (SELECT 1 FROM altered WHERE source = old.id); END;
CREATE TRIGGER source_altered_again AFTER INSERT ON source WHEN new.id <= (SELECT last FROM columns) BEGIN
    INSERT INTO altered SELECT new.id WHERE NOT EXISTS (SELECT 1 FROM altered WHERE source = new.id); END;
CREATE TRIGGER source_altered_gone AFTER DELETE ON source WHEN old.id <= (SELECT last FROM columns) BEGIN
    INSERT INTO altered SELECT old.id WHERE NOT EXISTS (SELECT 1 FROM altered WHERE source = old.id); END;
CREATE TRIGGER facts_altered AFTER UPDATE OF facts ON content WHEN old.facts <> new.facts BEGIN
    INSERT INTO altered SELECT id FROM source WHERE content = new.id AND id <= (SELECT last FROM columns)
        AND NOT EXISTS (SELECT 1 FROM altered WHERE source = source.id); END;
CREATE TRIGGER label_put AFTER INSERT ON label BEGIN
    INSERT INTO altered SELECT id FROM source WHERE content = new.content AND id <= (SELECT last FROM columns)
        AND NOT EXISTS (SELECT 1 FROM altered WHERE source = source.id); END;
CREATE TRIGGER label_other AFTER UPDATE ON label BEGIN
    INSERT INTO altered SELECT id FROM source WHERE content = new.content AND id <= (SELECT last FROM columns)
        AND NOT EXISTS (SELECT 1 FROM altered WHERE source = source.id); END;
CREATE TRIGGER label_gone AFTER DELETE ON label BEGIN
    INSERT INTO altered SELECT id FROM source WHERE content = old.content AND id <= (SELECT last FROM columns)
        AND NOT EXISTS (SELECT 1 FROM altered WHERE source = source.id); END;
"""
# A block of rows is counted once for all of them, in the same transaction, while ``each`` is 0: outside of one it is 1.
TOGETHER: Final = """
CREATE TABLE {schema}.counting (each INTEGER NOT NULL);
INSERT INTO {schema}.counting VALUES (1);
"""
_EACH: Final = "(SELECT each FROM counting) BEGIN"
_NOW_AND_THEN: Final = "".join(
    f"DROP TRIGGER {one.split()[2]};" + one.replace("BEGIN", f"{'AND' if ' WHEN ' in one else 'WHEN'} {_EACH}", 1)
    for one in statements(KEPT)
    if " AFTER INSERT " in one
)
# Contents that a source left; those that no source holds any more are forgotten, and nobody has to go through all of
# them. Not INSERT OR IGNORE: what the statement that fires a trigger says of conflicts goes for the trigger's too.
LOOSE: Final = """
CREATE TABLE {schema}.loose (content INTEGER PRIMARY KEY);
INSERT INTO {schema}.loose SELECT id FROM content c WHERE NOT EXISTS (SELECT 1 FROM source s WHERE s.content = c.id);
"""
_LEFT: Final = """
CREATE TRIGGER source_left AFTER DELETE ON source BEGIN
    INSERT INTO loose SELECT old.content WHERE NOT EXISTS (SELECT 1 FROM loose WHERE content = old.content); END;
CREATE TRIGGER source_left_for AFTER UPDATE OF content ON source WHEN old.content <> new.content BEGIN
    INSERT INTO loose SELECT old.content WHERE NOT EXISTS (SELECT 1 FROM loose WHERE content = old.content); END;
"""
# What a version has that the one before had not; a catalog is brought up to date by these, one after another.
ADDED: Final = {
    2: NAMES,
    3: LABELS,
    4: STANDING,
    5: CALLED + MEANING + TALLY + KEPT,
    6: DEAD + NOTICED,
    7: DIGESTED + OTHERWISE,
    8: TOGETHER + _NOW_AND_THEN + LOOSE + _LEFT + COLUMNS + ALTERED,
}
# The same for one that cannot be written, where a column is not to be added: a view stands before the table.
IN_MEMORY: Final = {
    4: "CREATE VIEW {schema}.source AS SELECT *, NULL AS ctime, NULL AS device FROM main.source;",
    5: CALLED + MEANING + TALLY,
    6: DEAD,
    7: DIGESTED,
    8: TOGETHER + COLUMNS,
}
VERSION: Final = 8
