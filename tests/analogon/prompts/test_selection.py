"""Prompts chosen from lists, beside plain cosines and a plain loop of maximal marginal relevance."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import analogon
from analogon.prompts.selection import open_list, select
from embed import Media, encode, load
from embed.errors import MediaError, UsageError
from tests.sounds import write

TOY = "toy:32"
CAPTIONS = (
    "slow sad piano in an empty hall",
    "slow sad piano in an empty room",
    "fast drums and a loud guitar",
    "rain on a tin roof and far thunder",
    "a choir sings in a church",
    "rain on the roof of a car",
    "warm pads, vinyl crackle",
    "a dog barks twice",
)


def rows(texts: tuple[str, ...]) -> np.ndarray:
    return encode(load(TOY), [Media.from_text(text) for text in texts]).array


def by_hand(query: np.ndarray, texts: tuple[str, ...], k: int, variety: float) -> list[tuple[str, float]]:
    """Maximal marginal relevance, written out: relevance counts as a share of the best."""
    vectors, chosen = rows(texts), []
    left = list(range(len(texts)))
    most = max(float(vectors[at] @ query) for at in left)
    while left and len(chosen) < k:

        def worth(at: int) -> float:
            near = max((float(vectors[at] @ vectors[other]) for other in chosen), default=0.0)
            return (1 - variety) * float(vectors[at] @ query) / most - variety * near

        best = max(left, key=worth) if chosen else max(left, key=lambda at: float(vectors[at] @ query))
        chosen.append(best)
        left.remove(best)
    return [(texts[at], float(vectors[at] @ query)) for at in chosen]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "captions.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "caption", "genre"])
        writer.writerows([number, text, "music" if number < 3 else "noise"] for number, text in enumerate(CAPTIONS))
    return path


@pytest.mark.parametrize("variety", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("asked", ["text", "audio"])
def test_a_collection_of_prompts_gives_those_of_highest_marginal_relevance(
    table: Path, tmp_path: Path, variety: float, asked: str
) -> None:
    query = "sad rain on a piano" if asked == "text" else str(write(tmp_path / "x.wav", 3))
    media = Media.from_text(query) if asked == "text" else Media.from_path(query)
    with analogon.open(tmp_path / "c", create=True) as library:
        library.index(table, encoders=[TOY], text_column="caption")
        found = select(library, query, k=4, variety=variety)
    expected = by_hand(encode(load(TOY), [media]).array[0], CAPTIONS, 4, variety)
    assert [one.prompt.text for one in found.chosen] == [text for text, _ in expected]
    for rank, (one, (text, score)) in enumerate(zip(found.chosen, expected, strict=True), start=1):
        assert one.rank == rank and one.score == pytest.approx(score, abs=1e-6)
        (source,) = one.prompt.because
        assert source.name == f"{table}, row {CAPTIONS.index(text) + 1}" and source.score == one.score
        assert one.to_json()["text"] == text and one.to_json()["because"][0]["name"] == source.name


def test_variety_keeps_wordings_of_one_thing_apart(table: Path, tmp_path: Path) -> None:
    with analogon.open(tmp_path / "c", create=True) as library:
        library.index(table, encoders=[TOY], text_column="caption")
        texts = {v: [one.prompt.text for one in select(library, CAPTIONS[0], k=2, variety=v).chosen] for v in (0, 0.6)}
        assert texts[0] == list(CAPTIONS[:2]) and texts[0.6][1] != CAPTIONS[1]
        music = select(library, "rain", where="genre = 'music'", k=8)
        assert {one.prompt.text for one in music.chosen} == set(CAPTIONS[:3])
        assert select(library, "2:rain - piano", k=1).arithmetic


def test_captions_of_recordings_stand_for_them_each_wording_once(tmp_path: Path) -> None:
    names = ["a", "b", "c", "d", "e"]
    files = [write(tmp_path / "s" / f"{name}.wav", number) for number, name in enumerate(names)]
    said = ["rain", "rain", "  a  river ", "", "wind"]
    columns = {str(file): {"says": text} for file, text in zip(files, said, strict=True) if text}
    with analogon.open(tmp_path / "c", create=True) as library:
        library.index(tmp_path / "s", encoders=[TOY], metadata=columns)
        found = select(library, str(files[4]), k=3, variety=0.0, caption="says")
        with pytest.raises(UsageError, match="no column 'mood'; its columns: .*says"):
            select(library, "rain", caption="mood")
        with pytest.raises(UsageError, match="holds audio, no texts: `caption` names the column"):
            select(library, "rain")
    vectors = encode(load(TOY), [Media.from_path(file) for file in files]).array
    order = [at for at in np.argsort(-(vectors @ vectors[4]), kind="stable") if at != 4]
    expected = list(dict.fromkeys(" ".join(said[at].split()) for at in order if said[at]))
    assert [one.prompt.text for one in found.chosen] == expected and set(expected) == {"rain", "a river"}
    assert all(one.prompt.because[0].name.endswith(".wav") for one in found.chosen)


def test_a_list_is_encoded_once_and_what_is_new_in_it_later(table: Path) -> None:
    with open_list(table, TOY) as library:
        assert [one.prompt.text for one in select(library, CAPTIONS[7], k=1).chosen] == [CAPTIONS[7]]
        place = library.collection.path
    assert place.parent.name == "lists" and place.name.startswith("captions-")
    with open_list(table, TOY, text_column="caption") as library:
        assert library.collection.path == place and library.collection.catalog.counts()["source"] == len(CAPTIONS)
        assert library.index(table, text_column="caption").vectors == 0
    lines = table.read_text("utf-8").splitlines()
    table.write_text("\n".join([*lines[:-1], "9,thunder and a violin,noise"]) + "\n", "utf-8")
    with open_list(table, TOY) as library:
        assert library.collection.path == place
        texts = {one.prompt.text for one in select(library, "thunder", k=20).chosen}
    assert texts == {*CAPTIONS[:-1], "thunder and a violin"}
    table.write_text("\n".join(lines[:-3]) + "\n", "utf-8")
    with open_list(table, TOY) as library:  # what the file has no longer is no prompt
        assert {one.prompt.text for one in select(library, "thunder", k=20).chosen} == set(CAPTIONS[:-3])


def test_two_encoders_share_a_list(table: Path) -> None:
    with open_list(table, TOY):
        pass
    with open_list(table, "toy:16") as library:
        assert {known.space.model for known in library.collection.spaces} == {TOY, "toy:16"}
        found = select(library, CAPTIONS[3], k=1, encoders=["toy:16"])
    assert found.chosen[0].prompt.text == CAPTIONS[3] and found.chosen[0].score == pytest.approx(1.0, abs=1e-6)


def test_the_lines_of_a_text_file_say_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "my prompts.txt"
    path.write_text("\ufeffwarm pads\n\n  a dog barks  \nwarm pads\n", "utf-8")
    with open_list(path, TOY) as library:
        found = select(library, "a dog barks", k=5, variety=0.0)
    assert [one.prompt.text for one in found.chosen] == ["a dog barks", "warm pads"]
    assert [one.prompt.because[0].name for one in found.chosen] == [f"{path}, line 3", f"{path}, line 1"]


def test_what_is_no_list_is_said_in_one_line(tmp_path: Path) -> None:
    def refused(path: Path, match: str, column: str | None = None, kind: type[Exception] = UsageError) -> None:
        with pytest.raises(kind, match=match) as caught, open_list(path, TOY, text_column=column):
            pass
        assert "\n" not in str(caught.value)

    refused(tmp_path / "none.csv", "no such file", kind=MediaError)
    two = tmp_path / "two.csv"
    two.write_text("a,b\n1,2\n", "utf-8")
    refused(two, "say with `text_column` where the prompts stand; its columns: a, b")
    refused(two, "no column 'c'; its columns: a, b", column="c")
    blank = tmp_path / "blank.txt"
    blank.write_text(" \n\n", "utf-8")
    refused(blank, "holds no prompts")
    refused(blank, "a text file has no columns", column="text")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xd8\xff\xe0")
    refused(tmp_path / "bytes.txt", "a list of prompts has one on each line", kind=MediaError)


def test_a_named_column_comes_before_others(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps({"Text": "not this", "Prompt": "a dog barks"}) + "\n", "utf-8")
    with open_list(path, TOY) as library:
        assert select(library, "dog").chosen[0].prompt.text == "a dog barks"
