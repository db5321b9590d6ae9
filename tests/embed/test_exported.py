"""The cache of ONNX files, and how a tower runs on them: what is kept, dropped, refused and made good."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import embed
from embed import Media, exported
from embed.encoder import Encoder
from embed.errors import EncoderError, MachineError, UsageError
from embed.export import export, missing
from embed.exported import CACHE, Cache, Exported, key_of
from embed.listener import Listener
from embed.tower import Running, Tower
from tests.embed.encoders import tiny_clip


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(lambda: tmp_path / "onnx")


@pytest.fixture
def used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """The cache of the process, in a folder of its own, and in use."""
    monkeypatch.setattr(CACHE, "asked", lambda: "auto")
    monkeypatch.setattr(CACHE, "folder", lambda: tmp_path / "onnx")
    return CACHE


def filling(size: int, what: str = "it") -> Callable[[Path], dict[str, Any]]:
    def fill(folder: Path) -> dict[str, Any]:
        (folder / "network.data").write_bytes(bytes(size))
        return {"what": what}

    return fill


def test_what_is_kept_is_found_whole_and_what_fails_leaves_nothing(cache: Cache) -> None:
    assert cache.find("a") is None
    kept = cache.keep("a", filling(1000, "the network"))
    found = cache.find("a")
    assert found is not None
    assert (found.what, found.failed, found.folder) == ("the network", None, kept.folder)
    assert found.bytes == 1000 + (found.folder / "entry.json").stat().st_size

    def fail(folder: Path) -> dict[str, Any]:
        (folder / "network.data").write_bytes(b"half")
        raise MachineError("b", "the disk is full")

    with pytest.raises(MachineError):
        cache.keep("b", fail)
    assert [path.name for path in cache.folder().iterdir()] == ["a"]


def test_what_was_used_longest_ago_goes_first_and_never_what_was_just_made(cache: Cache) -> None:
    cache.limit = lambda: 2500
    for number, key in enumerate(("a", "b")):
        entry = cache.keep(key, filling(1000))
        os.utime(entry.folder / "entry.json", (number, number))
    assert cache.find("a") is not None  # and so used after b
    cache.keep("c", filling(1000))
    assert {entry.folder.name for entry in cache.entries()} == {"a", "c"}
    cache.keep("d", filling(5000))
    assert [entry.folder.name for entry in cache.entries()] == ["d"]
    assert cache.bytes() > 5000


def test_clearing_tells_what_went_and_leaves_nothing(cache: Cache) -> None:
    cache.keep("a", filling(1000, "one"))
    (cache.folder() / ".b.1-1").mkdir()  # a write that was killed
    assert [(entry.what, size > 1000) for entry, size in cache.clear()] == [("one", True)]
    assert list(cache.folder().iterdir()) == []
    assert cache.bytes() == 0 and cache.clear() == []


def test_two_that_make_the_same_at_once_both_have_it(cache: Cache) -> None:
    barrier = threading.Barrier(2)
    kept = []

    def fill(folder: Path) -> dict[str, Any]:
        barrier.wait(10)
        return filling(10)(folder)

    threads = [threading.Thread(target=lambda: kept.append(cache.keep("a", fill))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept) == 2 and kept[0].folder == kept[1].folder
    assert [path.name for path in cache.folder().iterdir()] == ["a"]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_damaged_entry_is_none_and_is_replaced(cache: Cache, content: str) -> None:
    entry = cache.keep("a", filling(10))
    (entry.folder / "entry.json").write_text(content)
    assert cache.find("a") is None and cache.entries() == []
    assert cache.keep("a", filling(20)).facts == {"what": "it"}
    assert (entry.folder / "network.data").stat().st_size == 20


def test_keys_tell_weights_code_and_versions_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {key_of("network", weights, code, 17) for weights in ("1", "2") for code in ("text", "audio")}
    assert len(keys) == 4
    assert key_of("network", "1", "text", 17) in keys
    monkeypatch.setattr(exported, "versions", lambda *names: dict.fromkeys(names, "9.9"))
    assert key_of("network", "1", "text", 17) not in keys


def test_an_unknown_runtime_is_one_clear_error() -> None:
    with pytest.raises(UsageError, match="`runtime` is auto or eager, not 'onnx'"):
        Cache(asked=lambda: "onnx").runtime()


def test_an_unknown_runtime_is_said_as_it_is_where_something_is_encoded(
    clip: Encoder, used: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CACHE, "asked", lambda: "onnx")
    with pytest.raises(EncoderError, match="^`runtime` is auto or eager, not 'onnx'$"):
        vectors(clip, "rain")


def test_threads_are_those_that_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert exported.threads() == 3
    assert exported.session_options().intra_op_num_threads == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert exported.threads() == torch.get_num_threads()


@pytest.fixture
def clip(tmp_path: Path) -> Encoder:
    (tmp_path / "clip").mkdir()
    return embed.load(tiny_clip.build(tmp_path / "clip"))


def vectors(encoder: Encoder, *texts: str) -> Any:
    return embed.encode(encoder, [Media.from_text(text) for text in texts]).array


def test_exporting_is_done_once_and_is_told(clip: Encoder, used: Cache) -> None:
    class Heard(Listener):
        through = 0

        def advance(self, count: int = 1, seconds: float = 0.0) -> None:
            self.through += count

    heard = Heard()
    assert missing(clip) == list(clip.towers.values())
    made = export(clip, listener=heard)
    assert heard.through == 2 and missing(clip) == []
    assert all(entry.facts["cosine"] > 0.999999 for entry in made)
    stamps = [path.stat().st_ino for entry in made for path in sorted(entry.folder.iterdir())]
    assert [entry.folder for entry in export(clip)] == [entry.folder for entry in made]
    assert [path.stat().st_ino for entry in made for path in sorted(entry.folder.iterdir())] == stamps


def test_exporting_another_model_or_with_other_versions_is_done_anew(
    clip: Encoder, used: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(clip)
    monkeypatch.setattr(exported, "versions", lambda *names: dict.fromkeys(names, "9.9"))
    other = embed.load({"family": "clip", "model": clip.space.model.removeprefix("clip:")})
    assert len(missing(other)) == 2 and other.towers["text"].exported is None


def test_with_runtime_eager_nothing_is_exported_or_used(
    clip: Encoder, used: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(clip)
    monkeypatch.setattr(CACHE, "asked", lambda: "eager")
    again = embed.load({"family": "clip", "model": clip.space.model.removeprefix("clip:")})
    vectors(again, "rain")
    assert again.towers["text"].exported is None and again.towers["text"].loaded
    used.clear()
    assert missing(again) == []


@pytest.mark.parametrize(("device", "precision"), [("cpu", "bfloat16"), ("cuda", "auto"), ("mps", "float32")])
def test_only_float32_where_a_cpu_may_run_it_is_exported(clip: Encoder, device: str, precision: str) -> None:
    tower = clip.towers["text"]
    tower.running = Running(device, precision)
    assert not tower.may_run_exported and missing(clip, CACHE) == []


def test_few_rows_run_on_mapped_weights_and_many_on_rearranged_ones(clip: Encoder, used: Cache) -> None:
    torch_rows = vectors(clip, *(f"rain {i}" for i in range(20)))
    export(clip)
    ours = clip.towers["text"].exported
    assert isinstance(ours, Exported)
    for i in range(4):
        np.testing.assert_allclose(vectors(clip, f"rain {i}"), torch_rows[i : i + 1], atol=1e-5)
    assert "mapped" in vars(ours) and "packed" not in vars(ours)
    np.testing.assert_allclose(vectors(clip, *(f"rain {i}" for i in range(20))), torch_rows, atol=1e-5)
    assert "packed" in vars(ours) and "mapped" not in vars(ours)


def test_files_that_cannot_be_used_are_told_once_and_torch_answers(clip: Encoder, used: Cache) -> None:
    before = vectors(clip, "rain")
    for entry in export(clip):
        (entry.folder / "network.onnx").write_bytes(b"not a graph")
    second = embed.load({"family": "clip", "model": clip.space.model.removeprefix("clip:")})
    tower = second.towers["text"]
    np.testing.assert_array_equal(vectors(second, "rain"), before)
    vectors(second, "sea")
    (notice,) = tower.notices
    assert "runs with torch" in notice and "\n" not in notice
    assert tower.key is not None and used.find(tower.key) is None  # so that it is made anew


def test_weights_of_which_a_part_is_lost_are_told_once_and_torch_answers(clip: Encoder, used: Cache) -> None:
    before = vectors(clip, "rain")
    for entry in export(clip):
        assert set(entry.digests) == {"network.onnx", "network.data"}
        data = entry.folder / "network.data"
        content = bytearray(data.read_bytes())
        content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
        data.write_bytes(content)
    second = embed.load({"family": "clip", "model": clip.space.model.removeprefix("clip:")})
    tower = second.towers["text"]
    np.testing.assert_array_equal(vectors(second, "rain"), before)
    vectors(second, "sea")
    (notice,) = tower.notices
    assert "network.data: damaged" in notice and "\n" not in notice
    assert tower.key is not None and used.find(tower.key) is None  # so that it is made anew


def test_a_cache_that_cannot_be_written_is_one_line(clip: Encoder, used: Cache, tmp_path: Path) -> None:
    (tmp_path / "onnx").write_text("a file where the folder would be")
    with pytest.raises(EncoderError, match=r"onnx: cannot be written: ") as raised:
        export(clip)
    assert "\n" not in str(raised.value)
    assert vectors(clip, "rain").shape == (1, clip.space.dim)


def test_a_full_disk_is_the_machines_fault_and_nothing_is_kept_against_the_network(
    clip: Encoder, used: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(exported, "_flushed", full)
    with pytest.raises(MachineError, match="the disk is full"):
        export(clip)
    assert len(missing(clip)) == 2


def test_where_there_is_no_room_the_runtimes_own_words_are_no_verdict(
    clip: Encoder, used: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("1 : FAIL : graph.cc:5543 ToGraphProtoWithExternalInitializers(")

    monkeypatch.setattr("embed.export._optimised", fails)
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 5000, 5000))  # type: ignore[attr-defined]
    with pytest.raises(MachineError, match="has 0 MB left, too few for an ONNX file"):
        export(clip)
    assert len(missing(clip)) == 2


def test_the_runtime_reports_to_nobody(tmp_path: Path) -> None:
    """Its builds for Linux give the machine a number in the cache folder of its user, unless they are told not to."""
    code = "import embed\nfrom embed import Media\n"
    code += "from embed.encoders.student import package\nprint(package().__version__)\n"
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    cache = tmp_path / "cache"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {"XDG_CACHE_HOME": str(cache), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0 and ran.stdout.strip(), ran.stderr
    assert list(tmp_path.rglob("*")) == []


def test_nothing_imports_the_runtime_but_through_the_one_door() -> None:
    root = Path(embed.__file__).parents[1]
    imports = re.compile(r"^ *(?:import|from) onnxruntime\b", re.MULTILINE)
    files = [path for room in ("embed", "indexes", "analogon") for path in (root / room).rglob("*.py")]
    assert [path.name for path in files if imports.search(path.read_text("utf-8"))] == ["exported.py"]


class Lengths:
    """A network whose file would be wrong for all texts but those of one length."""

    def __init__(self, where: Path) -> None:
        self.where = where

    def build(self) -> Any:
        import torch

        return torch.nn.Linear(1, 4)

    @staticmethod
    def rows(module: Any, inputs: dict[str, Any]) -> Any:
        ids = inputs["input_ids"]
        scale = float(len(ids[0]))  # a number to the tracer: it stays as it was
        ramp = ids[:, :1].float() + scale * ids.new_tensor([1.0, -2.0, 0.5, 3.0]).float()
        return ramp + 0.0 * module(ids[:, :1].float())


def test_a_network_whose_file_gives_other_vectors_stays_with_torch(clip: Encoder, used: Cache) -> None:
    lengths = Lengths(clip.towers["text"].where)
    tower = Tower("text", lengths.build, where=lengths.where, running=Running(), output=Lengths.rows, exports=True)
    clip.towers, clip.modalities = {"text": tower}, frozenset({"text"})

    class Heard(Listener):
        lines: list[str] = []  # noqa: RUF012

        def remark(self, text: str) -> None:
            self.lines.append(text)

    (entry,) = export(clip, listener=Heard())
    assert entry.failed is not None and "other vectors" in entry.failed
    assert [path.name for path in entry.folder.iterdir()] == ["entry.json"]
    assert Heard.lines == [f"the text network of {clip.space.model} goes on with torch: {entry.failed}"]
    assert tower.exported is None and missing(clip) == []


def test_a_network_that_cannot_be_traced_stays_with_torch(
    clip: Encoder, used: Cache, capfd: pytest.CaptureFixture[str]
) -> None:
    import torch

    tower = clip.towers["text"]

    def sorted_rows(module: Any, inputs: dict[str, Any]) -> Any:
        return torch.linalg.eigvalsh(inputs["input_ids"].float()[:, :4, None] @ torch.ones(1, 4))

    clip.towers = {
        "text": Tower("text", tower.build, where=tower.where, running=Running(), output=sorted_rows, exports=True)
    }
    clip.modalities = frozenset({"text"})
    clip.encode_batch = lambda batch: clip.towers["text"](input_ids=np.ones((len(batch), 6), np.int64))  # type: ignore[method-assign,assignment]
    (entry,) = export(clip)
    assert entry.failed is not None and "eigvalsh" in entry.failed and "\n" not in entry.failed
    assert capfd.readouterr().out == ""


@pytest.fixture
def with_own_file(tmp_path: Path, used: Cache) -> Iterator[tuple[Encoder, Path]]:
    """A checkpoint with an ONNX file of its text network, as hubs have them; and that file."""
    (tmp_path / "clip").mkdir()
    name = tiny_clip.build(tmp_path / "clip")
    first = embed.load(name)
    export(first)
    key = first.towers["text"].key
    assert key is not None
    made = used.find(key)
    assert made is not None
    own = tmp_path / "clip" / "onnx"
    own.mkdir()
    for file, as_ in (("network.onnx", "text_model.onnx"), ("network.data", "network.data")):
        (own / as_).write_bytes((made.folder / file).read_bytes())
    used.clear()
    yield embed.load(name), own / "text_model.onnx"


def test_a_checkpoints_own_file_is_used_after_the_same_check(
    with_own_file: tuple[Encoder, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, _ = with_own_file
    before = vectors(encoder, "rain", "a dog barking")

    def never(*_: object) -> None:
        raise AssertionError("it was traced")

    monkeypatch.setattr("embed.export.trace", never)
    (entry,) = export(encoder, [encoder.towers["text"]])
    assert entry.failed is None and entry.facts["own"] == "text_model.onnx"
    np.testing.assert_allclose(vectors(encoder, "rain", "a dog barking"), before, atol=1e-5)
    assert not encoder.towers["text"].loaded


@pytest.mark.parametrize("kind", ["other weights", "no graph"])
def test_a_checkpoints_own_file_that_gives_other_vectors_is_passed_over(
    with_own_file: tuple[Encoder, Path], kind: str
) -> None:
    encoder, own = with_own_file
    if kind == "no graph":
        own.write_bytes(b"version https://git-lfs.github.com/spec/v1")
    else:
        data = np.frombuffer((own.parent / "network.data").read_bytes(), np.float32).copy()
        (own.parent / "network.data").write_bytes((data + 0.5 * np.sin(np.arange(len(data)))).astype("f4").tobytes())
    (entry,) = export(encoder, [encoder.towers["text"]])
    assert entry.failed is None and "own" not in entry.facts
    assert json.loads((entry.folder / "entry.json").read_text()) == {**entry.facts, "digests": entry.digests}
