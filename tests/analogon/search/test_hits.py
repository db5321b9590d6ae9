"""Hits in words, and those whose files are gone."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import pytest

import analogon
from analogon.cli import show
from analogon.search.hits import Hit, clock, describe_span
from embed.media import Media, Span
from tests import sounds
from tests.command_line import exit_code


def test_spans_in_words() -> None:
    audio = Media("audio", path="x.wav", span=Span(42.0, 52.0))
    assert describe_span(audio, {"duration": 90.0}) == "0:42 to 0:52"
    assert describe_span(audio.but(span=Span(0.0, 5.0)), {"duration": 5.0}) == ""
    text = Media("text", text="x", span=Span(3, 9))
    assert describe_span(text, {"lines": 20}) == "lines 3 to 9"
    assert clock(3599.9) == "59:59" and clock(7200) == "2:00:00"


def test_old_names_of_a_hit_are_refused_with_the_new() -> None:
    media = Media("audio", path="x.wav", span=Span(1.0, 2.0))
    hit = Hit(1, 0.5, media, 7, "toy:8", ("x.wav",), {}, {"duration": 9.0})
    assert hit.span_text == "0:01 to 0:02" and hit.space_name == "toy:8" and hit.to_json()["space"] == "toy:8"
    with pytest.raises(AttributeError, match=r"Hit\.where is Hit\.span_text now; CHANGELOG"):
        _ = hit.where  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"Hit\.space is Hit\.space_name now; CHANGELOG"):
        _ = hit.space  # type: ignore[attr-defined]
    for twin in (copy.deepcopy(hit), pickle.loads(pickle.dumps(hit))):
        assert twin.to_json() == hit.to_json() and twin.media.span == Span(1.0, 2.0)


@pytest.fixture
def library(tmp_path: Path) -> analogon.Library:
    """Three sounds, of which the second has a copy."""
    folder = sounds.folder(tmp_path / "sounds", 3)
    first = sorted(folder.rglob("*.wav"))[1]
    (folder / "z copy.wav").write_bytes(first.read_bytes())
    made = analogon.open(tmp_path / "c", create=True)
    made.index(folder, encoders="toy:8")
    return made


def test_files_that_are_gone_are_marked_and_copies_that_are_there_come_first(
    library: analogon.Library, tmp_path: Path
) -> None:
    first, second, third = (
        str(path) for path in sorted((tmp_path / "sounds").rglob("*.wav")) if "copy" not in path.stem
    )
    twin = str(tmp_path / "sounds" / "z copy.wav")
    assert [hit.missing for hit in library.search("rain", by="content")] == [(), (), ()]
    Path(first).unlink()
    Path(second).unlink()
    hits = {hit.path: hit for hit in library.search("rain", by="content")}
    assert {path: hit.missing for path, hit in hits.items()} == {first: (first,), twin: (second,), third: ()}
    assert hits[twin].media.path == twin and hits[first].to_json()["missing"] == [first]
    found = library.search("rain", by="content")
    assert [line for line in repr(found).splitlines() if "(no longer there)" in line] == [
        f"{hit.rank:3} {hit.score:6.3f}  {hit.path} (no longer there)" for hit in found if hit.path == first
    ]
    assert found._repr_html_().count("(no longer there)") == 1
    assert sorted(show.lines(found, "paths")) == sorted([third, twin])
    assert len(list(show.lines(found, "json"))) == 3


def test_the_command_line_leaves_them_out_of_paths_and_says_so(
    library: analogon.Library,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    gone = min((tmp_path / "sounds").rglob("*.wav"))
    gone.unlink()
    asked = ["search", "rain", "-c", str(tmp_path / "c"), "--by", "content"]
    for form, lines, says in (("paths", 3, ", left out: "), ("json", 3, ": "), ("table", 4, ": ")):
        assert exit_code(monkeypatch, *asked, "-f", form) == 0
        out, err = capsys.readouterr()
        assert len(out.splitlines()) == lines
        told = [line for line in err.splitlines() if "no longer there" in line]
        assert len(told) == 1 and f"no longer there{says}{gone};" in told[0] and "--prune" in told[0]
        assert (str(gone) in out) == (form != "paths")
        if form == "json":
            assert [record["missing"] for record in map(json.loads, out.splitlines()) if record["missing"]] == [
                [str(gone)]
            ]
        if form == "table":
            assert out.count("(no longer there)") == 1
