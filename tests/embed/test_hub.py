"""What a model's hash depends on, and where its files are looked for."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from embed import hub
from embed.errors import ModelNotFound


def model(folder: Path) -> Path:
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (folder / name).write_bytes(name.encode())
    return folder


def test_the_hash_is_of_what_makes_the_output_and_of_nothing_else(tmp_path: Path) -> None:
    one, other = model(tmp_path / "one"), model(tmp_path / "other")
    known = hub.weights_hash(one)
    (other / "README.md").write_text("words")
    (other / "pytorch_model.bin").write_bytes(b"the same weights in an older format")
    (other / "onnx").mkdir()
    (other / "onnx" / "model.onnx").write_bytes(b"and in another")
    assert hub.weights_hash(other) == known
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        before = (other / name).read_bytes()
        (other / name).write_bytes(before + b"!")
        assert hub.weights_hash(other) != known, name
        (other / name).write_bytes(before)
    assert hub.weights_hash(other) == known
    (other / "model.safetensors").unlink()
    only_older = hub.weights_hash(other)
    (other / "pytorch_model.bin").write_bytes(b"other weights")
    assert len({known, only_older, hub.weights_hash(other)}) == 3


def test_a_large_file_that_changes_in_place_is_hashed_again(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(bytes(2 << 20))
    first = hub.file_hash(path)
    assert hub.file_hash(path) == first
    content = bytearray(2 << 20)
    content[12345] = 1
    path.write_bytes(content)
    os.utime(path, ns=(1, 1))
    assert hub.file_hash(path) != first


def test_a_model_of_equal_size_that_was_copied_with_its_mtime_is_hashed_again(tmp_path: Path) -> None:
    path, other = tmp_path / "weights.bin", tmp_path / "other.bin"
    path.write_bytes(bytes(2 << 20))
    other.write_bytes(b"1" * (2 << 20))
    for one in (path, other):
        os.utime(one, ns=(1, 1))
    first = hub.file_hash(path)
    other.replace(path)
    assert path.stat().st_mtime_ns == 1
    assert hub.file_hash(path) == hashlib.blake2b(b"1" * (2 << 20), digest_size=16).hexdigest() != first


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/model", "some/where/else"])
def test_a_folder_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(ModelNotFound, match="no such folder"):
        hub.folder(name)


def test_a_model_that_the_hub_does_not_give_says_where_to_put_it() -> None:
    with pytest.raises(ModelNotFound, match=r"laion/nothing is neither on disk .*models--laion--nothing"):
        hub.folder("laion/nothing")
