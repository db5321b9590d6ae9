"""``analogon index --prune`` as a person types it: what is kept, how that is said, and what is asked on a terminal."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from indexes.collection import Collection
from tests import sounds
from tests.command_line import exit_code

Capture = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two folders that are indexed into the collection ``c``."""
    monkeypatch.setenv("ANALOGON_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    sounds.folder(tmp_path / "many", 12)
    sounds.folder(tmp_path / "a drive", 2)
    assert exit_code(monkeypatch, "index", "many", "a drive", "-c", str(tmp_path / "c"), "-e", "toy:16") == 0
    return tmp_path


def known(folder: Path) -> int:
    with Collection.open(folder / "c") as collection:
        return collection.catalog.counts()["source"]


def test_a_folder_that_is_missing_is_kept_and_the_way_out_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    shutil.rmtree("a drive")
    (folder / "many" / "a" / "001.wav").unlink()
    capsys.readouterr()
    assert exit_code(monkeypatch, "index", "a drive", "-c", "c/../c") == 2
    assert "a drive: no such file or folder; what was indexed there stays in c (2 in all)" in capsys.readouterr().err
    assert exit_code(monkeypatch, "index", "many", "a drive", "--prune", "-c", "./c") == 3
    out, err = capsys.readouterr()
    assert "c: 11 files (11 known, 1 removed (001.wav));" in out
    assert err.splitlines() == [
        f"analogon: {folder}/a drive: no such file or folder; 2 of 2 indexed there are kept (001.wav, 000.wav); where "
        f"no drive is missing, --prune --force removes them, and so does: analogon rm '{folder}/a drive' -c ./c"
    ]
    assert known(folder) == 13
    assert exit_code(monkeypatch, "index", "many", "a drive", "--prune", "--force", "-c", "./c") == 0
    out, err = capsys.readouterr()
    assert "2 removed (001.wav, 000.wav)" in out and err == ""
    assert known(folder) == 11


def test_what_is_gone_is_named_where_it_is_few_and_much_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    files = sorted((folder / "many").rglob("*.wav"))
    for path in files[:2]:
        path.unlink()
    capsys.readouterr()
    assert exit_code(monkeypatch, "index", "many", "-c", "./c") == 0
    names = ", ".join(path.name for path in files[:2])
    assert f"2 no longer there ({names}) (--prune removes them)" in capsys.readouterr().out
    for path in files[2:6]:
        path.unlink()
    assert exit_code(monkeypatch, "index", "many", "-c", "./c") == 0
    assert "6 no longer there (--prune removes them)" in capsys.readouterr().out
    assert exit_code(monkeypatch, "index", "many", "--prune", "-c", "./c") == 3
    err = capsys.readouterr().err
    assert "c: more than a third of it is gone at once; 6 of 14 indexed there are kept; --prune --force removes" in err
    assert known(folder) == 14
    assert exit_code(monkeypatch, "index", "many", "--prune", "--force", "-c", "./c") == 0
    assert known(folder) == 8


def test_force_alone_means_nothing(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert exit_code(monkeypatch, "index", "many", "--force", "-c", "./c") == 2
    assert "--force goes with --prune" in capsys.readouterr().err


def test_reread_sees_what_no_time_tells(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    path = folder / "many" / "a" / "001.wav"
    times = path.stat()
    other = sounds.write(folder / "many" / "a" / "003.wav", 99, (times.st_size - 44) / 2 / sounds.RATE)
    path.write_bytes(other.read_bytes())
    other.unlink()
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    monkeypatch.setattr("indexes.absence.CTIME_IS_OF_CHANGE", False)
    capsys.readouterr()
    assert exit_code(monkeypatch, "index", "many", "-c", "./c") == 0
    assert "11 known" in capsys.readouterr().out
    assert exit_code(monkeypatch, "index", "many", "--reread", "-c", "./c") == 0
    assert "10 known, 1 changed" in capsys.readouterr().out


@pytest.mark.parametrize(("answer", "left"), [("y", 12), ("n", 14), ("\x04", 14)], ids=["yes", "no", "end of input"])
def test_a_terminal_is_asked(answer: str, left: int, folder: Path) -> None:
    shutil.rmtree(folder / "a drive")
    person, terminal = os.openpty()
    command = [sys.executable, "-m", "analogon", "index", str(folder / "a drive"), str(folder / "many")]
    with subprocess.Popen(
        [*command, "--prune", "-c", str(folder / "c")],
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=terminal,
        cwd=ROOT,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "300"},
    ) as process:
        os.close(terminal)
        said, end, answered = b"", time.monotonic() + 60, False
        while time.monotonic() < end:
            if select.select([person], [], [], 0.1)[0]:
                try:
                    said += os.read(person, 1 << 16)
                except OSError:  # the other side is closed
                    break
            elif process.poll() is not None:
                break
            if not answered and b"[y/N]" in said:
                os.write(person, (answer if answer == "\x04" else f"{answer}\n").encode())
                answered = True
        assert process.wait(30) == 0, said
    os.close(person)
    assert answered and said.count(b"[y/N]") == 1
    question = b"a drive: no such file or folder; 2 of 2 indexed there are kept. Remove them from the collection? [y/N]"
    assert question in said
    assert known(folder) == left


def test_hints_name_the_collection_that_was_named_and_what_was_forgotten_counts_no_more(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    (folder / "many" / "odd.wav").write_bytes(b"RIFF, and no more")
    capsys.readouterr()
    assert exit_code(monkeypatch, "info", "-c", "./c", "-f", "json") == 0
    before = json.loads(capsys.readouterr().out)["spaces"][0]["modalities"]["audio"]
    assert before["forgotten"] == 0
    shutil.rmtree("a drive")
    (folder / "many" / "a" / "001.wav").unlink()
    assert exit_code(monkeypatch, "search", "./many/a/003.wav", "-k", "40", "-c", "./c") == 0
    assert "; analogon index FOLDER -c ./c --prune forgets what is gone" in capsys.readouterr().err
    assert exit_code(monkeypatch, "index", "many", "a drive", "--prune", "--force", "-c", "./c") == 0
    out = capsys.readouterr().out
    assert "the reasons: analogon info --failures -c ./c" in out
    gone = 1  # what 001.wav holds in both folders is one content; that of 000.wav is still in the other
    left = before["vectors"] - gone
    assert f"  audio: {left} vectors ({gone} forgotten) in toy:16, exact scan" in out
    assert exit_code(monkeypatch, "info", "-c", "./c") == 0
    assert f"    audio: {left} vectors ({gone} forgotten), exact scan" in capsys.readouterr().out
    assert exit_code(monkeypatch, "info", "-c", "./c", "-f", "json") == 0
    audio = json.loads(capsys.readouterr().out)["spaces"][0]["modalities"]["audio"]
    assert (audio["vectors"], audio["forgotten"]) == (left, gone)
