"""Generators that are loaded once for all who ask, and make one take at a time."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from analogon.engines.generator import Settings, generate
from analogon.generate.loading import load, shared
from analogon.search.library import Library
from embed.errors import GeneratorError, UnknownGenerator
from embed.media import Media
from embed.models import MODELS

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALOGON_GENERATORS", str(PLUGINS))


def test_one_table_gives_one_generator_and_another_setting_another() -> None:
    first = shared("noise", level=0.2)
    assert shared({"family": "noise", "level": 0.2}) is shared("noise", level=0.2) is first
    assert shared("noise", level=0.3) is not first and load("noise", level=0.2) is not first
    assert len(MODELS.sizes()) == 2
    with pytest.raises(UnknownGenerator):
        shared("no such family")
    with pytest.raises(GeneratorError, match="colour"):
        shared("noise", colour="red")


def test_what_is_made_of_a_library_belongs_to_it(tmp_path: Path) -> None:
    with Library.open_or_create(tmp_path / "a") as one, Library.open_or_create(tmp_path / "b") as other:
        made = [shared("mosaic", library=library) for library in (one, other, one)]
        assert len({id(generator) for generator in made}) == 3 and MODELS.sizes() == {}


def test_threads_that_share_a_generator_take_turns_and_get_their_own_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = shared("noise", level=0.2)
    make, inside, most = generator.make, 0, 0

    def slow(prompt: object, settings: Settings) -> Media:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.02)
        inside -= 1
        return make(prompt, settings)  # type: ignore[arg-type]

    monkeypatch.setattr(generator, "make", slow)
    takes: dict[int, np.ndarray] = {}

    def take(seed: int) -> None:
        array = generate(generator, "rain", Settings(seed=seed, seconds=0.2)).media.array
        assert array is not None
        takes[seed] = array

    threads = [threading.Thread(target=take, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1 and len(takes) == 6
    alone = load("noise", level=0.2)
    for seed, array in takes.items():
        expected = generate(alone, "rain", Settings(seed=seed, seconds=0.2)).media.array
        assert expected is not None and np.array_equal(array, expected)
