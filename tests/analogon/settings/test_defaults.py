"""Without --encoder: the large models where they can be had soon, else the starter; and the collection keeps to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from analogon.cli.app import app
from analogon.settings import defaults
from tests import sounds
from tests.analogon.settings import fake_hub
from tests.embed.encoders import tiny_clap

CLAP, CLIP = "laion/clap-htsat-unfused", "openai/clip-vit-base-patch32"
SETTLE = """
import json, sys, time
from analogon.settings import defaults
said = []
began = time.monotonic()
names = defaults.choose_encoders(frozenset(json.loads(sys.argv[1])), said.append)
heavy = [name for name in ("torch", "transformers") if name in sys.modules]
print(json.dumps({"names": names, "said": said, "seconds": time.monotonic() - began, "heavy": heavy}))
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders with the files of a model, and some that nobody needs; their content is never read."""
    root = tmp_path_factory.mktemp("models")
    wanted = {"config.json": 300, "model.safetensors": 2_400_000, "tokenizer.json": 5, "preprocessor_config.json": 7}
    for family in ("clap", "clip"):
        (root / family).mkdir()
        for name, size in {**wanted, "README.md": 50, "flax_model.msgpack": 3_000_000}.items():
            (root / family / name).write_bytes(name.encode()[:1] * size)
    return {CLAP: root / "clap", CLIP: root / "clip"}


def environment(home: Path, endpoint: str, offline: bool = False) -> dict[str, str]:
    return {
        **os.environ,
        "HF_HOME": str(home / "hf"),
        "HF_ENDPOINT": endpoint,
        "HF_HUB_OFFLINE": "1" if offline else "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "ANALOGON_HOME": str(home / "analogon"),
        "NO_PROXY": "127.0.0.1",
    }


def settle(home: Path, hub: fake_hub.Hub, modalities: list[str], offline: bool = False) -> dict[str, object]:
    """What ``defaults.choose_encoders`` chooses in its own process: huggingface_hub reads settings at import."""
    ran = subprocess.run(
        [sys.executable, "-c", SETTLE, json.dumps(modalities)],
        env=environment(home, hub.address, offline),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    told: dict[str, object] = json.loads(ran.stdout.splitlines()[-1])
    return told


def starter(reason: str) -> list[str]:
    return [f"taking starter, since {reason} (CLAP and CLIP hear and see better: `encoders=clap`)"]


@pytest.mark.parametrize("manner", ["silent", "drips", "refuses"])
def test_a_hub_that_does_not_answer_costs_a_few_seconds(manner: str, models: dict[str, Path], tmp_path: Path) -> None:
    with fake_hub.serving(models, manner) as hub:
        told = settle(tmp_path, hub, ["audio", "image"])
    assert told["names"] == ["starter"] and told["said"] == starter("the model hub does not answer")
    assert float(str(told["seconds"])) < defaults.DEADLINE + 2.0 and told["heavy"] == []
    if manner != "refuses":  # both were asked for, not one after the other
        assert sorted(hub.asked) == sorted(f"GET /api/models/{name}" for name in models)


def test_offline_the_hub_is_not_asked(models: dict[str, Path], tmp_path: Path) -> None:
    with fake_hub.serving(models) as hub:
        told = settle(tmp_path, hub, ["audio"], offline=True)
    assert told["names"] == ["starter"] and hub.asked == []
    assert told["said"] == starter("HF_HUB_OFFLINE forbids to ask the model hub")


def test_a_hub_without_the_models_and_one_that_gives_no_files(models: dict[str, Path], tmp_path: Path) -> None:
    with fake_hub.serving({}) as hub:
        told = settle(tmp_path, hub, ["audio"])
    assert told["said"] == starter(f"the model hub does not give {CLAP} (404)")
    with fake_hub.serving(models, files_fail=True) as hub:
        told = settle(tmp_path, hub, ["audio"])
    assert told["said"][1:] == starter(f"{CLAP} could not be downloaded")  # type: ignore[index]


def test_one_of_the_two_is_taken_alone(models: dict[str, Path], tmp_path: Path) -> None:
    with fake_hub.serving({CLAP: models[CLAP]}) as hub:
        told = settle(tmp_path / "1", hub, ["audio", "image"])
    reason = f"the model hub does not give {CLIP} (404)"
    assert told["names"] == [f"clap:{CLAP}"]
    assert told["said"][-1] == (  # type: ignore[index]
        f"taking clap:{CLAP} for sounds; pictures are found by name alone, since {reason}"
    )
    with fake_hub.serving({CLIP: models[CLIP]}) as hub:
        told = settle(tmp_path / "2", hub, ["audio", "image"])
    assert told["names"] == [f"clip:{CLIP}", "starter"]


def test_texts_alone_ask_nobody() -> None:
    said: list[str] = []
    assert defaults.choose_encoders(frozenset(), said.append) == ["starter"]
    assert said == ["taking starter, since there are neither sounds nor pictures (`encoders=sentence` reads better)"]


def test_what_lies_below_the_paths_decides_what_is_wanted(tmp_path: Path) -> None:
    for name in ("a/b/one.WAV", "a/notes.txt", "c/two.png", ".hidden/three.wav", "d/four.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert defaults.kinds([str(tmp_path / "a")]) == {"audio"}
    assert defaults.kinds([str(tmp_path)]) == {"audio", "image"}
    assert defaults.kinds([str(tmp_path)], ["image", "text"]) == {"image"}
    assert defaults.kinds([str(tmp_path / "a" / "notes.txt")]) == frozenset()
    assert defaults.kinds([str(tmp_path / "d"), str(tmp_path / ".hidden" / "three.wav")]) == {"audio"}


def test_what_the_hub_gives_is_fetched_once(models: dict[str, Path], tmp_path: Path) -> None:
    with fake_hub.serving(models) as hub:
        first = settle(tmp_path, hub, ["audio", "image"])
    fetched = {one.partition("/resolve/")[2].partition("/")[2] for one in hub.asked if "/resolve/" in one}
    assert fetched == {"config.json", "model.safetensors", "tokenizer.json", "preprocessor_config.json"}
    choice = f"taking clap:{CLAP} for sounds; clip:{CLIP} for pictures"
    assert first["names"] == [f"clap:{CLAP}", f"clip:{CLIP}"]
    assert first["said"] == [f"downloading clap:{CLAP}, 2 MB", f"downloading clip:{CLIP}, 2 MB", choice]
    with fake_hub.serving({}, "silent") as hub:
        again = settle(tmp_path, hub, ["audio", "image"])
    assert again["said"] == [choice] and hub.asked == []


def test_a_model_in_the_cache_is_loaded_though_the_hub_hangs(models: dict[str, Path], tmp_path: Path) -> None:
    find = [sys.executable, "-c", f"from embed import hub; print(hub.folder({CLAP!r}))"]
    with fake_hub.serving(models) as hub:
        settle(tmp_path, hub, ["audio"])
    with fake_hub.serving({}, "silent") as hub:
        ran = subprocess.run(
            find, env=environment(tmp_path, hub.address), capture_output=True, text=True, timeout=30, check=True
        )
    assert (Path(ran.stdout.strip()) / "model.safetensors").read_bytes() == (
        models[CLAP] / "model.safetensors"
    ).read_bytes()
    assert hub.asked == []


def test_weights_that_came_half_are_not_on_disk(models: dict[str, Path], tmp_path: Path) -> None:
    with fake_hub.serving(models) as hub:
        settle(tmp_path, hub, ["audio"])
    weights = next(tmp_path.rglob("model.safetensors"))
    weights.unlink()
    with fake_hub.serving({}) as hub:
        told = settle(tmp_path, hub, ["audio"])
    assert told["said"] == starter(f"the model hub does not give {CLAP} (404)")


def test_index_with_what_the_hub_gives(tmp_path: Path) -> None:
    """From the first request to hits' vectors, with a model that has random weights."""
    tiny_clap.build(tmp_path / "clap")
    folder = tmp_path / "media"
    sounds.write(folder / "one.wav", 1)
    with fake_hub.serving({CLAP: tmp_path / "clap"}) as hub:
        ran = subprocess.run(
            [sys.executable, "-m", "analogon", "index", str(folder)],
            env=environment(tmp_path, hub.address),
            capture_output=True,
            text=True,
        )
    assert ran.returncode == 0, ran.stderr
    assert f"downloading clap:{CLAP}, 0 MB" in ran.stderr and "audio: 1 vector in clap" in ran.stdout


def test_a_collection_keeps_to_its_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, collection = sounds.write(tmp_path / "media" / "one.wav", 1).parent, tmp_path / "collection"
    asked: list[frozenset[str]] = []

    def settled(kinds: frozenset[str], say: object) -> list[str]:
        asked.append(kinds)
        return ["toy:16"]

    monkeypatch.setattr(defaults, "choose_encoders", settled)
    index = ["index", str(folder), "-c", str(collection)]
    assert CliRunner().invoke(app, index).exit_code == 0
    manifest = (collection / "manifest.json").read_text()
    assert [space["encoder"] for space in json.loads(manifest)["spaces"]] == [{"family": "toy", "model": "16"}]
    sounds.write(folder / "two.wav", 2)
    again = CliRunner().invoke(app, index)
    assert again.exit_code == 0 and "audio: 2 vectors in toy:16" in again.stdout
    assert asked == [{"audio"}] and (collection / "manifest.json").read_text() == manifest
    monkeypatch.setenv("ANALOGON_ENCODER", "toy:8")  # what is set beats what is built in, for a new collection
    fresh = CliRunner().invoke(app, ["index", str(folder), "-c", str(tmp_path / "other")])
    assert "vectors in toy:8" in fresh.stdout and len(asked) == 1
