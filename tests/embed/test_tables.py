"""Tables of texts and of metadata."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from embed.errors import MediaError, UsageError
from embed.tables import BadRow, Row, metadata_table, rows, texts


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_csv(tmp_path: Path, encoding: str) -> None:
    content = 'id,caption,loud,count\r\n007,"rain, ""soft""\r\non tin",-3.5,12\r\nb,wind,1e3,\r\n'
    read = list(rows(write(tmp_path / "a.csv", content.encode(encoding)), "caption"))
    assert read == [
        Row('rain, "soft"\r\non tin', 0, {"id": "007", "loud": -3.5, "count": 12}),
        Row("wind", 1, {"id": "b", "loud": 1000.0}),
    ]
    assert isinstance(read[0], Row) and type(read[0].metadata["count"]) is int


def test_tsv_quotes_are_quotes(tmp_path: Path) -> None:
    content = 'text\tn\n"G I G" on a wall\t1\nthe word "PEACE"\t2\n"say ""hi"""\t3\n"open\t4\n'
    read = list(rows(write(tmp_path / "a.tsv", content), "text"))
    texts = ['"G I G" on a wall', 'the word "PEACE"', 'say "hi"', '"open']
    assert read == [Row(text, n, {"n": n + 1}) for n, text in enumerate(texts)]


def test_jsonl(tmp_path: Path) -> None:
    lines = [
        json.dumps({"caption": "Regen fällt", "n": 1, "x": 0.5, "tags": ["a", "b"], "none": None, "yes": True}),
        "",
        '{"caption": "cut',
        "[1, 2]",
        '{"n": 4}',
        '{"caption": " "}',
        '{"caption": 12}',
    ]
    read = list(rows(write(tmp_path / "a.jsonl", "\n".join(lines)), "caption"))
    assert read[0] == Row("Regen fällt", 0, {"n": 1, "x": 0.5, "tags": '["a", "b"]', "yes": "true"})
    assert [(bad.row, bad.reason) for bad in read if isinstance(bad, BadRow)] == [
        (1, "is not JSON: Unterminated string starting at"),
        (2, "is not a JSON object"),
        (3, "its 'caption' is empty"),
        (4, "its 'caption' is empty"),
    ]
    assert read[5] == Row("12", 5, {})


def test_cells_keep_their_kind(tmp_path: Path) -> None:
    cells = [
        "5",
        "-0.25",
        "1e400",
        "nan",
        "inf",
        "0x10",
        "1_000",
        "00.5",
        "0",
        "0.0",
        ".5",
        "12345678901234567890",
        "+7",
    ]
    kept = [5, -0.25, "1e400", "nan", "inf", "0x10", "1_000", "00.5", 0, 0.0, 0.5, "12345678901234567890", 7]
    table = "text,cell\n" + "".join(f"t,{cell}\n" for cell in cells)
    read = [row.metadata["cell"] for row in rows(write(tmp_path / "a.csv", table), "text") if isinstance(row, Row)]
    assert read == kept and [type(cell) for cell in read] == [type(cell) for cell in kept]


def test_rows_that_cannot_be_used(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "text,n\nrain,1\n,2\nwind\na,b,c\n\nsnow,5\n")
    assert list(rows(file, "text")) == [
        Row("rain", 0, {"n": 1}),
        BadRow(1, "its 'text' is empty"),
        Row("wind", 2, {}),
        BadRow(3, "has 3 cells; the header has 2"),
        Row("snow", 4, {"n": 5}),
    ]


def test_long_cells(tmp_path: Path) -> None:
    text = "rain " * 100_000
    (row,) = rows(write(tmp_path / "a.csv", f"text\n{text}\n"), "text")
    assert row == Row(text, 0, {})
    assert csv.field_size_limit() >= 1 << 26


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
def test_a_missing_column_names_those_there_are(tmp_path: Path, suffix: str) -> None:
    content = {"csv": "a,b\n1,2\n", "tsv": "a\tb\n1\t2\n", "jsonl": '{"a": 1, "b": 2}\n'}[suffix]
    with pytest.raises(UsageError, match="no column 'caption'; its columns: a, b"):
        list(rows(write(tmp_path / f"t.{suffix}", content), "caption"))


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="is not UTF-8 text"):
        list(rows(write(tmp_path / "a.csv", b"text\nf\xe4llt\n"), "text"))
    with pytest.raises(UsageError, match="a table is a .csv, .jsonl, .tsv file, not .png"):
        list(rows(write(tmp_path / "a.png", b"x"), "text"))
    with pytest.raises(MediaError, match="no such file"):
        list(rows(tmp_path / "b.csv", "text"))
    with pytest.raises(UsageError, match="the column 'a' comes twice"):
        list(rows(write(tmp_path / "c.csv", "a,a\n1,2\n"), "a"))


def test_metadata_table(tmp_path: Path) -> None:
    file = write(tmp_path / "m.csv", "file,category,year\na.wav,drum,1999\nb.wav,bell,\n")
    assert metadata_table(file, "file") == {"a.wav": {"category": "drum", "year": 1999}, "b.wav": {"category": "bell"}}
    with pytest.raises(UsageError, match=r"row 2: file 'a.wav' comes a second time"):
        metadata_table(write(tmp_path / "d.csv", "file,n\na.wav,1\na.wav,2\n"), "file")
    with pytest.raises(MediaError, match=r"row 1: its 'file' is empty"):
        metadata_table(write(tmp_path / "e.csv", "file,n\n,1\n"), "file")
    with pytest.raises(MediaError, match=r"row 2: is not JSON"):
        metadata_table(write(tmp_path / "f.jsonl", '{"file": "a"}\n{"file\n'), "file")


def test_real_tables(shared: Path) -> None:
    prompts = list(rows(shared / "data/prompts/parti-prompts.tsv", "Prompt"))
    assert len(prompts) == 1632 and all(isinstance(row, Row) for row in prompts)
    captions = list(rows(shared / "data/prompts/musiccaps.csv", "caption"))
    assert len(captions) == 5521 and all(isinstance(row, Row) for row in captions)
    assert metadata_table(shared / "data/countries/countries.csv", "flag")["abw.png"]["capital"] == "Oranjestad"


def test_texts_with_and_without_a_header(tmp_path: Path) -> None:
    bare = write(tmp_path / "bare.csv", 'man,woman\n\n"a, b",1.50\n')
    assert list(texts(bare)) == [("man", "woman"), ("a, b", "1.50")]
    named = write(tmp_path / "named.tsv", 'n\tb\ta\n1\tqueen\t"king"\n2\t\tx\n3\tq\tk\tz\n')
    assert list(texts(named, ["a", "b"])) == [
        ("king", "queen"),
        BadRow(1, "its 'b' is empty"),
        BadRow(2, "has 4 cells; the header has 3"),
    ]
    keys = write(tmp_path / "keys.jsonl", '{"a": "1.50", "b": 2}\n[]\n')
    assert list(texts(keys, ["a", "b"])) == [("1.50", "2"), BadRow(1, "is not a JSON object")]
    with pytest.raises(UsageError, match="no column 'c'; its columns: a, b"):
        list(texts(keys, ["a", "c"]))
    with pytest.raises(UsageError, match="name the columns"):
        list(texts(keys))
