"""What is gone, and what only cannot be seen: that stays, and is there again without being encoded."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embed.errors import UsageError
from indexes.absence import GONE, Absence, Sight, respelled
from indexes.build import Kept, Listener, Plan, SideTable, build
from indexes.collection import Collection
from tests import sounds
from tests.indexes.runs import Counting, contents, oracle, run

Undo = Callable[[], None]


def refuse(monkeypatch: pytest.MonkeyPatch, functions: tuple[str, ...], path: Path, number: int) -> None:
    """From now on these functions of the system fail for a path, and for what lies below it, with an error."""
    for name in functions:
        real = getattr(os, name)

        listing = name in ("scandir", "listdir")

        def failing(asked: Any = ".", *rest: Any, real: Any = real, listing: bool = listing, **named: Any) -> Any:
            at = os.fspath(asked) if isinstance(asked, str | os.PathLike) else ""
            if at == str(path) or (not listing and at.startswith(f"{path}{os.sep}")):
                raise OSError(number, os.strerror(number), at)
            return real(asked, *rest, **named)

        monkeypatch.setattr(os, name, failing)


def missing(root: Path, _: pytest.MonkeyPatch) -> Undo:
    root.rename(root.with_name("away"))

    def undo() -> None:
        root.with_name("away").rename(root)

    return undo


def empty(root: Path, _: pytest.MonkeyPatch) -> Undo:
    root.rename(root.with_name("away"))
    root.mkdir()

    def undo() -> None:
        shutil.rmtree(root)
        root.with_name("away").rename(root)

    return undo


def stray(root: Path, monkeypatch: pytest.MonkeyPatch) -> Undo:
    undo = empty(root, monkeypatch)
    (root / ".hidden").touch()
    (root / "folder").mkdir()
    return undo


def broken_link(root: Path, _: pytest.MonkeyPatch) -> Undo:
    root.rename(root.with_name("away"))
    root.symlink_to(root.with_name("nowhere"))

    def undo() -> None:
        root.unlink()
        root.with_name("away").rename(root)

    return undo


def not_listed(number: int) -> Callable[[Path, pytest.MonkeyPatch], Undo]:
    def hide(root: Path, monkeypatch: pytest.MonkeyPatch) -> Undo:
        (root / "a").rename(root.with_name("away"))
        (root / "a").mkdir()
        refuse(monkeypatch, ("scandir", "listdir"), root / "a", number)

        def undo() -> None:
            monkeypatch.undo()
            (root / "a").rmdir()
            root.with_name("away").rename(root / "a")

        return undo

    return hide


def root_not_listed(root: Path, monkeypatch: pytest.MonkeyPatch) -> Undo:
    refuse(monkeypatch, ("scandir", "listdir"), root, errno.EACCES)
    return monkeypatch.undo


def stale(root: Path, monkeypatch: pytest.MonkeyPatch) -> Undo:
    refuse(monkeypatch, ("stat", "lstat", "scandir", "listdir"), root, errno.ESTALE)
    return monkeypatch.undo


SIGHTS = {
    "missing": (missing, "no such file or folder", True),
    "empty": (empty, "an empty folder now", True),
    "without files": (stray, "a folder without files now", True),
    "a broken link": (broken_link, "a link to what is not there", True),
    "a folder without permission": (not_listed(errno.EACCES), "the folder cannot be read: Permission denied", False),
    "a folder that fails": (not_listed(errno.EIO), "the folder cannot be read: Input/output error", False),
    "a root without permission": (root_not_listed, "the folder cannot be read: Permission denied", False),
    "stale": (stale, f"cannot be read: {os.strerror(errno.ESTALE)}", False),
}


@pytest.mark.parametrize("prune", [True, False])
@pytest.mark.parametrize("name", SIGHTS)
def test_what_cannot_be_seen_is_kept_and_is_back_without_being_encoded(
    name: str, prune: bool, collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide, reason, doubtful = SIGHTS[name]
    folder, other = sounds.folder(tmp_path / "sounds", 8), sounds.folder(tmp_path / "other", 20)
    run(collection, folder, other)
    before = contents(collection)
    hidden = sorted(map(str, (folder / "a" if name.startswith("a folder") else folder).rglob("*.wav")))
    encoder = Counting()
    undo = hide(folder, monkeypatch)
    if name == "missing" and not prune:
        with pytest.raises(UsageError, match=r"sounds: no such file or folder; what was indexed there stays"):
            run(collection, other, folder)
    else:
        report = run(collection, other, folder, encoder=encoder, prune=prune)
        assert (report.removed, report.missing, report.gone) == (0, 0, [])
        (kept,) = report.kept
        assert (kept.reason, kept.doubtful, sorted(kept.paths)) == (reason, doubtful, hidden)
        assert kept.total == len(hidden) and f"{len(hidden)} of {len(hidden)} indexed there are kept" in str(kept)
    undo()
    assert contents(collection) == before
    report = run(collection, folder, other, encoder=encoder, prune=prune)
    assert (encoder.calls, report.known, report.hashed, report.kept) == (0, 28, 0, [])
    assert contents(collection) == before == oracle(folder) | oracle(other)
    assert collection.catalog.failures() == []  # a folder that can be read again is no failure any more


@pytest.mark.parametrize("name", SIGHTS)
def test_force_removes_what_is_not_there_never_what_cannot_be_looked_at(
    name: str, collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide, _, doubtful = SIGHTS[name]
    folder, other = sounds.folder(tmp_path / "sounds", 8), sounds.folder(tmp_path / "other", 20)
    run(collection, folder, other)
    before = contents(collection)
    hide(folder, monkeypatch)
    report = run(collection, folder, other, prune=True, force=True)
    monkeypatch.undo()
    assert (report.removed, len(report.kept)) == ((8, 0) if doubtful else (0, 1))
    assert contents(collection) == (oracle(other) if doubtful else before)


@pytest.mark.parametrize("answer", [True, False, None])
def test_a_person_is_asked_about_what_is_not_there(answer: bool | None, collection: Collection, tmp_path: Path) -> None:
    folder, other = sounds.folder(tmp_path / "sounds", 3), sounds.folder(tmp_path / "other", 9)
    run(collection, folder, other)
    shutil.rmtree(folder)
    (other / "a" / "001.wav").unlink()
    asked: list[Kept] = []

    def confirm(kept: Kept) -> bool:
        asked.append(kept)
        return bool(answer)

    plan = Plan((str(folder), str(other)), prune=True)
    table = {"family": "toy", "model": "16"}
    report = build(collection, [(Counting(), table)], plan, confirm=None if answer is None else confirm)
    assert [(one.place, len(one.paths)) for one in asked] == ([] if answer is None else [(str(folder), 3)])
    assert report.removed == (4 if answer else 1) and (report.kept == []) == bool(answer)
    assert {Path(path).name for path in report.gone} >= {"001.wav"}
    assert contents(collection) == oracle(other) if answer else len(contents(collection)) > len(oracle(other))


def test_more_than_a_third_or_all_below_a_root_is_asked_about(collection: Collection, tmp_path: Path) -> None:
    folder = tmp_path / "sounds"
    files = [sounds.write(folder / f"{number:02}.wav", number) for number in range(12)]
    run(collection, folder)
    for path in files[:4]:
        path.unlink()
    report = run(collection, folder, prune=True)  # a third, and not more
    assert (report.removed, report.kept, len(report.gone)) == (4, [], 4)
    for path in files[4:7]:
        path.unlink()
    report = run(collection, folder, prune=True)
    (kept,) = report.kept
    assert (report.removed, kept.total, sorted(kept.paths)) == (0, 8, [str(path) for path in files[4:7]])
    assert (kept.place, kept.reason) == (collection.name, "more than a third of it is gone at once")
    assert run(collection, folder).missing == 3
    assert run(collection, folder, prune=True, force=True).removed == 3
    assert contents(collection) == oracle(folder)
    small = tmp_path / "small"
    sounds.write(small / "one.wav", 50)
    (small / "read me.md").write_text("a folder that still has a file")
    run(collection, small, only=frozenset({"audio"}))
    (small / "one.wav").unlink()
    report = run(collection, small, prune=True, only=frozenset({"audio"}))
    assert report.removed == 0 and [(one.place, one.reason) for one in report.kept] == [
        (str(small), "nothing is left of what was indexed there")
    ]
    assert run(collection, small, prune=True, force=True, only=frozenset({"audio"})).removed == 1


# -- file systems ----------------------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere() -> Any:
    """A folder on another file system than temporary files are on."""
    place = Path("/dev/shm")
    if not place.is_dir() or not os.access(place, os.W_OK):
        pytest.skip("no second file system to write to")
    made = place / f"analogon-test-{os.getpid()}"
    made.mkdir()
    try:
        yield made
    finally:
        shutil.rmtree(made)


@pytest.mark.parametrize("leaves", ["an empty folder", "a folder with files of its own", "nothing"])
def test_a_drive_below_a_root_that_is_not_mounted(
    leaves: str, collection: Collection, tmp_path: Path, elsewhere: Path
) -> None:
    """The walk goes on below the root; only the device tells that what lay there is not what is there now."""
    if elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system to write to")
    folder, drive = sounds.folder(tmp_path / "sounds", 20), tmp_path / "sounds" / "drive"
    for number in range(4):
        sounds.write(elsewhere / f"{number}.wav", 100 + number)
    drive.symlink_to(elsewhere)  # stands for a mount, which takes an administrator
    run(collection, folder, drive)
    before = contents(collection)
    assert {device for _, device, _ in collection.catalog.places_under(str(drive))} == {elsewhere.stat().st_dev}
    drive.unlink()
    if leaves != "nothing":
        drive.mkdir()
    if leaves == "a folder with files of its own":
        sounds.write(drive / "other.wav", 200)
    encoder = Counting()
    report = run(collection, folder, encoder=encoder, prune=True)
    (kept,) = report.kept
    assert (report.removed, kept.place, len(kept.paths), kept.doubtful) == (0, str(drive), 4, True)
    assert kept.reason == "what was indexed there lay on a file system that is not there now"
    assert before.items() <= contents(collection).items()
    shutil.rmtree(drive, ignore_errors=True)
    drive.symlink_to(elsewhere)
    encoder = Counting()
    run(collection, folder, drive, encoder=encoder, prune=True)
    assert encoder.calls == 0 and before.items() <= contents(collection).items()
    (elsewhere / "0.wav").unlink()
    assert run(collection, folder, drive, prune=True).removed == 1


def test_a_file_system_that_is_another_device_after_a_restart(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = sounds.folder(tmp_path / "sounds", 9)
    run(collection, folder)
    device = folder.stat().st_dev
    monkeypatch.setattr(Sight, "device", lambda *_: device + 7)
    (folder / "a" / "003.wav").unlink()
    report = run(collection, folder, prune=True)
    # The others are what they were, to the nanosecond of their last change: their file system is that one.
    assert (report.removed, report.kept, report.hashed) == (1, [], 0)
    assert {found for _, found, _ in collection.catalog.places_under(str(folder))} == {device + 7}


def test_copies_on_the_empty_mount_point_are_not_taken_for_the_drive(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = sounds.folder(tmp_path / "sounds", 9)
    run(collection, folder)
    device = folder.stat().st_dev
    shutil.copytree(folder, tmp_path / "away", copy_function=shutil.copy2)
    for path in sorted(folder.rglob("*.wav"))[1:]:
        path.unlink()
    kept = sorted(folder.rglob("*.wav"))[0]
    shutil.copy2(tmp_path / "away" / kept.relative_to(folder), kept.with_suffix(".new"))
    kept.with_suffix(".new").rename(kept)  # a file of the same size and mtime, and another one all the same
    monkeypatch.setattr(Sight, "device", lambda *_: device + 7)
    report = run(collection, folder, prune=True)
    assert (report.removed, report.hashed, report.known) == (0, 1, 1)
    assert sum(len(one.paths) for one in report.kept) == 8


def test_a_catalog_that_knows_no_devices_keeps_what_lay_in_a_folder_that_is_empty_now(
    collection: Collection, tmp_path: Path
) -> None:
    folder = sounds.folder(tmp_path / "sounds", 20)
    for name in ("drive", "another/drive"):
        for number in range(3):
            sounds.write(folder / name / f"{number}.wav", 10 * len(name) + number + 100)
    run(collection, folder)
    collection.catalog.query("UPDATE source SET device = NULL, ctime = NULL")
    shutil.rmtree(folder / "drive")
    (folder / "drive").mkdir()
    shutil.rmtree(folder / "another")
    (folder / "a" / "001.wav").unlink()
    report = run(collection, folder, prune=True)
    assert report.removed == 1 and {(one.place, one.reason, len(one.paths)) for one in report.kept} == {
        (str(folder / "drive"), "an empty folder now", 3),
        (str(folder / "another"), "no such folder", 3),
    }


def test_a_folder_that_was_renamed_before_a_catalog_knew_devices_is_recognised(
    collection: Collection, tmp_path: Path
) -> None:
    folder = sounds.folder(tmp_path / "sounds", 6)
    run(collection, folder)
    collection.catalog.query("UPDATE source SET device = NULL, ctime = NULL")
    (folder / "a").rename(folder / "renamed")
    encoder = Counting()
    report = run(collection, folder, encoder=encoder)
    assert (report.moved, report.known, report.missing, report.kept, encoder.calls) == (3, 3, 0, [], 0)


def test_a_drive_that_goes_while_the_run_goes_on(collection: Collection, tmp_path: Path, elsewhere: Path) -> None:
    if elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system to write to")
    sounds.folder(elsewhere, 10)
    sounds.write(elsewhere / "first.wav", 400)  # the walk has looked at the root before
    drive = tmp_path / "drive"
    drive.symlink_to(elsewhere)
    run(collection, drive)
    before = contents(collection)

    class Leaving(Listener):
        def advance(self, count: int = 1, seconds: float = 0.0) -> None:
            self.files = getattr(self, "files", 0) + 1
            if self.files == 2:  # the root was looked at, and its last folder was not
                drive.unlink()
                drive.mkdir()
                sounds.write(drive / "z" / "other.wav", 300)

    table = {"family": "toy", "model": "16"}
    report = build(collection, [(Counting(), table)], Plan((str(drive),), prune=True), Leaving())
    assert report.removed == 0 and sum(len(one.paths) for one in report.kept) == 5
    assert {one.reason for one in report.kept} == {"what was indexed there lay on a file system that is not there now"}
    assert before.items() <= contents(collection).items()


def test_files_that_cannot_be_looked_at_are_told_by_their_folder(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder whose names can be read and whose files cannot, as one without the right to enter it is."""
    folder = sounds.folder(tmp_path / "sounds", 10)
    for number in range(3):
        sounds.write(folder / "a" / f"deep {number}" / "one.wav", 50 + number)
    run(collection, folder)
    before = contents(collection)
    inside = [*(folder / "a").iterdir()]
    for path in inside:
        refuse(monkeypatch, ("stat", "lstat", "scandir", "listdir"), path, errno.EACCES)
    monkeypatch.setattr("indexes.scan.files_under", lambda *_: iter([str(folder / "b" / "000.wav")]))
    report = run(collection, folder, prune=True, force=True)
    monkeypatch.undo()
    assert report.removed == 0 and contents(collection) == before
    assert [(one.place, one.reason, len(one.paths)) for one in report.kept] == [
        (str(folder / "a"), "what lies in it cannot be read: Permission denied", 8)
    ]


def test_a_file_found_elsewhere_while_its_drive_is_away_is_a_second_one(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, other = sounds.folder(tmp_path / "sounds", 6), tmp_path / "copies"
    table = tmp_path / "about.csv"
    table.write_text("file,mood\n001.wav,dark\n")
    run(collection, folder, side_table=SideTable.read(str(table), "file"))
    device = folder.stat().st_dev
    shutil.copytree(folder / "a", other)
    folder.rename(tmp_path / "away")
    # The folder that was the mount point's lies on another file system than the drive did.
    real = Sight.device
    monkeypatch.setattr(Sight, "device", lambda self, at: device + 7 if at == str(tmp_path) else real(self, at))
    encoder = Counting()
    report = run(collection, other, encoder=encoder)
    assert (report.moved, report.duplicates, encoder.calls) == (0, 3, 0)
    copy = collection.catalog.source(str(other / "001.wav"))
    assert copy is not None and copy.metadata == {"mood": "dark"}
    (tmp_path / "away").rename(folder)
    report = run(collection, folder, encoder=encoder)
    first = collection.catalog.source(str(folder / "a" / "001.wav"))
    assert first is not None and first.metadata == {"mood": "dark"}
    assert (report.known, report.new, encoder.calls) == (6, 0, 0)


# -- names -----------------------------------------------------------------------------------------------------------


def test_a_folder_in_place_of_a_file_and_a_link_that_breaks(collection: Collection, tmp_path: Path) -> None:
    folder, away = sounds.folder(tmp_path / "sounds", 12), tmp_path / "target.wav"
    sounds.write(away, 77)
    (folder / "link.wav").symlink_to(away)
    run(collection, folder)
    (folder / "a" / "001.wav").unlink()
    (folder / "a" / "001.wav").mkdir()
    away.rename(tmp_path / "target.gone")
    report = run(collection, folder, prune=True)
    assert report.removed == 1 and report.gone == [str(folder / "a" / "001.wav")]
    assert collection.catalog.source(str(folder / "link.wav")) is not None
    assert [(Path(one.path).name, one.reason) for one in report.failures] == [
        ("link.wav", "a link to a file that is not there")
    ]
    (tmp_path / "target.gone").rename(away)
    encoder = Counting()
    run(collection, folder, encoder=encoder)
    assert encoder.calls == 0
    assert collection.catalog.failures() == []


def blind_to_case(monkeypatch: pytest.MonkeyPatch, base: Path) -> None:
    """Below a folder, the system finds a file whatever its letters' case."""
    listing = os.listdir

    def spelled(path: Any) -> Any:
        if not isinstance(path, str | os.PathLike) or not os.fspath(path).startswith(f"{base}{os.sep}"):
            return path
        found = str(base)
        for part in Path(path).relative_to(base).parts:
            names = listing(found) if os.path.isdir(found) else []
            found = os.path.join(found, next((name for name in names if name.lower() == part.lower()), part))
        return found

    for name in ("stat", "lstat", "listdir"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda path=".", *a, real=real, **k: real(spelled(path), *a, **k))


@pytest.mark.parametrize("renamed", [("a/001.wav", "a/001.WAV"), ("a", "A")])
@pytest.mark.parametrize("known", [True, False], ids=["both names are known", "the old name is known"])
def test_a_rename_where_letter_case_does_not_count(
    known: bool, renamed: tuple[str, str], collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = sounds.folder(tmp_path / "sounds", 12)
    run(collection, folder)
    count = 1 if "/" in renamed[0] else 6
    (folder / renamed[0]).rename(folder / renamed[1])
    if known:  # as a program left it that did not know of this
        for path in [path for path in folder.rglob("*") if renamed[1] in str(path) and path.is_file()]:
            old = collection.catalog.source(str(path).replace(f"/{renamed[1]}", f"/{renamed[0]}"))
            assert old is not None
            collection.catalog.put_source(str(path), None, old.content, ("audio",), old.size, old.mtime, {})
    blind_to_case(monkeypatch, folder)
    encoder = Counting()
    report = run(collection, folder, encoder=encoder, prune=True, force=True)
    assert (report.moved, report.removed) == ((0, count) if known else (count, 0))
    assert (encoder.calls, report.duplicates, report.new) == (0, 0, 0)
    monkeypatch.undo()
    files = sorted(str(path) for path in folder.rglob("*") if path.is_file())
    assert [path for path, _, _ in collection.catalog.places_under(str(folder))] == files


def test_hard_links_whose_names_differ_by_case_are_two_files(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    if (tmp_path / "A.wav").exists():
        pytest.skip("letter case does not count here")
    os.link(tmp_path / "a.wav", tmp_path / "A.wav")
    assert not respelled(str(tmp_path / "a.wav"), str(tmp_path / "A.wav"))
    assert not respelled(str(tmp_path / "a.wav"), str(tmp_path / "a.wav"))


def test_a_failure_below_a_root_goes_with_its_file_and_stays_with_its_drive(
    collection: Collection, tmp_path: Path
) -> None:
    folder, other = sounds.folder(tmp_path / "sounds", 3), tmp_path / "other"
    other.mkdir()
    for path in (folder / "empty.wav", folder / "b" / "nothing.wav", other / "empty.wav"):
        path.touch()
    run(collection, folder, other)
    (folder / "empty.wav").unlink()
    (other / "empty.wav").unlink()
    run(collection, folder)
    left = [str(other / "empty.wav"), str(folder / "b" / "nothing.wav")]
    assert [failure.path for failure in collection.catalog.failures()] == left
    folder.rename(tmp_path / "away")
    folder.mkdir()
    run(collection, folder, prune=True)
    assert [failure.path for failure in collection.catalog.failures()] == left


# -- one path by itself ----------------------------------------------------------------------------------------------


def test_sight_of_a_path(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "there.wav").touch()
    (tmp_path / "file").touch()
    device, sight = tmp_path.stat().st_dev, Sight()
    at = str(tmp_path)
    assert sight.absence(f"{at}/folder/there.wav", device) is None
    assert sight.absence(f"{at}/folder/there.wav", device + 1) is None
    assert sight.absence(f"{at}/folder/no.wav", device) == GONE
    assert sight.absence(f"{at}/folder", device) == GONE  # a folder is no file
    assert sight.absence(f"{at}/no/deep/deeper/no.wav", device) == GONE
    assert sight.absence(f"{at}/file/no.wav", device) == GONE  # a file in place of its folder
    reason = "what was indexed there lay on a file system that is not there now"
    assert sight.absence(f"{at}/no/deep/no.wav", device + 1) == Absence(f"{at}/no", reason, doubtful=True)
    assert sight.absence(f"{at}/folder/no.wav", device + 1) == Absence(f"{at}/folder", reason, doubtful=True)
    sight.saw(device + 1, device)
    assert sight.absence(f"{at}/folder/no.wav", device + 1) == GONE
    long = Sight().absence(f"{at}/{'x' * 300}/no.wav", device)
    assert long is not None and (long.gone, long.doubtful) == (False, False)
