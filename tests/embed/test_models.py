"""Models that are loaded once for all: counted loads, threads, what goes when memory is short, and what never does."""

from __future__ import annotations

import gc
import importlib
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import embed
from embed.encoder import Encoder
from embed.errors import EncoderError, UnknownEncoder
from embed.models import MODELS, Models, physical_memory, shared, size_of
from embed.pipeline import encode
from tests import sounds

TINY = sorted(path.stem.removeprefix("tiny_") for path in (Path(__file__).parent / "encoders").glob("tiny_*.py"))
COUNTING = """
import os, time
from embed.encoders.toy import ToyEncoder

DEFAULT_MODEL = "8"
loads = []

def load(model, *, size=None, slow=0.0, file=None):
    loads.append(model)
    time.sleep(slow)
    made = ToyEncoder(int(model), 1.0, None)
    made.size = size
    return made
"""


@pytest.fixture
def loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The models that a family "counting" was asked to load, in order."""
    import sys

    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "counting.py").write_text(COUNTING)
    monkeypatch.setenv("ANALOGON_ENCODERS", str(folder))
    monkeypatch.delitem(sys.modules, "embed.encoders.counting", raising=False)
    from embed.encoder import REGISTRY

    found: list[str] = REGISTRY.module("counting").loads
    monkeypatch.setattr(MODELS, "budget", lambda: 100)
    yield found
    MODELS.clear()


def table(model: str, **settings: Any) -> dict[str, Any]:
    return {"family": "counting", "model": model, "size": 0} | settings


class Thing:
    def __init__(self, size: int) -> None:
        self.size = size


def test_all_names_of_a_model_give_one_encoder(loads: list[str]) -> None:
    first = shared("counting")
    assert shared("counting:8") is shared({"model": "8", "family": "counting"}) is first
    assert loads == ["8"]
    assert shared("counting:16") is not first and shared(table("8", slow=0.0)) is not first
    assert loads == ["8", "16", "8"]
    assert embed.load("counting") is not first and len(loads) == 4  # by itself, load shares nothing


def test_what_cannot_be_loaded_is_told_each_time_and_not_kept(loads: list[str]) -> None:
    for _ in range(2):
        with pytest.raises(EncoderError, match="counting has no setting 'colour'"):
            shared(table("8", colour="red"))
        with pytest.raises(UnknownEncoder):
            shared("no such family")
    shared(table("8"))
    assert loads == ["8"]


def test_files_that_changed_are_read_anew(loads: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "one.bin").write_bytes(b"old")
    named = table("8", file=str(folder))
    first = shared(named)
    assert shared(named) is first
    (folder / "deep" / "one.bin").write_bytes(b"newer")
    second = shared(named)
    assert second is not first and shared(named) is second
    (folder / "two.bin").write_bytes(b"")
    assert shared(named) is not second and loads == ["8"] * 3


def test_threads_that_ask_for_one_model_load_it_once_and_for_two_side_by_side(loads: list[str]) -> None:
    got: list[Encoder] = []
    gate = threading.Barrier(8)

    def ask(model: str) -> None:
        gate.wait()
        got.append(shared(table(model, slow=0.3)))

    threads = [threading.Thread(target=ask, args=(str(8 + i % 2),)) for i in range(8)]
    for thread in threads:
        thread.start()
    started = time.monotonic()
    for thread in threads:
        thread.join()
    assert sorted(loads) == ["8", "9"] and len({id(one) for one in got}) == 2 and len(got) == 8
    assert time.monotonic() - started < 0.55


def test_a_load_that_fails_lets_the_next_in_line_try() -> None:
    models, tries, started = Models(), [], threading.Event()

    def fail() -> Thing:
        tries.append("fails")
        started.set()
        time.sleep(0.1)
        raise EncoderError("no")

    def first() -> None:
        with pytest.raises(EncoderError):
            models.get("a", fail)

    thread = threading.Thread(target=first)
    thread.start()
    started.wait()
    assert models.get("a", lambda: Thing(1)).size == 1
    thread.join()
    assert tries == ["fails"]


def test_what_was_not_asked_for_longest_goes_first(loads: list[str]) -> None:
    for model in ("2", "3", "4"):
        shared(table(model, size=40))
        if model == "3":
            shared(table("2", size=40))
    assert loads == ["2", "3", "4"]  # 120 of 100: "3" had to go
    shared(table("2", size=40))
    shared(table("4", size=40))
    assert loads == ["2", "3", "4"]
    shared(table("3", size=40))
    shared(table("4", size=40))
    assert loads == ["2", "3", "4", "3"]
    shared(table("2", size=40))
    assert loads == ["2", "3", "4", "3", "2"]


def test_what_is_in_use_stays_and_is_shared_whatever_the_budget(loads: list[str]) -> None:
    held = shared(table("2", size=90))
    shared(table("3", size=60))
    shared(table("4", size=60))
    assert shared(table("2", size=90)) is held and loads == ["2", "3", "4"]
    assert sum(MODELS.sizes().values()) == 150  # "3" went for "4", "2" could not
    del held
    shared(table("5", size=30))
    assert list(MODELS.sizes().values()) == [30]


def test_what_holds_only_itself_is_not_in_use() -> None:
    models = Models(lambda: 10)
    gc.disable()
    try:
        knot = models.get("knot", lambda: Thing(8))
        knot.itself = knot  # type: ignore[attr-defined]
        del knot
        models.get("next", lambda: Thing(8))
        assert list(models.sizes().values()) == [8]
    finally:
        gc.enable()


def test_a_model_larger_than_the_budget_serves_who_asked_and_goes_with_the_next() -> None:
    models, made = Models(lambda: 10), []

    def make() -> Thing:
        made.append("large")
        return Thing(1000)

    assert models.get("large", make).size == 1000
    assert models.get("large", make).size == 1000 and made == ["large"]
    models.get("small", lambda: Thing(1))
    assert list(models.sizes()) == ["small"]


def test_the_budget_is_half_of_the_memory_where_nobody_says_otherwise() -> None:
    with open("/proc/meminfo") as file:
        total = int(file.readline().split()[1]) * 1024
    assert 0 < physical_memory() <= total + 4096
    half = physical_memory() // 2
    models = Models()
    models.get("a", lambda: Thing(half - 10))
    models.get("b", lambda: Thing(10))
    assert list(models.sizes()) == ["a", "b"]
    models.get("c", lambda: Thing(1000))
    assert list(models.sizes()) == ["b", "c"]


def test_sizes_are_of_tensors_arrays_and_files_of_weights(tmp_path: Path) -> None:
    import torch

    class Model:
        def __init__(self, **held: Any) -> None:
            vars(self).update(held)

    tower = torch.nn.Linear(10, 20)
    assert size_of(Model(tower=tower, again={"the same": tower})) == 4 * (10 * 20 + 20)
    assert size_of(Model(rows=np.zeros((5, 4), np.float16), inner=Model(more=[np.zeros(3)]))) == 40 + 24
    for name, count in {
        "model.safetensors": 100,
        "audio.onnx": 50,
        "config.json": 7,
        "pytorch_model.bin": 3,
        "x.bin": 9,
    }.items():
        (tmp_path / name).write_bytes(bytes(count))
    assert size_of(Model(where=tmp_path)) == 153
    assert size_of(Model(where=tmp_path, tower=torch.nn.Linear(100, 10, bias=False))) == 4000
    assert size_of(Model(where=tmp_path, size=12)) == 12
    assert size_of(Model(_where=tmp_path, inner=Model(where=tmp_path, weights=[tmp_path / "audio.onnx"]))) == 153
    assert size_of(Model(weights=[tmp_path / "audio.onnx", tmp_path / "config.json"], other=tmp_path)) == 50
    (tmp_path / "rows").write_bytes(bytes(4000))
    assert size_of(Model(rows=np.memmap(tmp_path / "rows", np.float32))) == 0
    starter = shared("starter")
    files = sum(path.stat().st_size for path in Path(starter.where).rglob("*.onnx"))  # type: ignore[attr-defined]
    files += sum(path.stat().st_size for path in Path(starter.where).rglob("*.safetensors"))  # type: ignore[attr-defined]
    assert files <= size_of(starter) < 3 * files


@pytest.mark.parametrize("family", TINY)
def test_every_family_is_as_large_as_its_weights(family: str, tmp_path: Path) -> None:
    encoder = shared(importlib.import_module(f"tests.embed.encoders.tiny_{family}").build(tmp_path))
    kinds = (".safetensors", ".onnx", ".bin", ".pt")
    files = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.suffix in kinds)
    if family in ("toy", "words"):  # one has no weights, the other leaves them on the disk
        assert size_of(encoder) == 0
    elif family == "starter":
        assert files == 0 and size_of(encoder) > 1_000_000
    else:
        assert size_of(encoder) == files > 0
    if "text" in encoder.modalities:
        encode(encoder, [embed.Media.from_text("rain")])  # what is loaded since is what lay there
        least, most = {"words": (1, files), "toy": (0, 0), "starter": (1, 30_000_000)}.get(family, (files, 3 * files))
        assert least <= size_of(encoder) <= most


def test_one_encoder_encodes_in_one_thread_at_a_time() -> None:
    class Watching(Encoder):
        def __init__(self) -> None:
            self.inner = embed.load("toy:8")
            self.space, self.modalities, self.audio = self.inner.space, self.inner.modalities, self.inner.audio
            self.inside, self.most = 0, 0

        def encode_batch(self, batch: Sequence[embed.Media]) -> Any:
            self.inside += 1
            self.most = max(self.most, self.inside)
            time.sleep(0.01)
            self.inside -= 1
            return self.inner.encode_batch(batch)

    encoder = Watching()
    rows: list[Any] = []
    media = [embed.Media.from_text(word) for word in ("rain", "wind", "sea")]
    threads = [
        threading.Thread(target=lambda: rows.append(encode(encoder, media, batch_size=1).array)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert encoder.most == 1 and len(rows) == 4
    assert all(np.array_equal(row, encode(encoder.inner, media).array) for row in rows)


def test_collections_searches_and_judges_share_what_is_loaded(loads: list[str], tmp_path: Path) -> None:
    import analogon
    from tests.command_line import exit_code

    folder = sounds.folder(tmp_path / "sounds", 3)
    with analogon.open(tmp_path / "a", create=True) as library:
        library.index(folder, encoders=["counting"], name_encoder="counting")
        assert len(library.search("rain")) == 3
    with analogon.open(tmp_path / "a") as one, analogon.open(tmp_path / "b", create=True) as other:
        other.index(folder, encoders=["counting:8"], name_encoder="counting")
        found = [hit.path for hit in one.search("rain")]
        assert found == [hit.path for hit in other.search("rain", spaces=["counting"])] and len(found) == 3
    with pytest.MonkeyPatch.context() as patch:
        assert exit_code(patch, "search", "rain", "-c", str(tmp_path / "a"), "--space", "counting") == 0
    assert loads == ["8"]
