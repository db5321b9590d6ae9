"""A flag beats an environment variable, which beats the config file, which beats what is built in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from analogon.settings import config
from embed.errors import UsageError
from embed.models import MODELS


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("ANALOGON_")]:
        monkeypatch.delenv(name)
    path = tmp_path / "analogon" / "config.toml"
    path.parent.mkdir()
    return path


def test_built_in(file: Path) -> None:
    assert config.default_collection() == "default" and config.default_memory() is None
    assert config.default_encoders() == []


def test_the_file_beats_what_is_built_in_and_the_environment_beats_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text('encoder = ["clap:./a", "clip"]\ncollection = "drums"\nmemory = "2G"\n')
    assert config.default_encoders() == ["clap:./a", "clip"]
    assert (config.default_collection(), config.default_memory()) == ("drums", "2G")
    monkeypatch.setenv("ANALOGON_ENCODER", "toy, toy:4")
    monkeypatch.setenv("ANALOGON_COLLECTION", "bells")
    monkeypatch.setenv("ANALOGON_MEMORY", "1G")
    assert config.default_encoders() == ["toy", "toy:4"]
    assert (config.default_collection(), config.default_memory()) == ("bells", "1G")


def test_the_memory_of_models_is_a_setting_that_their_registry_asks_for(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MODELS.budget() is None
    file.write_text('model_memory = "1.5 GiB"\n')
    assert MODELS.budget() == config.model_memory() == 3 << 29
    monkeypatch.setenv("ANALOGON_MODEL_MEMORY", "250M")
    assert MODELS.budget() == 250_000_000
    monkeypatch.setenv("ANALOGON_MODEL_MEMORY", "much")
    with pytest.raises(UsageError, match="'much' is no amount of memory"):
        MODELS.budget()


@pytest.mark.parametrize(
    ("text", "message"), [("encoder =", "not a readable TOML"), ("colour = 1", "'colour'; there are")]
)
def test_a_file_that_cannot_be_used_is_named(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(UsageError, match=f"config.toml.*{message}"):
        config.default_collection()


def test_where_collections_live(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALOGON_HOME", str(tmp_path / "home"))
    assert config.collection_path("drums") == tmp_path / "home" / "collections" / "drums"
    assert config.collection_path("./drums") == Path("drums")
    assert config.collection_path(tmp_path / "elsewhere") == tmp_path / "elsewhere"
    assert config.collections() == []
    (tmp_path / "home" / "collections" / "bells").mkdir(parents=True)
    (tmp_path / "home" / "collections" / "bells" / "manifest.json").touch()
    assert config.collections() == ["bells"]
