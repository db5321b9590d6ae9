"""Names that are not UTF-8, break a line or turn the writing around, and side tables that hide what files tell."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from analogon.cli import app

Capture = pytest.CaptureFixture[str]


def run(*args: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.argv", ["analogon", *args])
    with pytest.raises(SystemExit) as left:
        app.main()
    said = capsys.readouterr()
    return int(left.value.code or 0), said.out, said.err


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANALOGON_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "lib").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: str | bytes, seed: int) -> None:
    with open(path, "wb") as file:
        samples = np.random.default_rng(seed).standard_normal(1600) * 0.2
        soundfile.write(file, samples, 16000, format="WAV", subtype="PCM_16")


def test_a_name_that_is_not_utf_8_is_told_wherever_it_is_given(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    bad = os.fsdecode(b"lib/bad\xff\xfe.wav")
    try:
        write(os.fsencode(bad), 0)
    except OSError:
        pytest.skip("this disk takes no such name")
    write("lib/good.wav", 1)
    for path in ("lib", bad):
        code, _, err = run(
            "index", path, "-e", "toy", "-c", path[:4].strip("/"), monkeypatch=monkeypatch, capsys=capsys
        )
        assert code == (0 if path == "lib" else 1)
        assert err.splitlines()[0] == rf"skipped {here}/lib/bad\xff\xfe.wav: its name is not UTF-8; rename it"
    code, _, err = run("rm", bad, "-c", "lib", monkeypatch=monkeypatch, capsys=capsys)
    assert code == 1 and err == "analogon: lib/bad\\xff\\xfe.wav: nothing is known of it here\n"


def test_a_name_of_two_lines_is_one_row_and_no_two_paths(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    for seed, name in enumerate(("two\nlines.wav", "turned\u202ename.wav", "plain.wav")):
        write(f"lib/{name}", seed)
    run("index", "lib", "-e", "toy", "-c", "c", monkeypatch=monkeypatch, capsys=capsys)

    def search(form: str) -> tuple[list[str], str]:
        code, out, err = run(
            "search", "x", "--by", "content", "-c", "c", "-f", form, monkeypatch=monkeypatch, capsys=capsys
        )
        assert code == 0
        return out.splitlines(), err

    rows, _ = search("table")
    assert len(rows) == 4 and sum(r"two\nlines.wav" in row for row in rows) == 1
    assert "\u202e" not in "".join(rows)
    paths, err = search("paths")
    assert sorted(paths) == sorted(f"{here}/lib/{name}" for name in ("turned\u202ename.wav", "plain.wav"))
    told = [line for line in err.splitlines() if "line break" in line]
    assert told == [
        rf"analogon: left out, as there is a line break in its name: {here}/lib/two\nlines.wav; -f json gives it"
    ]
    lines, _ = search("json")
    assert f"{here}/lib/two\nlines.wav" in [json.loads(line)["path"] for line in lines]


@pytest.mark.parametrize(
    "header,told",
    [
        ("file,mood", None),
        ("file,duration", "the column duration counts"),
        ("file,path,bytes", "the columns bytes, path count"),
    ],
)
def test_columns_that_hide_what_files_tell_are_told(
    header: str, told: str | None, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    write("lib/a.wav", 0)
    Path("t.csv").write_text(f"{header}\na.wav{',99' * header.count(',')}\n")
    _, _, err = run(
        "index", "lib", "-e", "toy", "-c", "c", "--metadata", "t.csv", monkeypatch=monkeypatch, capsys=capsys
    )
    lines = [line for line in err.splitlines() if "t.csv" in line]
    assert lines == ([f"t.csv: {told} in filters instead of what the files themselves tell"] if told else [])
