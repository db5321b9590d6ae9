"""What decoding remarks of a medium: told once, kept, searched by, and named by the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from analogon.search.library import Library
from embed import Media, load
from indexes.build import Listener, Plan, build
from indexes.collection import Collection
from indexes.records import Note
from tests import sounds
from tests.command_line import exit_code


def test_what_decoding_remarks_is_told_kept_and_searched_by(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from embed import decode
    from embed.remarks import Remarks

    folder = sounds.folder(tmp_path / "sounds", 4)
    shutil.copy(folder / "a" / "001.wav", folder / "a" / "same.wav")
    plain = decode.parts

    def parts(media: Media, *, remarks: Remarks, **wanted: Any) -> Iterator[Media]:
        yield from plain(media, remarks=remarks, **wanted)
        if media.name.endswith(("001.wav", "same.wav")):
            remarks.facts["duration"] = 77.5
            for _ in range(2):
                remarks.note("its channels were mixed")
            remarks.note("half of it is missing")

    monkeypatch.setattr(decode, "parts", parts)
    told: list[Note] = []
    listener = Listener()
    monkeypatch.setattr(listener, "noted", told.append)
    encoders = [(load(name), {"family": "toy", "model": name.partition(":")[2]}) for name in ("toy:16", "toy:4")]
    report = build(collection, encoders, Plan(paths=(str(folder),)), listener)
    expected = [
        Note(str(folder / "a" / name), text)
        for name in ("001.wav", "same.wav")
        for text in ("its channels were mixed", "half of it is missing")
    ]
    key = lambda note: (note.path, note.reason)  # noqa: E731
    assert sorted(told, key=key) == sorted(report.notes, key=key) == sorted(expected, key=key)  # once, not once a space
    assert report.failures == [] == collection.catalog.failures()
    assert collection.catalog.notes() == expected
    assert str(expected[0]) == f"{folder}/a/001.wav: its channels were mixed"
    facts = {Path(source.path).name: item.facts for item in collection.catalog.all_items() for source in item.sources}
    assert facts["001.wav"]["duration"] == 77.5 and facts["001.wav"]["remarks"] == [n.reason for n in expected[:2]]
    assert facts["003.wav"]["duration"] < 30 and "remarks" not in facts["003.wav"]
    hits = Library(collection).search("x", where="duration > 70 and remarks contains 'missing'", by="content")
    assert {path for hit in hits for path in hit.paths} == {note.path for note in expected}


def test_the_command_names_what_was_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from embed import decode
    from embed.remarks import Remarks

    sounds.write(tmp_path / "dog.wav", 1)
    plain = decode.parts

    def parts(media: Media, *, remarks: Remarks | None = None, **wanted: Any) -> Iterator[Media]:
        yield from plain(media, remarks=remarks, **wanted)
        if remarks is not None and media.path:
            remarks.note("one sample was dropped")

    monkeypatch.setattr(decode, "parts", parts)
    monkeypatch.setenv("ANALOGON_HOME", str(tmp_path / "home"))
    assert exit_code(monkeypatch, "index", str(tmp_path / "dog.wav"), "-e", "toy", "-c", "c") == 0
    said = capsys.readouterr()
    assert f"{tmp_path}/dog.wav: one sample was dropped" in said.err.splitlines()
    assert "skipped" not in said.out + said.err and "noted of files that were indexed: 1;" in said.out
    assert exit_code(monkeypatch, "info", "-c", "c", "--failures") == 0
    assert f"{tmp_path}/dog.wav: one sample was dropped" in capsys.readouterr().out.splitlines()
    assert exit_code(monkeypatch, "info", "-c", "c", "--failures", "-f", "json") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {"path": f"{tmp_path}/dog.wav", "reason": "one sample was dropped", "row": None}
