"""The scan: what is recognised, said of files, missed and told."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from embed import Media, encode, load
from embed.errors import UsageError
from embed.pipeline import Encoded, encode_stream
from indexes.build import Plan, SideTable, build
from indexes.collection import Collection
from tests import sounds
from tests.indexes.runs import Counting, contents, oracle, run


def test_files_that_move_change_double_and_vanish(collection: Collection, tmp_path: Path) -> None:
    folder = sounds.folder(tmp_path / "sounds", 10)
    run(collection, folder)
    (folder / "c").mkdir()
    (folder / "a" / "001.wav").rename(folder / "c" / "moved.wav")
    shutil.copy(folder / "a" / "003.wav", folder / "c" / "double.wav")
    sounds.write(folder / "b" / "004.wav", 99)
    (folder / "b" / "006.wav").unlink()
    encoder = Counting()
    report = run(collection, folder, encoder=encoder)
    assert (report.moved, report.duplicates, report.changed, report.missing, report.new) == (1, 1, 1, 1, 0)
    assert encoder.calls == 1  # the changed one alone
    run(collection, folder, encoder=encoder, prune=True)
    assert contents(collection) == oracle(folder)
    double = collection.catalog.source(str(folder / "c" / "double.wav"))
    assert double is not None
    paths = [source.path for source in collection.catalog.sources_of_content(double.content)]
    assert paths == [str(folder / "a" / "003.wav"), str(folder / "c" / "double.wav")]


def rewritten(path: Path, number: int) -> None:
    """Other samples in a wav of equal size, under the mtime that it had, as a copy with its times kept leaves it."""
    times = path.stat()
    other = sounds.write(path.with_name(".other.wav"), number, (times.st_size - 44) / 2 / sounds.RATE)
    assert other.stat().st_size == times.st_size
    other.replace(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert path.stat().st_mtime_ns == times.st_mtime_ns


def test_another_content_of_equal_size_under_the_same_mtime_is_seen(collection: Collection, tmp_path: Path) -> None:
    folder = sounds.folder(tmp_path / "sounds", 4)
    run(collection, folder)
    rewritten(folder / "a" / "001.wav", 99)
    encoder = Counting()
    report = run(collection, folder, encoder=encoder)
    assert (report.changed, report.known, report.hashed, encoder.calls) == (1, 3, 1, 1)
    assert contents(collection) == oracle(folder)


@pytest.mark.parametrize("touch", ["chmod", "a hard link", "renamed and back", "utime", "a restored copy"])
def test_what_changes_the_ctime_alone_costs_a_hash_and_no_encoding(
    touch: str, collection: Collection, tmp_path: Path
) -> None:
    folder = sounds.folder(tmp_path / "sounds", 4)
    run(collection, folder)
    path = folder / "a" / "001.wav"
    before = path.stat()
    if touch == "chmod":
        path.chmod(0o600)
    elif touch == "a hard link":
        os.link(path, tmp_path / "link")
    elif touch == "renamed and back":
        path.rename(tmp_path / "away")
        (tmp_path / "away").rename(path)
    elif touch == "utime":
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    else:
        shutil.copy2(path, tmp_path / "copy")
        (tmp_path / "copy").replace(path)
    assert path.stat().st_ctime_ns != before.st_ctime_ns and path.stat().st_mtime_ns == before.st_mtime_ns
    encoder = Counting()
    report = run(collection, folder, encoder=encoder)
    assert (report.known, report.changed, report.hashed, encoder.calls) == (4, 0, 1, 0)
    again = run(collection, folder, encoder=encoder)
    assert (again.known, again.hashed, encoder.calls) == (4, 0, 0)
    assert contents(collection) == oracle(folder)


def test_reread_hashes_every_file_and_encodes_what_is_new(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = sounds.folder(tmp_path / "sounds", 4)
    run(collection, folder)
    encoder = Counting()
    report = run(collection, folder, encoder=encoder, reread=True)
    assert (report.known, report.changed, report.hashed, encoder.calls) == (4, 0, 4, 0)
    # Where ctime is when a file was made, it says nothing of what happened since.
    monkeypatch.setattr("indexes.absence.CTIME_IS_OF_CHANGE", False)
    rewritten(folder / "a" / "001.wav", 99)
    assert run(collection, folder, encoder=encoder).hashed == 0
    report = run(collection, folder, encoder=encoder, reread=True)
    assert (report.known, report.changed, report.hashed, encoder.calls) == (3, 1, 4, 1)
    assert contents(collection) == oracle(folder)


def test_a_catalog_without_ctimes_is_believed_once_and_gets_them(collection: Collection, tmp_path: Path) -> None:
    folder = sounds.folder(tmp_path / "sounds", 4)
    run(collection, folder)
    collection.catalog.query("UPDATE source SET ctime = NULL, device = NULL")
    assert run(collection, folder).hashed == 0
    known = {source.path: (source.ctime, source.device) for source in collection.catalog.sources_under(str(folder))}
    assert known == {
        str(path): (path.stat().st_ctime_ns, path.parent.stat().st_dev) for path in sorted(folder.rglob("*.wav"))
    }
    rewritten(folder / "a" / "001.wav", 99)
    assert run(collection, folder).changed == 1


def test_a_side_table_is_found_by_path_name_or_stem_and_filters(collection: Collection, tmp_path: Path) -> None:
    folder = sounds.folder(tmp_path / "sounds", 6)
    table = tmp_path / "table.csv"
    table.write_text("file,category,bpm\na/001.wav,drum,120\n002.wav,drum,90\n003,voice,\nnothing.wav,drum,1\n")
    report = run(collection, folder, side_table=SideTable.read(str(table), "file"))
    assert report.matched == 3
    space = collection.spaces[0].space
    query = np.ones(16, np.float32) / 4

    def names(expression: str) -> list[str]:
        hits = collection.nearest(space, "audio", query, 10, where=collection.filter(expression))
        return sorted(Path(hit.item.media.path or "").name for hit in hits)

    assert names("category = 'drum'") == ["001.wav", "002.wav"]
    assert names("category = 'drum' and bpm > 100") == ["001.wav"]
    assert names("duration > 1") == ["000.wav", "005.wav"]
    assert names("sample_rate = 16000 and path like '%/b/%'") == ["000.wav", "002.wav", "004.wav"]
    with pytest.raises(UsageError, match=r"colour.*bpm.*category"):
        names("colour = 'red'")
    table.write_text("file,category\n001.wav,bell\n")
    run(collection, folder, side_table=SideTable.read(str(table), "file"))
    assert names("category = 'bell'") == ["001.wav"] and names("category = 'drum'") == ["002.wav"]


def test_rows_of_a_table_are_texts(collection: Collection, tmp_path: Path) -> None:
    table = tmp_path / "prompts.csv"
    table.write_text("caption,mood\na dog barks,glad\nrain on a roof,calm\na dog barks,sad\n")
    with pytest.raises(UsageError, match="with `text_column`"):
        run(collection, table)
    report = run(collection, table, text_column="caption")
    assert (report.found, report.new, report.duplicates, report.vectors) == (3, 2, 1, 2)
    query = encode(load("toy:16"), [Media.from_text("a dog barks")]).array[0]
    hit = collection.nearest(collection.spaces[0].space, "text", query, 1)[0]
    assert hit.item.text == "a dog barks" and [source.row for source in hit.item.sources] == [0, 2]
    table.write_text("caption,mood\na dog barks,glad\nwaves,calm\n")
    report = run(collection, table, text_column="caption")
    assert (report.known, report.changed, report.removed, report.vectors) == (1, 1, 1, 1)
    texts = sorted(item.text or "" for item in collection.catalog.all_items())
    assert texts == ["a dog barks", "waves"]


def test_what_fails_is_named_kept_and_not_tried_again(collection: Collection, tmp_path: Path) -> None:
    folder = sounds.folder(tmp_path / "sounds", 3)
    (folder / "bad.wav").write_bytes(b"RIFF not a wav")
    (folder / "empty.wav").touch()
    os.mkfifo(folder / "pipe.wav")
    (folder / "folder.wav").mkdir()
    (folder / "link.wav").symlink_to(folder / "nowhere.wav")
    report = run(collection, folder)
    reasons = {Path(failure.path).name: failure.reason for failure in report.failures}
    assert sorted(reasons) == ["bad.wav", "empty.wav", "link.wav", "pipe.wav"]  # a folder may be called as it likes
    assert reasons["empty.wav"] == "is empty" and "pipe" in reasons["pipe.wav"]
    assert "link" in reasons["link.wav"]
    assert contents(collection) == oracle_of_good(folder)
    assert {Path(failure.path).name for failure in collection.catalog.failures()} == set(reasons)
    encoder = Counting()
    again = run(collection, folder, encoder=encoder)
    assert encoder.calls == 0 and again.still_failing == 1 and again.vectors == 0
    (folder / "link.wav").unlink()
    (folder / "pipe.wav").unlink()
    sounds.write(folder / "pipe.wav", 51)
    sounds.write(folder / "bad.wav", 50)
    healed = run(collection, folder)
    assert healed.vectors == 2 and healed.still_failing == 0
    left = {Path(failure.path).name for failure in collection.catalog.failures()}
    assert left == {"empty.wav"}


def oracle_of_good(folder: Path) -> dict[tuple[str, str, float, float, str], bytes]:
    encoder = load("toy:16")
    found = {}
    for path in sorted(folder.rglob("[0-9]*.wav")):
        for result in encode_stream(encoder, [Media.from_path(path)]):
            if isinstance(result, Encoded) and result.part.span is not None:
                span = result.part.span
                key = (encoder.space.id, f"{path}#None", span.start, span.end, "audio")
                found[key] = result.vector.tobytes()
    return found


def test_one_path_one_modality_and_one_probe_may_stand_alone(collection: Collection, tmp_path: Path) -> None:
    folder = sounds.folder(tmp_path / "sounds", 4)
    (folder / "note.txt").write_text("rain")
    alone = Plan(paths=str(folder), only="audio", probes="rain")  # type: ignore[arg-type]
    assert alone == Plan(paths=(str(folder),), only=frozenset({"audio"}), probes=("rain",))
    assert Plan(paths=[folder, tmp_path]).paths == (str(folder), str(tmp_path))  # type: ignore[arg-type, list-item]
    report = build(collection, [(load("toy:16"), {"family": "toy", "model": "16"})], alone)
    assert (report.found, report.encoded) == (4, 4) and contents(collection) == oracle(folder)


def test_a_path_that_is_not_there_is_wrong_use(collection: Collection, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        run(collection, tmp_path / "nowhere")


def test_a_shells_list_of_more_files_than_a_statement_holds(tmp_path: Path) -> None:
    """``analogon index *.txt``: each file is a root of its own, and a sibling that was not named stays out."""
    for number in range(1300):
        (tmp_path / f"{number:04}.txt").write_text(f"words {number}")
    with Collection.create(tmp_path / "c") as collection:
        paths = tuple(str(tmp_path / f"{number:04}.txt") for number in range(1200))
        encoder = load("toy")
        report = build(collection, [(encoder, {"family": "toy"})], Plan(paths=paths))
        assert (report.found, report.encoded, report.vectors) == (1200, 1200, 1200)
