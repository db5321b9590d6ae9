"""What every generator keeps, checked for each family through ``load`` and ``generate``.

A family takes part by a file ``tiny_FAMILY.py`` beside this one, and more for other kinds of checkpoint, with
``save(folder) -> str``: it writes a small checkpoint with seeded random weights, of the classes that real ones have,
into the empty ``folder`` and returns what ``load`` takes; it may skip with a reason. Paths in what it returns must lie
in ``folder``, so that the suite can load a copy of it. Use ``tests.embed.encoders.tiny.scatter``: weights of the
customary size would make nearly the same of every prompt. The module may also define

- ``SETTINGS``: the ``Settings`` of a call that works, where a prompt alone is not enough (a voice, a guide);
- ``OPTIONS``: settings of the family for ``load``, such as fewer steps than the customary 200;
- ``library(folder) -> Library``: an open collection, for a generator that makes things of one;
- ``SAMPLES = False``: nothing is drawn by lot, so that every seed gives the same take;
- ``stand_in(monkeypatch)``: puts something in the place of what cannot be had without a download.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import numpy as np
import pytest

from analogon.engines.generator import Ability, Generator, Settings, generate
from analogon.generate.loading import families, load
from analogon.search.library import Library
from embed.errors import AnalogonError, EncoderError, ModelNotFound, UsageError
from embed.hub import VOCABULARIES, WEIGHTS
from embed.media import Media

TINY = sorted(path.stem.removeprefix("tiny_") for path in Path(__file__).parent.glob("tiny_*.py"))
PROMPT = "a dog barking"
SECONDS = 0.4
ODD = {"empty": "", "blank": " \n", "unicode": "naïve 犬 🐕\u200d🦺 \ud800 \x00", "40 words": "rain on the roof " * 10}
ABILITIES = frozenset(get_args(Ability))

# Each is loaded in a process of its own, forked so that the start is paid for once; transformers alone imports no
# torch, its configurations do.
LIGHT = """
import json, os, sys
import transformers
from analogon.generate.loading import load
for name, options in json.loads(sys.argv[1]).items():
    if not os.fork():
        load(name, **options)
        heavy = ["transformers.modeling_utils", "diffusers", "librosa", "matplotlib"]
        if "transformers.configuration_utils" not in sys.modules:
            heavy.append("torch")
        print(name, *(module for module in heavy if module in sys.modules), sep="\\t", flush=True)
        os._exit(0)
    os.wait()
"""


@dataclass(frozen=True)
class Tiny:
    """One family's tiny checkpoint, loaded once."""

    module: ModuleType
    folder: Path
    name: str
    library: Library | None

    @cached_property
    def generator(self) -> Generator:
        return self.load()

    @property
    def options(self) -> dict[str, Any]:
        return getattr(self.module, "OPTIONS", {})

    def load(self, name: str | None = None) -> Generator:
        return load(name or self.name, library=self.library, **self.options)

    def settings(self, **changes: Any) -> Settings:
        short = SECONDS if "seconds" in self.generator.abilities else None
        return dataclasses.replace(getattr(self.module, "SETTINGS", Settings(seconds=short)), **changes)

    def take(self, seed: int = 0, text: str = PROMPT, generator: Generator | None = None) -> Media:
        return generate(generator or self.generator, text, self.settings(seed=seed)).media

    def moved(self, folder: Path) -> str:
        """The same name for another folder; skips where the family has no files."""
        other = self.name.replace(str(self.folder), str(folder))
        if other == self.name:
            pytest.skip("it has no files")
        return other

    def copy(self, to: Path) -> str:
        other = self.moved(to)
        shutil.copytree(self.folder, to)
        return other


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Tiny]:
    """The tiny checkpoint of a kind, written once."""

    @cache
    def of(kind: str) -> Tiny:
        family = kind.partition("_")[0]
        if family not in families():
            pytest.skip(f"there is no family {family}")
        module = importlib.import_module(f"tests.analogon.generate.families.tiny_{kind}")
        folder = tmp_path_factory.mktemp(f"tiny_{kind}") / "model"
        folder.mkdir()
        library = None
        if hasattr(module, "library"):
            library = module.library(tmp_path_factory.mktemp(f"library_{kind}"))
        return Tiny(module, folder, module.save(folder), library)

    return of


@pytest.fixture(params=TINY)
def tiny(request: pytest.FixtureRequest, saved: Callable[[str], Tiny], monkeypatch: pytest.MonkeyPatch) -> Tiny:
    made = saved(request.param)
    getattr(made.module, "stand_in", lambda patch: None)(monkeypatch)
    return made


def samples(media: Media) -> bytes:
    assert media.array is not None
    return media.array.tobytes()


def weight_files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.suffix in WEIGHTS and path.is_file()]


def test_every_family_has_a_tiny_checkpoint() -> None:
    assert set(families()) <= set(TINY)


def test_what_it_says_of_itself(tiny: Tiny) -> None:
    generator = tiny.generator
    assert generator.name == tiny.name
    assert tiny.name.partition(":")[0] in families()
    assert generator.modality in ("audio", "image")
    assert generator.abilities <= ABILITIES
    assert generator.longest is None or generator.longest > 0
    assert json.loads(json.dumps(generator.identity)) == generator.identity
    assert generator.identity["family"] == tiny.name.partition(":")[0]


def test_a_take_is_its_seeds_and_its_prompts(tiny: Tiny) -> None:
    media = tiny.take(seed=1)
    assert media.array is not None
    if media.modality == "audio":
        assert media.rate is not None
        assert 1e-4 < np.abs(media.array).max() <= 1.0
    else:
        assert media.array.std() > 5
    assert samples(tiny.take(seed=1)) == samples(media)
    assert (samples(tiny.take(seed=2)) != samples(media)) == getattr(tiny.module, "SAMPLES", True)
    assert samples(tiny.take(seed=1, text="rain on the tin roof, old piano")) != samples(media)


def test_a_second_load_makes_the_same_and_leaves_random_states_alone(tiny: Tiny) -> None:
    import torch

    expected, generator = samples(tiny.take()), tiny.load()
    torch.manual_seed(11)
    states = torch.random.get_rng_state(), np.random.get_state()[1].tobytes()  # type: ignore[union-attr]
    for _ in ("with loading", "without"):
        assert samples(tiny.take(generator=generator)) == expected
        assert torch.equal(torch.random.get_rng_state(), states[0])
        assert np.random.get_state()[1].tobytes() == states[1]  # type: ignore[union-attr]


def test_a_copy_elsewhere_is_the_same_generator(tiny: Tiny, tmp_path: Path) -> None:
    other = tiny.load(tiny.copy(tmp_path / "elsewhere"))
    assert samples(tiny.take(generator=other)) == samples(tiny.take())
    assert {**other.identity, "model": None} == {**tiny.generator.identity, "model": None}


def test_one_changed_weight_is_another_generator(tiny: Tiny, tmp_path: Path) -> None:
    name = tiny.copy(tmp_path / "changed")
    same = tiny.load(name).identity
    assert weight_files(tmp_path / "changed")
    for path in weight_files(tmp_path / "changed"):
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert tiny.load(name).identity != same, path.name
        path.write_bytes(content)
        assert tiny.load(name).identity == same, path.name


@pytest.mark.parametrize("ability", sorted(ABILITIES - {"seconds"}))
def test_what_it_cannot_use_is_refused(tiny: Tiny, ability: Ability) -> None:
    if ability in tiny.generator.abilities:
        pytest.skip(f"it takes a {ability}")
    given = {"guide": Media.from_text("a hum"), "voice": "nobody", "language": "en"}[ability]
    with pytest.raises(UsageError, match=f"takes no {ability}"):
        generate(tiny.generator, PROMPT, tiny.settings(**{ability: given}))


def test_seconds_are_kept_or_said_not_to_be(tiny: Tiny) -> None:
    if tiny.generator.modality == "audio" and "seconds" in tiny.generator.abilities:
        media = generate(tiny.generator, PROMPT, tiny.settings(seconds=0.7)).media
        assert media.array is not None
        assert len(media.array) / (media.rate or 1) == pytest.approx(0.7, abs=0.05)
    else:
        made = generate(tiny.generator, PROMPT, tiny.settings(seconds=0.4))
        assert f"{tiny.name} cannot be told how long a take shall be" in made.remarks


@pytest.mark.parametrize("kind", ODD)
def test_odd_prompts_give_a_take_or_one_clear_line(tiny: Tiny, kind: str) -> None:
    try:
        made = generate(tiny.generator, ODD[kind], tiny.settings())
    except AnalogonError as error:
        assert "\n" not in str(error)
    else:
        assert all("\n" not in remark for remark in made.remarks)


def test_a_folder_that_is_not_there_is_not_found(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="nowhere") as caught:
        tiny.load(tiny.moved(tmp_path / "nowhere"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["no files", "no weights", "weights cut short", "weights that are not any"])
def test_a_damaged_folder_is_one_clear_error(tiny: Tiny, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "damaged"
    name = tiny.copy(folder)
    if damage == "no files":
        for path in [path for path in folder.rglob("*") if path.is_file()]:
            path.unlink()
    for path in weight_files(folder):
        if damage == "no weights":
            path.unlink()
        elif damage == "weights cut short":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        else:
            path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(AnalogonError) as caught:
        generate(tiny.load(name), PROMPT, tiny.settings())
    assert "\n" not in str(caught.value)
    assert "damaged" in str(caught.value), "it should name the folder"


def test_a_tokenizer_without_its_vocabulary_is_one_clear_error(tiny: Tiny, tmp_path: Path) -> None:
    """transformers would make one of a handful of special tokens, and take every text for nearly the same."""
    name = tiny.copy(tmp_path / "wordless")
    vocabularies = [path for path in (tmp_path / "wordless").rglob("*") if path.name in VOCABULARIES]
    if not vocabularies:
        pytest.skip("no tokenizer's vocabulary among its files")
    for path in vocabularies:
        path.unlink()
    with pytest.raises(EncoderError, match="(?i)tokenizer|vocabulary") as caught:
        generate(tiny.load(name), PROMPT, tiny.settings())
    assert "\n" not in str(caught.value)


def test_loading_reads_configuration_only(saved: Callable[[str], Tiny]) -> None:
    """A generator is loaded to be asked what it can do, too: no weights and no code of models before the first take."""
    found: dict[str, Any] = {}
    for kind in (kind for kind in TINY if "_" not in kind):
        with contextlib.suppress(pytest.skip.Exception):
            tiny = saved(kind)
            if tiny.library is None:
                found[tiny.name] = tiny.options
    said = subprocess.run([sys.executable, "-c", LIGHT, json.dumps(found)], capture_output=True, text=True, timeout=120)
    assert said.stderr == ""
    assert said.stdout.split("\n")[:-1] == list(found)
