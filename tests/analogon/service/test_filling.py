"""What a collection is filled with, and what is left of one that could not be filled."""

from __future__ import annotations

from pathlib import Path

import pytest

from analogon.service.filling import encoders_for, to_fill
from analogon.settings import defaults
from embed.errors import UsageError
from tests import sounds


@pytest.mark.parametrize("failure", [UsageError("no"), KeyboardInterrupt(), ValueError("a fault")])
def test_a_new_collection_that_could_not_be_filled_is_gone(tmp_path: Path, failure: BaseException) -> None:
    with pytest.raises(type(failure)), to_fill(tmp_path / "new"):
        assert (tmp_path / "new" / "manifest.json").is_file()
        raise failure
    assert not (tmp_path / "new").exists()


def test_a_collection_that_was_there_or_holds_something_stays(tmp_path: Path) -> None:
    one = sounds.write(tmp_path / "media" / "one.wav", 1)
    with pytest.raises(UsageError), to_fill(tmp_path / "filled") as library:
        assert library.index(one, encoders=["toy"]).vectors == 1
        raise UsageError("later")
    with to_fill(tmp_path / "empty"):
        pass
    with pytest.raises(UsageError), to_fill(tmp_path / "empty"):
        raise UsageError("no")
    for name, count in (("filled", 1), ("empty", 0)):
        with to_fill(tmp_path / name) as library:
            assert library.collection.catalog.counts()["source"] == count


def test_encoders_are_the_collections_then_those_set_then_what_suits_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = sounds.write(tmp_path / "media" / "one.wav", 1)

    def choose(modalities: frozenset[str], say: object) -> list[str]:
        assert callable(say)
        say(f"chosen for {', '.join(modalities)}")
        return ["toy:4"]

    monkeypatch.setattr(defaults, "choose_encoders", choose)
    monkeypatch.delenv("ANALOGON_ENCODER", raising=False)
    said: list[str] = []
    assert encoders_for(tmp_path / "c", [str(one)], say=said.append) == ["toy:4"] and said == ["chosen for audio"]
    assert encoders_for(tmp_path / "c", [str(one)], ["image"], say=said.append) == ["toy:4"]
    assert said[1:] == ["chosen for "]
    with to_fill(tmp_path / "c"):
        pass
    monkeypatch.setenv("ANALOGON_ENCODER", "toy:8,toy:16")
    assert encoders_for(tmp_path / "c", [str(one)]) == ["toy:8", "toy:16"]  # empty: it keeps none yet
    with to_fill(tmp_path / "c") as library:
        library.index(one, encoders=["toy:2"])
    assert encoders_for(tmp_path / "c", [str(one)]) == [] and len(said) == 2
