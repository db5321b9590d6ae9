"""What memory, disks, drives and encoders do to a run: nothing is kept against a file, and the next run mends it."""

from __future__ import annotations

import builtins
import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from embed.errors import EncoderError, MachineError
from embed.media import Media
from indexes.build import Plan, build
from indexes.collection import Collection
from indexes.run import Listener
from indexes.writer import Writer
from tests import sounds
from tests.indexes.runs import Counting, contents, oracle, run


class Failing(Counting):
    """The toy encoder where a batch does not make ``fault`` raise something."""

    batch_size = 1

    def __init__(self, fault: Callable[[Sequence[Media]], None]) -> None:
        super().__init__()
        self.fault = fault

    def encode_batch(self, batch: Sequence[Media]) -> Any:
        self.fault(batch)
        return super().encode_batch(batch)


class Told(Listener):
    def __init__(self) -> None:
        self.faults: list[MachineError] = []

    def postponed(self, fault: MachineError) -> None:
        self.faults.append(fault)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return sounds.folder(tmp_path / "sounds", 8)


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.wav"))


def named(path: Path, error: Exception) -> Callable[[Sequence[Media]], None]:
    def fault(batch: Sequence[Media]) -> None:
        if any(one.path == str(path) for one in batch):
            raise error

    return fault


def unreadable(monkeypatch: pytest.MonkeyPatch, paths: Sequence[Path], number: int, first: int = 0) -> None:
    """Opening the paths fails, from the ``first`` time on."""
    real, times = builtins.open, dict.fromkeys(map(str, paths), 0)

    def opening(name: Any, *args: Any, **options: Any) -> Any:
        if str(name) in times:
            times[str(name)] += 1
            if times[str(name)] > first:
                raise OSError(number, os.strerror(number))
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "open", opening)


def whole(collection: Collection, folder: Path) -> None:
    """A plain run brings the collection to what an undisturbed one gives, and nothing is held against any file."""
    report = run(collection, folder)
    assert not report.failures and not report.postponed and not report.still_failing
    assert contents(collection) == oracle(folder) and not collection.catalog.failures()
    facts = [item.facts for item in collection.catalog.all_items()]
    assert all({"duration", "sample_rate", "channels"} <= fact.keys() for fact in facts)


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.ENOMEM, errno.ESTALE])
@pytest.mark.parametrize("first", [0, 1, 2], ids=["hashed", "measured", "decoded"])
def test_a_file_that_the_drive_fails_once(
    collection: Collection, folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, first: int
) -> None:
    path = files(folder)[3]
    told = Told()
    with monkeypatch.context() as patch:
        unreadable(patch, [path], number, first)
        encoder = Counting()
        plan = Plan(paths=(str(folder),))
        report = build(collection, [(encoder, {"family": "toy", "model": "16"})], plan, told)
    assert [one.name for one in report.postponed] == [str(path)] == [one.name for one in told.faults]
    assert os.strerror(number) in str(report.postponed[0])
    assert not report.failures and not collection.catalog.failures() and report.encoded == 7
    whole(collection, folder)


def test_a_drive_that_is_away_ends_the_scan_and_what_was_seen_before_is_kept(
    collection: Collection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        unreadable(patch, files(folder)[2:], errno.EIO)
        with pytest.raises(MachineError, match=r"collection: stopped after 3 files in a row .*Input/output error"):
            run(collection, folder)
    assert collection.catalog.counts()["source"] == 2 and not collection.catalog.failures()
    whole(collection, folder)


def test_two_in_a_row_do_not_end_it(collection: Collection, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = files(folder)
    with monkeypatch.context() as patch:
        unreadable(patch, [paths[0], paths[1], paths[3], paths[4], paths[6]], errno.EIO)
        report = run(collection, folder)
    assert len(report.postponed) == 5 and report.encoded == 3
    whole(collection, folder)


def test_memory_that_is_short_for_one_file(collection: Collection, folder: Path) -> None:
    path = files(folder)[4]
    report = run(collection, folder, encoder=Failing(named(path, MemoryError())))
    assert report.encoded == 7 and [one.name for one in report.postponed] == [f"{path} with toy:16"]
    encoder = Counting()
    run(collection, folder, encoder=encoder)
    assert encoder.calls == len([key for key in oracle(folder) if key[1] == f"{path}#None"])
    whole(collection, folder)


def test_memory_that_is_gone_ends_the_run_with_what_was_done(collection: Collection, folder: Path) -> None:
    seen: list[str | None] = []

    def fault(batch: Sequence[Media]) -> None:
        seen.append(batch[0].path)
        if len(dict.fromkeys(seen)) > 3:
            raise MemoryError

    with pytest.raises(MachineError, match=r"stopped after 3 files in a row .*not enough memory"):
        run(collection, folder, encoder=Failing(fault))
    kept = contents(collection)
    assert {key[1] for key in kept} == {f"{path}#None" for path in files(folder)[:3]} and kept.items() <= oracle(
        folder
    ).items()
    assert not collection.catalog.failures()
    whole(collection, folder)


def test_an_encoder_that_breaks_ends_the_run_with_what_was_done(collection: Collection, folder: Path) -> None:
    calls = 0

    def fault(batch: Sequence[Media]) -> None:
        nonlocal calls
        calls += 1
        if calls > 3:
            raise RuntimeError("shapes do not fit")

    with pytest.raises(EncoderError, match="toy:16 cannot encode any audio: RuntimeError: shapes do not fit"):
        run(collection, folder, encoder=Failing(fault))
    assert len(contents(collection)) == 3 and not collection.catalog.failures()
    whole(collection, folder)


def test_an_encoder_that_never_worked_is_not_held_against_a_single_file(collection: Collection, tmp_path: Path) -> None:
    folder = sounds.folder(tmp_path / "one", 1)

    def fault(batch: Sequence[Media]) -> None:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(EncoderError):
        run(collection, folder, encoder=Failing(fault))
    whole(collection, folder)


def test_a_bad_file_is_still_held_against_the_file(collection: Collection, folder: Path) -> None:
    path = files(folder)[4]
    report = run(collection, folder, encoder=Failing(named(path, RuntimeError("odd"))))
    assert [(one.path, one.reason) for one in report.failures] == [
        (str(path), "toy:16 failed on it: RuntimeError: odd")
    ]
    assert not report.postponed and run(collection, folder).still_failing == 1


def test_windows_before_the_fault_are_not_there_twice_in_the_end(collection: Collection, tmp_path: Path) -> None:
    folder = tmp_path / "long"
    sounds.write(folder / "long.wav", 0, 4.0)

    def fault(batch: Sequence[Media]) -> None:
        if batch[0].span and batch[0].span.start >= 2.0:
            raise MemoryError

    report = run(collection, folder, encoder=Failing(fault))
    assert report.vectors == 2 and len(report.postponed) == 1
    assert len(oracle(folder)) == 4
    whole(collection, folder)
    space = collection.spaces[0].space
    assert len(collection.vectors(space, "audio")) == 4


def test_a_disk_that_is_full_while_vectors_are_written(
    collection: Collection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Writer, *args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "_append", full)
        with pytest.raises(MachineError, match="collection: the disk is full; free some space") as caught:
            run(collection, folder)
    assert "\n" not in str(caught.value) and not contents(collection)
    whole(collection, folder)


def test_a_disk_that_is_full_while_the_catalog_is_written(collection: Collection, folder: Path) -> None:
    database = collection.catalog._db
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(MachineError, match=r"the disk is full; free some space and run it again \(database or disk"):
        for number in range(40):
            sounds.folder(folder / f"more{number}", 8)
            run(collection, folder)
    database.execute("PRAGMA max_page_count = 1000000")
    whole(collection, folder)


def test_what_cannot_be_seen_is_not_pruned(
    collection: Collection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole(collection, folder)
    hidden, gone = files(folder)[0], files(folder)[1]
    gone.unlink()
    real = os.lstat

    def lstat(path: Any, *args: Any, **options: Any) -> os.stat_result:
        if str(path) == str(hidden):
            raise OSError(errno.EIO, "Input/output error")
        return real(path, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "lstat", lstat)
        report = run(collection, folder, prune=True)
    assert report.removed == 1
    assert collection.catalog.source(str(hidden)) is not None and collection.catalog.source(str(gone)) is None


def test_a_folder_that_the_drive_fails_to_list(
    collection: Collection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sounds.folder(folder / "inner", 3)
    real = os.scandir

    def scandir(path: Any = ".") -> Any:
        if str(path) == str(folder / "inner"):
            raise OSError(errno.EIO, "Input/output error", str(path))
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scandir)
        report = run(collection, folder)
    assert [one.name for one in report.postponed] == [str(folder / "inner")] and not collection.catalog.failures()
    whole(collection, folder)
