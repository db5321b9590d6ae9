"""Hostile SSML is refused in one line or spoken; nothing that it names is opened, connected to or run."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.analogon.speech.hostile_ssml import documents

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file that holds a document, so that reading it would even work."""
    path = tmp_path / "canary.ssml"
    path.write_text("<speak>caught</speak>")
    return path


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def ran(
    canary: Path, listening: socket.socket, engine: str, every: int, *before: str, mutants: int = 220, limit: int = 120
) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.analogon.speech.hostile_ssml", str(canary), str(listening.getsockname()[1])]
    done = subprocess.run(
        [*before, *command, engine, str(every), str(mutants)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=limit,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with pytest.raises(BlockingIOError):  # nobody called
        listening.accept()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_thousand_documents_touch_nothing(canary: Path, listening: socket.socket) -> None:
    assert len(set(documents(canary, 1))) >= 1000
    found = ran(canary, listening, "fake", 1)
    assert found["wrong"] == []
    # A codec of Python's own may be imported for a document that declares it.
    assert [line for line in found["touched"] if not re.search(r"/encodings/[\w./-]+\.pyc?'$", line)] == []
    assert found["slowest"][0] < 8
    assert found["refused"] + found["spoken"] == found["documents"] >= 1000
    assert found["refused"] > 600 and found["spoken"] > 400


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_thousand_documents_touch_nothing_and_end(canary: Path, listening: socket.socket) -> None:
    assert len(set(documents(canary, 1, 1000))) >= 2000
    found = ran(canary, listening, "fake", 1, mutants=1000, limit=800)
    assert found["wrong"] == []
    assert [line for line in found["touched"] if not re.search(r"/encodings/[\w./-]+\.pyc?'$", line)] == []
    assert found["slowest"][0] < 8
    assert found["refused"] + found["spoken"] == found["documents"] >= 2000


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_espeak_ends_with_every_fourth_of_two_thousand(canary: Path, listening: socket.socket) -> None:
    found = ran(canary, listening, "espeak", 4, mutants=1000, limit=1700)
    assert found["wrong"] == []
    assert found["refused"] + found["spoken"] == found["documents"] >= 400
    assert {line.split(" ")[0] for line in found["touched"]} <= {"subprocess.Popen", "open"}


def test_the_record_sees_what_is_touched(tmp_path: Path) -> None:
    """Else the test above could not fail."""
    from tests.analogon.speech.hostile_ssml import GOOD, run

    def touching(_: Any) -> None:
        (tmp_path / "touched").write_text("x")
        with socket.socket() as caller:
            caller.connect_ex(("127.0.0.1", 9))
        subprocess.run(["true"], check=True)

    touched = " ".join(run([GOOD], [touching])["touched"])
    assert all(word in touched for word in ("open", "touched", "socket.connect", "subprocess.Popen"))


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_espeak_opens_nothing_that_a_document_names(canary: Path, listening: socket.socket, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    calls = "open,openat,connect,socket,execve,stat,access,newfstatat"
    tracer = ["strace", "-f", "--seccomp-bpf", "-qq", "-e", f"trace={calls}", "-o", str(trace)]
    traceable = shutil.which("strace") and not subprocess.run([*tracer, "true"], capture_output=True).returncode
    found = ran(canary, listening, "espeak", 24, *(tracer if traceable else []))
    assert found["wrong"] == []
    assert found["spoken"] > 10 and found["refused"] > 20
    programs = {line for line in found["touched"] if line.startswith("subprocess.Popen")}
    assert len(programs) == 1 and "espeak-ng" in programs.pop()
    if traceable:
        lines = trace.read_text(errors="replace").splitlines()
        assert len([line for line in lines if "execve" in line and "espeak-ng" in line]) > 20
        assert not [line for line in lines if "AF_INET" in line]
        named = [str(canary.name) + '"', "/etc/passwd", "/tmp/hostile", "x.wav", "\\\\share"]
        assert not [line for line in lines if any(name in line for name in named) and "execve" not in line]
        arguments = [line for line in lines if "execve" in line and "espeak-ng" in line]
        assert not [line for line in arguments if "/tmp/hostile" in line or "passwd" in line]
