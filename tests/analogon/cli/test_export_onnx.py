"""``analogon export-onnx``: what it exports, tells and clears; and what ``index`` says of an export that fails."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from embed.encoders.clap import ClapEncoder
from embed.exported import CACHE
from embed.tower import Tower
from tests.command_line import exit_code
from tests.embed.encoders import tiny_clap


@pytest.fixture
def clap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("ANALOGON_RUNTIME", "auto")
    (tmp_path / "model").mkdir()
    return tiny_clap.build(tmp_path / "model")


def test_it_exports_then_tells_and_clears(
    clap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "cache" / "analogon" / "onnx"
    assert exit_code(monkeypatch, "export-onnx", clap) == 0
    text, audio, total = capsys.readouterr().out.splitlines()
    assert re.fullmatch(rf"the text network of {clap}: 0\.1 MB, cosine (1\.0000000|0\.999\d+) to torch", text)
    assert audio.startswith(f"the audio network of {clap}: 0.1 MB, cosine ")
    held = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    assert total == f"{folder} holds {held / 1e6:.1f} MB of at most 8,590 MB"

    assert exit_code(monkeypatch, "export-onnx", "-f", "json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["bytes"] == held == sum(one["bytes"] for one in told["kept"])
    assert sorted(one["what"] for one in told["kept"]) == [
        f"the audio network of {clap}",
        f"the text network of {clap}",
        "the tokenizer of model",
    ]

    assert exit_code(monkeypatch, "export-onnx", "--clear") == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"deleted {held / 1e6:.1f} MB; {folder} holds 0.0 MB")
    assert list(folder.iterdir()) == []


def test_the_limit_of_the_settings_counts(
    clap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANALOGON_ONNX_LIMIT", "0.12M")
    assert exit_code(monkeypatch, "export-onnx", clap) == 0
    # The audio network, exported last, is all that fits.
    assert [entry.what for entry in CACHE.entries()] == [f"the audio network of {clap}"]
    assert "of at most 0 MB" in capsys.readouterr().out


def test_clear_and_an_encoder_at_once_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(monkeypatch, "export-onnx", "toy", "--clear") == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_an_encoder_without_a_network_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(monkeypatch, "export-onnx", "toy:8") == 1
    assert capsys.readouterr().err == "analogon: toy:8 has no network that can be exported\n"


def test_index_goes_on_with_torch_where_an_export_fails_and_says_so_once(
    clap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    build = ClapEncoder.__init__

    def crooked(self: ClapEncoder, *given: object, **options: object) -> None:
        build(self, *given, **options)  # type: ignore[arg-type]
        tower = self.towers["text"]

        def output(module: object, inputs: dict[str, object]) -> object:
            rows = module(**inputs).text_embeds  # type: ignore[operator]
            return rows.sort(dim=int(rows.sum().item() > 1e9) + 1, descending=len(rows) > 2).values

        self.towers["text"] = Tower(
            "text", tower.build, where=tower.where, running=tower.running, output=output, exports=True
        )

    monkeypatch.setattr(ClapEncoder, "__init__", crooked)
    (tmp_path / "sounds").mkdir()
    soundfile.write(tmp_path / "sounds" / "a.wav", np.random.default_rng(0).normal(0, 0.1, 4800), 48000)
    collection = str(tmp_path / "c")
    assert exit_code(monkeypatch, "index", str(tmp_path / "sounds"), "-c", collection, "-e", clap) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "torch" in line]
    assert len(lines) == 1
    assert lines[0].startswith(f"analogon: the text network of {clap} goes on with torch: ")
    assert exit_code(monkeypatch, "index", str(tmp_path / "sounds"), "-c", collection) == 0
    assert "torch" not in capsys.readouterr().err


def test_index_without_the_package_onnx_says_how_to_get_it(
    clap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("embed.export.find_spec", lambda name: None)
    (tmp_path / "sounds").mkdir()
    soundfile.write(tmp_path / "sounds" / "a.wav", np.random.default_rng(0).normal(0, 0.1, 4800), 48000)
    assert exit_code(monkeypatch, "index", str(tmp_path / "sounds"), "-c", str(tmp_path / "c"), "-e", clap) == 0
    assert capsys.readouterr().err == (
        f"analogon: {clap} goes on with torch: an ONNX file of a network needs the package onnx: "
        "pip install 'analogon[train]'\n"
    )
    assert [entry.what for entry in CACHE.entries()] == ["the tokenizer of model"]
