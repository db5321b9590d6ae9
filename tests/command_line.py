"""The command line in this process, and families of encoders that lack some sides."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from analogon.cli import app as cli


def exit_code(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run ``analogon`` with these arguments."""
    monkeypatch.setattr(sys, "argv", ["analogon", *arguments])
    before = signal.getsignal(signal.SIGPIPE)
    try:
        with pytest.raises(SystemExit) as ending:
            cli.main()
    finally:
        signal.signal(signal.SIGPIPE, before)  # the command line's own would end this process at a broken pipe
    return int(ending.value.code or 0)


def family(
    monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, modalities: Iterable[str], *, model: str = "8"
) -> str:
    """A family of toy encoders with some sides only, in a folder of plug-ins; gives its name."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(
        f"from embed.encoders.toy import load as toy\n\n\ndef load(model={model!r}):\n    made = toy(model)\n"
        f"    made.modalities = frozenset({sorted(modalities)!r})\n    return made\n"
    )
    monkeypatch.setenv("ANALOGON_ENCODERS", str(folder))
    monkeypatch.delitem(sys.modules, f"embed.encoders.{name}", raising=False)  # another test's of the same name
    return name
