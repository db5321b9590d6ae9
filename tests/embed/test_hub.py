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


@pytest.mark.parametrize(
    ("offline", "status", "said"),
    [
        (True, None, "HF_HUB_OFFLINE is set, which forbids to fetch it: unset that, or "),
        (False, None, "the model hub cannot be reached: try again when it can, or "),
        (
            False,
            404,
            "the model hub has no such model, or keeps it from those who are not logged in (404): look at",
        ),
        (False, 401, "keeps it from those who are not logged in (401): "),
        (False, 503, "the model hub failed (503): "),
    ],
)
def test_why_the_hub_gives_no_model_is_told(
    offline: bool, status: int | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import requests
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError

    def download(*_: object, **__: object) -> None:
        if status is None:
            raise ConnectionError("[Errno 111] refused")
        response = requests.Response()
        response.status_code = status
        raise HfHubHTTPError("no", response=response)

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    with pytest.raises(ModelNotFound) as refusal:
        hub.folder("laion/nothing")
    told = str(refusal.value)
    assert told.startswith("laion/nothing is not on disk, and ") and said in told
    assert told.endswith("name a folder that holds the model (family:./folder)") and "Error" not in told
