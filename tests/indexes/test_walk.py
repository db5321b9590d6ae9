"""Which files a run takes, what it says of the others, and which row of a side table is whose."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embed.errors import MediaError, UsageError
from embed.media import KINDS, SUFFIXES, Media
from indexes.collection import Collection
from indexes.run import SideTable
from tests import sounds
from tests.indexes.runs import run
from tests.media_files import image_bytes, picture, write_audio, write_video
from tests.media_files import signal as sound_signal


def paths(collection: Collection) -> set[str]:
    return {Path(source.path).name for item in collection.catalog.all_items() for source in item.sources}


def metadata(collection: Collection, folder: Path) -> dict[str, dict[str, Any]]:
    return {
        str(Path(source.path).relative_to(folder)): source.metadata
        for item in collection.catalog.all_items()
        for source in item.sources
    }


# -- what is taken


def test_one_suffix_has_one_row() -> None:
    suffixes = [suffix for _, _, row in KINDS for suffix in row]
    assert len(suffixes) == len(set(suffixes)) == len(SUFFIXES)
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in suffixes)


def test_other_endings_of_known_kinds(collection: Collection, tmp_path: Path) -> None:
    folder = tmp_path / "media"
    folder.mkdir()
    for number, (suffix, form) in enumerate(
        {"jfif": "JPEG", "jpe": "JPEG", "pjpeg": "JPEG", "pjp": "JPEG", "mpo": "JPEG", "apng": "PNG", "dib": "BMP",
         "avifs": "AVIF"}.items()
    ):  # fmt: skip
        (folder / f"p.{suffix}").write_bytes(image_bytes(picture(seed=number), form))
    samples = sound_signal(0.5)
    for suffix, kind in {"wave": "wav", "oga": "ogg", "aifc": "aiff", "m4b": "m4a", "mpga": "mp3", "mka": "mka",
                         "weba": "webm", "adts": "aac"}.items():  # fmt: skip
        write_audio(folder / f"s.{suffix}", samples, kind=kind)
        samples = samples * 0.9
    write_video(folder / "v.mov", 0.5, samples=sound_signal(0.5) / 3).rename(folder / "v.qt")
    expected = {path.name for path in folder.iterdir()}
    report = run(collection, folder)
    assert report.failures == [] and report.ignored == 0 and paths(collection) == expected
    assert expected == {path.name for path in folder.iterdir()} and len(expected) == 17


def test_what_is_named_itself_is_told_by_its_content(collection: Collection, tmp_path: Path) -> None:
    files = {
        "photo": image_bytes(picture(seed=1), "JPEG"),
        "photo.wav": image_bytes(picture(seed=2), "PNG"),
        "picture.dat": image_bytes(picture(seed=3), "WEBP"),
        "README": b"Rain on a roof.\n",
        "letter.txt": b"\xff\xfe" + "Möwen".encode("utf-16-le"),
        "report.pdf": b"%PDF-1.7\n" + bytes(50),
        "archive.bin": b"PK\x03\x04" + bytes(50),
        "noise.dat": bytes(range(256)) * 4,
        "photo.jxl": b"\xff\x0a" + bytes(50),
        "drawing.psd": b"8BPS\0\1" + bytes(50),
        "words.wav": b"these are words\n" * 20,
        "nothing.xyz": b"",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    wave = write_audio(tmp_path / "voice.wav", sound_signal(0.5)).rename(tmp_path / "voice")
    write_video(tmp_path / "clip.mp4", 0.5, samples=sound_signal(0.5)).rename(tmp_path / "clip.part")
    named = [*(tmp_path / name for name in files), wave, tmp_path / "clip.part"]
    report = run(collection, *named)
    assert {Path(one.path).name: one.reason for one in report.failures} == {
        "report.pdf": "unsupported: a PDF document",
        "archive.bin": "unsupported: a ZIP archive",
        "noise.dat": "unsupported: of no kind that is known here",
        "photo.jxl": "unsupported: a JPEG XL picture",
        "drawing.psd": "unsupported: a Photoshop picture",
        "nothing.xyz": "is empty",
        "words.wav": next(one.reason for one in report.failures if one.path.endswith("words.wav")),
    }
    assert "format" in next(one.reason for one in report.failures if one.path.endswith("words.wav"))
    assert paths(collection) >= {"photo", "photo.wav", "picture.dat", "README", "letter.txt", "voice", "clip.part"}
    assert report.ignored == 0


def test_under_a_folder_a_foreign_ending_is_passed_over_and_counted(collection: Collection, tmp_path: Path) -> None:
    folder = tmp_path / "media"
    folder.mkdir()
    (folder / "photo").write_bytes(image_bytes(picture(), "JPEG"))
    (folder / "photo.dat").write_bytes(image_bytes(picture(), "JPEG"))
    (folder / "really-a-png.jpg").write_bytes(image_bytes(picture(seed=4), "PNG"))
    write_audio(folder / "a.wav", sound_signal(0.5)).rename(folder / "really-a-wav.mp3")
    report = run(collection, folder)
    assert (report.ignored, report.failures) == (2, [])
    assert paths(collection) == {"really-a-png.jpg", "really-a-wav.mp3"}


def test_a_medium_is_told_by_its_content_where_its_name_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes(image_bytes(picture(), "JPEG"))
    assert Media.from_path(tmp_path / "photo").modality == "image"
    write_audio(tmp_path / "voice.wav", sound_signal(0.2)).rename(tmp_path / "voice")
    assert Media.from_path(tmp_path / "voice").modality == "audio"
    (tmp_path / "photo.jxl").write_bytes(b"\xff\x0a" + bytes(50))
    with pytest.raises(MediaError, match="unsupported: a JPEG XL picture"):
        Media.from_path(tmp_path / "photo.jxl")


def test_a_named_file_that_no_encoder_takes_is_told(collection: Collection, tmp_path: Path) -> None:
    from embed import Encoder, load
    from indexes.build import Plan, build

    class Deaf(Encoder):
        """The toy encoder, for pictures alone."""

        def __init__(self) -> None:
            self.inner = load("toy:16")
            self.space, self.modalities = self.inner.space, frozenset({"image"})

        def encode_batch(self, batch: Any) -> Any:
            return self.inner.encode_batch(batch)

    (tmp_path / "notes.txt").write_text("rain")
    (tmp_path / "a.png").write_bytes(image_bytes(picture(), "PNG"))
    plan = Plan((str(tmp_path / "notes.txt"), str(tmp_path / "a.png")))
    report = build(collection, [(Deaf(), {"family": "toy", "model": "16"})], plan)
    assert [(Path(one.path).name, one.reason) for one in report.failures] == [
        ("notes.txt", "unsupported here: no encoder of this run takes text")
    ]


# -- what others keep among one's files


@pytest.mark.parametrize(
    "name",
    ["@eaDir", "#recycle", "#snapshot", "@Recycle", ".thumbnails", "lost+found", "$RECYCLE.BIN",
     "System Volume Information", "__MACOSX"],
)  # fmt: skip
def test_thumbnails_of_others_are_passed_over_unless_they_are_named(
    collection: Collection, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "media"
    kept = folder / "sub" / name / "a.png"
    kept.mkdir(parents=True)
    (kept / "thumb.png").write_bytes(image_bytes(picture(seed=1), "PNG"))
    (folder / "a.png").write_bytes(image_bytes(picture(), "PNG"))
    (folder / "__pycache__").mkdir()
    (folder / "._a.png").write_bytes(b"\0\5\x16\7" + bytes(80))
    (folder / "Thumbs.db").write_bytes(bytes(80))
    (folder / ".DS_Store").write_bytes(bytes(80))
    report = run(collection, folder)
    assert report.failures == [] and paths(collection) == {"a.png"}
    assert report.ignored == (0 if name.startswith(".") else 1)  # hidden ones are not counted
    assert run(collection, folder / "sub" / name).new == 1
    assert paths(collection) == {"a.png", "thumb.png"}


def test_folders_of_ones_own_are_walked_whatever_they_are_called(collection: Collection, tmp_path: Path) -> None:
    folder = tmp_path / "media"
    for name in ("holiday.jpg", "node_modules", "mix.wav", "eaDir"):
        (folder / name).mkdir(parents=True)
        (folder / name / f"{name}.png").write_bytes(image_bytes(picture(seed=len(name)), "PNG"))
    (folder / "@eaDir").mkdir()  # holds nothing
    report = run(collection, folder)
    assert report.failures == [] and report.ignored == 0 and report.new == 4


# -- side tables


def side(tmp_path: Path, content: str, name: str = "table.csv") -> SideTable:
    (tmp_path / name).write_text(content)
    return SideTable.read(str(tmp_path / name), "file")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(("a/001", "b/001", "b/002", "c")):
        (tmp_path / "lib" / name).parent.mkdir(parents=True, exist_ok=True)
        sounds.write(tmp_path / "lib" / f"{name}.wav", number)
    return tmp_path / "lib"


def test_a_bare_name_that_two_folders_share_is_nobodys(collection: Collection, folder: Path, tmp_path: Path) -> None:
    table = side(tmp_path, "file,mood\n001.wav,dark\n002,bright\nc.wav,calm\n")
    report = run(collection, folder, side_table=table)
    assert metadata(collection, folder) == {
        "a/001.wav": {}, "b/001.wav": {}, "b/002.wav": {"mood": "bright"}, "c.wav": {"mood": "calm"},
    }  # fmt: skip
    assert [str(one) for one in report.asides] == [
        f"{tmp_path}/table.csv: '001.wav' may be files of several folders, such as {folder}/a/001.wav and "
        f"{folder}/b/001.wav, and was given to none of them; write more of the path"
    ]
    assert (report.matched, report.unused) == (2, 0)
    longer = side(tmp_path, "file,mood\na/001.wav,dark\n001.wav,bright\n")  # what is left has one file to be of
    assert run(collection, folder, side_table=longer).asides == []
    assert metadata(collection, folder)["a/001.wav"] == {"mood": "dark"}
    assert metadata(collection, folder)["b/001.wav"] == {"mood": "bright"}


def test_files_of_one_stem_in_one_folder_share_a_row(collection: Collection, folder: Path, tmp_path: Path) -> None:
    (folder / "c.png").write_bytes(image_bytes(picture(), "PNG"))
    report = run(collection, folder, side_table=side(tmp_path, "file,mood\nc,calm\n"))
    assert report.asides == []
    assert metadata(collection, folder)["c.png"] == metadata(collection, folder)["c.wav"] == {"mood": "calm"}


def test_a_path_under_two_folders_that_were_named(collection: Collection, folder: Path, tmp_path: Path) -> None:
    sounds.write(tmp_path / "other" / "a" / "001.wav", 9)
    table = side(tmp_path, "file,mood\na/001.wav,dark\nlib/c.wav,calm\n")
    report = run(collection, folder, tmp_path / "other", side_table=table)
    assert "'a/001.wav' may be files of several folders" in report.asides[0].reason
    assert metadata(collection, tmp_path)["lib/c.wav"] == {"mood": "calm"}
    assert metadata(collection, tmp_path)["other/a/001.wav"] == {} == metadata(collection, tmp_path)["lib/a/001.wav"]


@pytest.mark.parametrize(
    "key", ["a\\001.wav", ".\\a\\001.wav", "./a/001.wav", "lib\\a\\001.wav", "a//001.wav", "a/001"]
)
def test_ways_to_write_a_path(collection: Collection, folder: Path, tmp_path: Path, key: str) -> None:
    report = run(collection, folder, side_table=side(tmp_path, f"file,mood\n{key},dark\n"))
    assert report.asides == [] and report.matched == 1
    assert [name for name, said in metadata(collection, folder).items() if said] == ["a/001.wav"]


def test_accents_that_a_system_takes_apart(collection: Collection, tmp_path: Path) -> None:
    sounds.write(tmp_path / "lib" / unicodedata.normalize("NFD", "Möwe.wav"), 1)
    run(collection, tmp_path / "lib", side_table=side(tmp_path, "file,mood\nMöwe.wav,dark\n"))
    assert list(metadata(collection, tmp_path / "lib").values()) == [{"mood": "dark"}]


def test_rows_that_match_no_file_are_counted_and_named(collection: Collection, folder: Path, tmp_path: Path) -> None:
    rows = "".join(f"{number}.wav,x\n" for number in range(7))
    report = run(collection, folder, side_table=side(tmp_path, f"file,mood\nc.wav,calm\n{rows}"))
    assert (report.matched, report.unused) == (1, 7)
    assert [one.reason for one in report.asides] == [
        "7 of 8 rows match no file here: '0.wav', '1.wav', '2.wav', '3.wav', '4.wav' and 2 more"
    ]


def test_two_spellings_of_one_path_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"are one file's; keys must differ"):
        side(tmp_path, "file,mood\na/001.wav,dark\na\\001.wav,bright\n")


def test_numbers_that_are_none_are_told_and_left_out(collection: Collection, folder: Path, tmp_path: Path) -> None:
    rows = '{"file": "c.wav", "bpm": NaN}\n{"file": "002.wav", "bpm": 120}\n'
    report = run(collection, folder, side_table=side(tmp_path, rows, "table.jsonl"))
    assert [one.reason for one in report.asides] == [
        "NaN is no number that can be kept; left out of 1 cell, the first in row 1"
    ]
    assert metadata(collection, folder)["c.wav"] == {} and metadata(collection, folder)["b/002.wav"] == {"bpm": 120}
    found = collection.nearest(
        collection.spaces[0].space, "audio", np.full(16, 0.25, np.float32), 10, where=collection.filter("duration > 0")
    )
    assert len({hit.item.media.path for hit in found}) == 4


def test_a_side_table_whose_quote_is_never_closed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"table.csv, row 1: a quote that opens in line 2 is not closed"):
        side(tmp_path, 'file,mood\n001.wav,"dark\n002.wav,bright\n')


def test_numbers_that_are_none_given_in_python(folder: Path, tmp_path: Path) -> None:
    import analogon

    with analogon.open(tmp_path / "made", create=True) as library:
        said = {
            folder / "c.wav": {"bpm": float("nan"), "peaks": [1.0, float("inf")]},
            folder / "a/001.wav": {"bpm": 90},
        }
        library.index(folder, encoders=["toy:16"], metadata=said)
        assert metadata(library.collection, folder)["c.wav"] == {"bpm": None, "peaks": [1.0, None]}
        assert [Path(hit.path).name for hit in library.search("x", where="bpm > 0", by="content")] == ["001.wav"]


def test_numbers_that_an_earlier_version_kept_are_read_as_none(
    collection: Collection, folder: Path, tmp_path: Path
) -> None:
    run(collection, folder)
    with collection.catalog.transaction():
        collection.catalog._db.execute("UPDATE source SET metadata = ?", ('{"bpm": NaN, "gain": -Infinity, "n": 1}',))
    assert all(said == {"bpm": None, "gain": None, "n": 1} for said in metadata(collection, folder).values())
