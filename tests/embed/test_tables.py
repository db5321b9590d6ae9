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


def test_one_column_may_stand_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "id,caption\n7,rain\n8,wind\n")
    assert list(texts(path, "caption")) == list(texts(path, ["caption"])) == [("rain",), ("wind",)]


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


def bad(file: Path, column: str = "text") -> dict[int, str]:
    return {one.row: one.reason for one in rows(file, column) if isinstance(one, BadRow)}


@pytest.mark.parametrize("ending", ["\n", "\r\n", ""])
def test_a_quote_that_is_never_closed_is_told_with_its_line(tmp_path: Path, ending: str) -> None:
    file = write(tmp_path / "a.csv", f'n,text\n1,rain\n\n2,"waves crash\n3,a bus\n4,a dog{ending}')
    assert [one.text for one in rows(file, "text") if isinstance(one, Row)] == ["rain"]
    assert bad(file) == {1: "a quote that opens in line 4 is not closed as a quote should be and takes in 2 more lines"}
    with pytest.raises(MediaError, match="row 2: a quote that opens in line 4"):
        metadata_table(file, "n")
    assert [one for one in texts(file) if isinstance(one, BadRow)]
    last = write(tmp_path / "b.csv", f'n,text\n1,rain\n2,"waves{ending}')
    assert bad(last) == {1: "a quote that opens in line 3 is not closed as a quote should be"}
    header = write(tmp_path / "c.csv", f'"n,text\n1,rain\n2,waves{ending}')
    with pytest.raises(MediaError, match="its header cannot be read: a quote that opens in line 1"):
        list(rows(header, "text"))


def test_a_quote_that_a_later_one_closes_is_told(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", 'n,text\n1,"waves\n2,"a bus"\n3,a dog\n')
    assert bad(file) == {0: "a quote that opens in line 2 is not closed as a quote should be and takes in 1 more line"}
    assert list(rows(file, "text"))[1] == Row("a dog", 1, {"n": 3})


def test_a_quoted_cell_of_several_lines_is_as_before(tmp_path: Path) -> None:
    cells = ['two\nlines, "quoted"', 'a 5" disc', "\n", "end\n"]
    with open(tmp_path / "a.csv", "w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([["n", "text"], *([n, cell] for n, cell in enumerate(cells))])
    assert [one.text for one in rows(tmp_path / "a.csv", "text") if isinstance(one, Row)] == [
        cell for cell in cells if cell.strip()
    ]
    assert bad(tmp_path / "a.csv") == {2: "its 'text' is empty"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "file;mood\n001.wav;dark, wet\n002.wav;bright\n"),
        ("b.csv", "file\tmood\n001.wav\tdark, wet\n002.wav\tbright\n"),
        ("c.csv", "sep=;\r\nfile;mood\r\n001.wav;dark, wet\r\n002.wav;bright\r\n"),
        ("d.csv", 'file,mood\n001.wav,"dark, wet"\n002.wav,bright\n'),
        ("e.csv", 'file;mood\n"001.wav";"dark, wet"\n002.wav;bright\n'),
        ("f.tsv", "file\tmood\n001.wav\tdark, wet\n002.wav\tbright\n"),
        ("g.jsonl", '{"file": "001.wav", "mood": "dark, wet"}\n{"file": "002.wav", "mood": "bright"}\n'),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_separators_and_encodings_of_spreadsheets(tmp_path: Path, name: str, content: str, encoding: str) -> None:
    file = write(tmp_path / name, content.encode(encoding))
    assert metadata_table(file, "file") == {"001.wav": {"mood": "dark, wet"}, "002.wav": {"mood": "bright"}}


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
@pytest.mark.parametrize("encoding", ["latin-1", "utf-16-le", "utf-16-be", "cp1252"])
def test_an_encoding_that_cannot_be_told_is_refused(tmp_path: Path, suffix: str, encoding: str) -> None:
    text = {"csv": "file,mood\na,Möwe\n", "tsv": "file\tmood\na\tMöwe\n", "jsonl": '{"file":"a","mood":"Möwe"}\n'}
    with pytest.raises(MediaError, match="is not UTF-8 text: save it as UTF-8"):
        metadata_table(write(tmp_path / f"a.{suffix}", text[suffix].encode(encoding)), "file")


def test_numbers_that_json_has_not(tmp_path: Path) -> None:
    said: list[str] = []
    lines = (
        '{"f":"a","n":NaN}\n{"f":"b","n":1e999,"m":1e3}\n\n{"f":"c","n":-Infinity,"m":[NaN, 1]}\n{"f":"d","n":2.5}\n'
    )
    table = metadata_table(write(tmp_path / "a.jsonl", lines), "f", said.append)
    assert table == {"a": {}, "b": {"m": 1000.0}, "c": {"m": "[null, 1]"}, "d": {"n": 2.5}}
    reason = "NaN, 1e999, -Infinity is no number that can be kept; left out of 4 cells, the first in row 1"
    assert said == [reason]
    assert len(list(rows(tmp_path / "a.jsonl", "f", said.append))) == 4 and said == [reason, reason]


def test_a_key_that_comes_twice_in_an_object(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", '{"text":"a","n":1}\n{"text":"b","n":1,"n":2}\n{"text":"c","n":{"x":1,"x":1}}\n')
    assert bad(file) == {1: "has the key 'n' twice", 2: "has the key 'x' twice"}
    with pytest.raises(MediaError, match="row 2: has the key 'n' twice"):
        metadata_table(file, "text")
