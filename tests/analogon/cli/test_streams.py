"""stdout and stderr with other encodings, full, closed or a terminal; names that hold control characters."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import sounds

RAW = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
ODD = "a\x1b]0;pwned\x07\x1b[31mred\x9b31m.wav"
TWO = "two\nlines.wav"
FOREIGN = "日本 é \U0001f98a.wav"
FORMS = ("table", "json", "tsv", "paths")


def analogon(folder: Path, *arguments: str, **streams: object) -> subprocess.CompletedProcess[bytes]:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONUNBUFFERED", "FORCE_COLOR")}
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
    more = settings.pop("environment", {})
    assert isinstance(more, dict)
    root = str(Path(__file__).parents[3])
    return subprocess.run(
        [sys.executable, "-m", "analogon", *arguments],
        cwd=folder,
        env=environment | {"PYTHONPATH": root, "ANALOGON_HOME": str(folder / "home"), "COLUMNS": "200"} | more,
        timeout=120,
        **settings,  # type: ignore[call-overload]
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings with odd names in the collection c, and one that is broken."""
    made = tmp_path_factory.mktemp("streams")
    for number, name in enumerate((ODD, TWO, FOREIGN, "plain.wav")):
        sounds.write(made / "lib" / name, number)
    (made / "lib" / "broken\x1b[31m\n.wav").write_bytes(b"RIFF")
    ran = analogon(made, "index", "lib", "-c", "./c", "-e", "toy")
    assert ran.returncode == 0, ran.stderr
    assert not RAW.search(ran.stderr.decode()) and "broken\\x1b[31m\\n.wav" in ran.stderr.decode()
    return made


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-16"])
@pytest.mark.parametrize("form", FORMS)
def test_every_row_is_printed_whatever_the_encoding(folder: Path, encoding: str, form: str) -> None:
    ran = analogon(
        folder, "search", "rain", "-c", "./c", "--by", "content", "-f", form,
        environment={"PYTHONIOENCODING": encoding},
    )  # fmt: skip
    assert ran.returncode == 0 and b"fault" not in ran.stderr, ran.stderr
    if form == "paths":  # the file system's own bytes
        printed = os.fsdecode(ran.stdout).splitlines()
        assert {str(folder / "lib" / name) for name in (FOREIGN, ODD, "plain.wav")} == set(printed)
        assert "two\\nlines.wav" in ran.stderr.decode(encoding)  # a row cannot hold it: it is left out, and told
        return
    lines = ran.stdout.decode(encoding).splitlines()
    assert len(lines) == 4 + (form != "json")
    if form == "json":
        paths = {os.path.basename(json.loads(line)["path"]) for line in lines}
        assert paths == {ODD, TWO, FOREIGN, "plain.wav"}
    else:
        assert not RAW.search("".join(lines).replace("\t", ""))
        spelled = any("日本 é" in line or "\\u65e5\\u672c" in line or "日本 \\u00e9" in line for line in lines)
        assert spelled and any("two\\nlines.wav" in line for line in lines)


@pytest.mark.parametrize("arguments", [("info", "--failures"), *(("search", "rain", "-f", form) for form in FORMS)])
def test_no_name_commands_a_terminal(folder: Path, arguments: tuple[str, ...]) -> None:
    ours, theirs = pty.openpty()
    ran = analogon(
        folder, *arguments, "-c", "./c", stdout=theirs, stderr=theirs,
        environment={"TERM": "xterm", "PYTHONUTF8": "1"},
    )  # fmt: skip
    os.close(theirs)
    printed = b""
    try:
        while chunk := os.read(ours, 65536):
            printed += chunk
    except OSError:
        pass  # all of it was read
    os.close(ours)
    assert ran.returncode == 0
    text = re.sub(r"\x1b\[[0-9;]*m", lambda found: "" if found[0] != "\x1b[31m" else found[0], printed.decode())
    assert not RAW.search(text.replace("\r\n", "\n")), text
    assert "\nlines.wav" not in text.replace("\r", "")
    if "--failures" in arguments:
        assert "broken\\x1b[31m\\n.wav" in text
    else:
        assert "\\x1b[31mred\\x9b31m.wav" in text or "\\u001b[31mred\\u009b31m.wav" in text


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize(
    ("arguments", "unbuffered"),
    [
        (("info",), ""),
        (("info", "-f", "json"), "1"),
        *((("search", "rain", "-f", form), "") for form in FORMS),
        (("search", "rain", "-f", "paths"), "1"),
    ],
)
def test_a_full_disk_behind_stdout_is_named(folder: Path, arguments: tuple[str, ...], unbuffered: str) -> None:
    with open("/dev/full", "wb") as full:
        ran = analogon(
            folder, *arguments, "-c", "./c", stdout=full, environment={"PYTHONUNBUFFERED": unbuffered}
        )  # fmt: skip
    assert ran.returncode == 3
    last = ran.stderr.decode().splitlines()[-1]
    assert last.startswith("analogon: stdout: the disk is full; free some space") and b"Traceback" not in ran.stderr


def test_what_cannot_be_told_ends_nothing(folder: Path) -> None:
    """A run whose remarks have no place does all of its work."""
    with open("/dev/full", "wb") as full:
        ran = analogon(folder, "index", "lib", "-c", "./other", "-e", "toy", stderr=full)
    assert ran.returncode == 0 and b"4 new vectors" in ran.stdout


def test_closed_streams(folder: Path) -> None:
    command = f"{sys.executable} -m analogon search rain -c ./c"
    for closed, code in ((">&-", 3), ("2>&-", 0), (">&- 2>&-", 3), ("1</dev/null", 3)):
        ran = subprocess.run(
            ["/bin/sh", "-c", f"{command} {closed}"],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ran.returncode == code, (closed, ran.stderr)
        assert "Traceback" not in ran.stderr and "fault" not in ran.stderr
        if closed == ">&-":
            assert ran.stderr.splitlines()[-1] == "analogon: stdout: is closed: there is no place for results"
        if closed == "1</dev/null":
            assert ran.stderr.splitlines()[-1] == "analogon: stdout: cannot be written: Bad file descriptor"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 150 KiB."""
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("only root can make a small file system")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=150k", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_run_on_a_full_disk_says_so_and_the_next_one_goes_on(tmp_path: Path, small: Path) -> None:
    for number in range(150):
        sounds.write(tmp_path / "lib" / f"{number:03}.wav", number, 0.05)
    ran = analogon(tmp_path, "index", "lib", "-c", str(small / "c"), "-e", "toy")
    assert ran.returncode == 3, ran.stderr
    last = ran.stderr.decode().splitlines()[-1]
    assert "the disk is full; free some space and run it again" in last and b"Traceback" not in ran.stderr
    subprocess.run(["mount", "-o", "remount,size=20m", str(small)], check=True)
    ran = analogon(tmp_path, "index", "lib", "-c", str(small / "c"), "-e", "toy")
    assert ran.returncode == 0, ran.stderr
    assert analogon(tmp_path, "index", "lib", "-c", "./whole", "-e", "toy").returncode == 0
    asked = ("search", "rain", "--by", "content", "-f", "json", "-k", "200")
    found = [analogon(tmp_path, *asked, "-c", where).stdout for where in (str(small / "c"), "./whole")]
    scores = [{(hit["path"], hit["score"]) for hit in map(json.loads, out.splitlines())} for out in found]
    assert scores[0] == scores[1] and len(scores[0]) == 150


def test_a_closed_stdin_is_nobody_to_ask(folder: Path) -> None:
    shell = f"exec {sys.executable} -m analogon"
    settings = {"PYTHONPATH": str(Path(__file__).parents[3]), "ANALOGON_HOME": str(folder / "home")}
    for line, rc, said in (
        ("index lib -c ./c --prune", 0, ""),
        ("generate - --with espeak -o o", 2, "analogon: stdin is closed, and prompts were to be read from it\n"),
    ):
        ran = subprocess.run(
            ["sh", "-c", f"{shell} {line} <&-"], cwd=folder, env=os.environ | settings, capture_output=True, timeout=120
        )
        assert ran.returncode == rc, ran.stderr
        assert said in ran.stderr.decode() and "fault of analogon" not in ran.stderr.decode()


def test_names_that_a_locale_hides_are_told(folder: Path) -> None:
    hidden = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ran = analogon(folder, "info", "-c", "./c", environment=hidden)
    assert ran.returncode == 0
    if sys.platform == "linux":
        assert b"names of files are read as ascii here" in ran.stderr and b"PYTHONUTF8=1" in ran.stderr
    assert b"PYTHONUTF8" not in analogon(folder, "info", "-c", "./c").stderr
