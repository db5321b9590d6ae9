"""A question in a new process, of an encoder that was exported: answered as by torch, with no import that is heavy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

import analogon
from embed.exported import CACHE
from embed.models import MODELS
from indexes.build import Listener
from tests.embed.encoders.test_conformance import scene

ROOT = Path(__file__).resolve().parents[3]
HEAVY = ("torch", "transformers", "scipy", "sklearn", "pyarrow", "faiss", "librosa", "huggingface_hub.hf_api")
PROGRAM = f"""
import sys

class Heavy:
    def find_spec(self, name, path=None, target=None):
        if name in {HEAVY!r}:
            print("HEAVY", name, file=sys.stderr)
            raise ImportError(name + " is heavy")

sys.meta_path.insert(0, Heavy())
sys.argv = ["analogon", *sys.argv[1:]]
from analogon.cli.app import main
main()
"""


class Heard(Listener):
    def __init__(self) -> None:
        self.phases: dict[str, int | None] = {}

    def phase(self, name: str, total: int | None, seconds: float = 0.0) -> None:
        self.phases[name] = total


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(4):
        soundfile.write(folder / f"{number}.wav", 0.1 * random.standard_normal(16000) ** (number + 1), 16000)
        Image.fromarray(scene(random, 40, 50)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(["rain on a roof", "an old engine", "the sea", "a red guitar"][number])
    return folder


@pytest.mark.parametrize(
    ("family", "modality"), [("clap", "audio"), ("clip", "image"), ("siglip", "image"), ("sentence", "text")]
)
def test_a_text_query_imports_neither_torch_nor_transformers(
    family: str, modality: str, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CACHE, "asked", lambda: "auto")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    checkpoint = tmp_path / "model"
    checkpoint.mkdir()
    name = import_module(f"tests.embed.encoders.tiny_{family}").build(checkpoint)
    heard = Heard()
    with analogon.open(tmp_path / "c", create=True) as library:
        library.index(media, encoders=[name], only=modality, listener=heard)
        assert heard.phases[f"ONNX files of {name}"] == (1 if family == "sentence" else 2)
        MODELS.clear()
        monkeypatch.setattr(CACHE, "asked", lambda: "eager")
        wanted = [(hit.path, hit.score) for hit in library.search("a dog barking", by="content", k=4)]
    assert len(wanted) == 4
    environment = {key: value for key, value in os.environ.items() if key != "ANALOGON_RUNTIME"}
    asked = ("search", "a dog barking", "--by", "content", "-c", str(tmp_path / "c"), "-k", "4", "-f", "json")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *asked],
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert "HEAVY" not in done.stderr and done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["path"] for one in found] == [path for path, _ in wanted]
    assert [one["score"] for one in found] == pytest.approx([score for _, score in wanted], abs=1e-3)
