"""What every encoder keeps, checked for each family through ``embed.load``, ``encode`` and ``encode_stream``.

A family takes part by a file ``tiny_FAMILY.py`` beside this one, and more for other kinds of checkpoint, with
``build(folder) -> str | dict``: it saves a small checkpoint with seeded random weights, of the classes that real ones
have, into the empty ``folder``, and returns what ``embed.load`` takes; it may skip with a reason. Paths in what it
returns must lie in ``folder``, so that the suite can load a copy of it. Use ``tiny.scatter`` on torch models: below,
different inputs must get clearly different vectors (cosine below 0.999), otherwise "a row does not depend on its
batch" would hold for any model. It may also define

- ``REFUSES``: names of inputs below (such as "silent") that the encoder must answer with a ``MediaError`` in place of
  a vector, for a model that has no direction for them;
- ``NEARLY``: the least cosine of its vectors in bfloat16 with those in float32, where it is below that of all others;
- ``SAME``: names of inputs that the model cannot tell from others, besides those in ``ALIKE``.

Towers. An encoder holds no weights after ``load``, and after encoding text it holds the text tower's only: encoding
another modality after that must load more. Weights are counted by walking the encoder's attributes: torch modules and
tensors, numpy arrays, TFLite interpreters and ONNX sessions, in plain objects, dicts, lists and tuples. So keep towers
in attributes (``functools.cached_property`` is fine), not in closures or module globals. Prepare constant arrays lazily
as well.
"""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from PIL import Image

import embed
from embed import Encoder, Media, Space
from embed.encoder import REGISTRY, families, resolve
from embed.errors import EncoderError, MediaError, ModelNotFound
from embed.export import export
from embed.exported import CACHE
from embed.hub import VOCABULARIES, WEIGHTS
from embed.media import Modality
from embed.pipeline import Encoded, Finished, encode_stream
from tests.embed.encoders import tiny as tiny_models

TINY = sorted(path.stem.removeprefix("tiny_") for path in Path(__file__).parent.glob("tiny_*.py"))
WEIGHT_FILES = (*WEIGHTS, ".onnx", ".vec")
ALIKE = frozenset({"silent", "one sample", "40 samples", "one pixel", "grey", "blank", "8 kHz", "96 kHz", "stereo"})
SAME_VECTOR = 0.99999
OTHER_VECTOR = 0.999
NEARLY = 0.999  # of vectors in lower precision, the least that may stand beside those of float32

Name = str | dict[str, Any]
Outcome = npt.NDArray[np.float32] | MediaError


@dataclass(frozen=True)
class Tiny:
    """One family's tiny checkpoint, loaded once."""

    module: ModuleType
    folder: Path
    name: Name
    encoder: Encoder
    inputs: dict[Modality, dict[str, Media]]

    def moved(self, folder: Path) -> Name:
        """The same name for another folder; skips where the family has no files."""
        old = str(self.folder)
        if isinstance(self.name, str):
            other: Name = self.name.replace(old, str(folder))
        else:
            other = {k: v.replace(old, str(folder)) if isinstance(v, str) else v for k, v in self.name.items()}
        if other == self.name:
            pytest.skip("it has no files")
        return other

    def copy(self, to: Path) -> Name:
        other = self.moved(to)
        shutil.copytree(self.folder, to)
        return other


@pytest.fixture(scope="module", params=TINY)
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    module = importlib.import_module(f"tests.embed.encoders.tiny_{request.param}")
    folder = tmp_path_factory.mktemp(f"tiny_{request.param}") / "model"
    folder.mkdir()
    name = module.build(folder)
    encoder = embed.load(name)
    files = tmp_path_factory.mktemp(f"media_{request.param}")
    inputs = {modality: MAKERS[modality](encoder, files) for modality in sorted(encoder.modalities)}
    return Tiny(module, folder, name, encoder, inputs)


def texts(encoder: Encoder, folder: Path) -> dict[str, Media]:
    made = {
        "plain": "a dog barking",
        "other": "rain on the old tin roof in wind",
        "short": "sea",
        "blank": " ",
        "unicode": "naïve dog — 犬の声 🐕\u200d🦺 ÆØÅ",
        "2000 words": "engine siren crowd " * 666 + "bell bell",
    }
    return {name: Media.from_text(text) for name, text in made.items()}


def recordings(encoder: Encoder, folder: Path) -> dict[str, Media]:
    """Real wav files; the long one is 1.2 windows, 12 s for the usual 10."""
    assert encoder.audio is not None
    rate, window = encoder.audio.rate, encoder.audio.window or 3.0
    rng = np.random.default_rng(0)

    def tone(seconds: float, at: int, pitch: float = 440.0) -> npt.NDArray[np.float64]:
        return 0.4 * np.sin(2 * np.pi * pitch * np.arange(round(seconds * at)) / at)

    # A voice-like hum that glides up over silence, so that it is not one more steady noise.
    size = round(1.2 * window * rate)
    glide = np.cumsum(np.linspace(90.0, 400.0, size)) / rate
    long = sum(0.3 / k * np.sin(2 * np.pi * k * glide) for k in range(1, 9)) * np.linspace(0.1, 1.0, size)
    noise = 0.2 * rng.standard_normal(round(min(window, 2.0) * rate))
    made = {
        "noise": (noise, rate),
        "tone": (tone(min(window, 1.0), rate), rate),
        "long": (long, rate),
        "stereo": (np.stack([noise[: rate // 2], tone(0.5, rate)[: len(noise[: rate // 2])]], axis=1), rate),
        "8 kHz": (tone(0.7, 8000), 8000),
        "96 kHz": (tone(0.7, 96000), 96000),
        "silent": (np.zeros(rate // 2), rate),
        "40 samples": (0.3 * rng.standard_normal(40), rate),
        "one sample": (np.full(1, 0.5), rate),
    }
    for name, (samples, at) in made.items():
        soundfile.write(folder / f"{name}.wav", samples, at, subtype="FLOAT")
    return {name: Media.from_path(folder / f"{name}.wav") for name in made}


def scene(rng: np.random.Generator, height: int, width: int, channels: int = 3) -> npt.NDArray[np.uint8]:
    """Coarse random blocks, which even a model that averages over large areas tells apart, under fine noise."""
    blocks = Image.fromarray(rng.integers(0, 2, (5, 5, channels), dtype=np.uint8) * 220)
    coarse = np.asarray(blocks.resize((width, height), Image.Resampling.NEAREST))
    return coarse + rng.integers(0, 36, coarse.shape, dtype=np.uint8)


def pictures(encoder: Encoder, folder: Path) -> dict[str, Media]:
    rng = np.random.default_rng(1)
    made = {
        "scene": Image.fromarray(scene(rng, 60, 80)),
        "other": Image.fromarray(scene(rng, 120, 70)),
        "wide": Image.fromarray(scene(rng, 3, 500)),
        "tall": Image.fromarray(scene(rng, 500, 3)),
        "grey": Image.fromarray(scene(rng, 64, 64)[:, :, 0]),
        "rgba": Image.fromarray(scene(rng, 33, 47, 4)),
        "palette": Image.fromarray(scene(rng, 50, 50)).quantize(16),
        "one pixel": Image.new("RGB", (1, 1), (200, 10, 60)),
    }
    for name, picture in made.items():
        picture.save(folder / f"{name}.png")
    return {name: Media.from_path(folder / f"{name}.png") for name in made}


def films(encoder: Encoder, folder: Path) -> dict[str, Media]:
    """As decoding would give them, since making video files takes a codec."""
    assert encoder.video is not None
    rng = np.random.default_rng(2)
    rate = encoder.video.rate
    made = {}
    for name, height, width in (("scene", 48, 64), ("odd size", 31, 17), ("dark", 40, 40)):
        frames = np.stack([scene(rng, height, width) for _ in range(encoder.video.frames)])
        if name == "dark":
            frames //= 8
        sound = rng.standard_normal(rate).astype(np.float32) * 0.1 if rate else None
        made[name] = Media("video", array=frames, sound=sound, rate=rate)
    return made


MAKERS = {"text": texts, "audio": recordings, "image": pictures, "video": films}


def outcomes(encoder: Encoder, media: Sequence[Media], batch_size: int | None = None) -> list[Outcome]:
    """For each medium the sum of its vectors at length 1, or what was wrong with it."""
    sums: dict[int, npt.NDArray[np.float64]] = {}
    found: list[Outcome | None] = [None] * len(media)
    for result in encode_stream(encoder, media, batch_size=batch_size):
        if isinstance(result, Encoded):
            assert result.vector.dtype == np.float32
            assert result.vector.shape == (encoder.space.dim,)
            assert abs(float(np.linalg.norm(result.vector.astype(np.float64))) - 1.0) < 1e-5
            sums[result.index] = sums.get(result.index, 0.0) + result.vector.astype(np.float64)
        else:
            assert isinstance(result, Finished)
            total = sums.get(result.index)
            assert (result.error is None) == (total is not None), f"{result.media.name}: {result.error}"
            found[result.index] = result.error if total is None else (total / np.linalg.norm(total)).astype(np.float32)
    assert all(one is not None for one in found)
    return found  # type: ignore[return-value]


def cosine(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def assert_same(encoder: Encoder, one: Outcome, other: Outcome, what: str) -> None:
    if isinstance(one, MediaError) or isinstance(other, MediaError):
        assert type(one) is type(other), what
    else:
        assert cosine(one, other) >= SAME_VECTOR, f"{encoder.space.model}, {what}: cosine {cosine(one, other)}"


def held(thing: object, seen: set[int] | None = None) -> int:
    """Bytes of weights that an object holds; a TFLite interpreter or an ONNX session counts as one."""
    import torch

    seen = set() if seen is None else seen
    if id(thing) in seen or thing is None or isinstance(thing, str | bytes | int | float | type | ModuleType):
        return 0
    seen.add(id(thing))
    if isinstance(thing, torch.nn.Module):
        return sum(held(weight, seen) for weight in [*thing.parameters(), *thing.buffers()])
    if isinstance(thing, torch.Tensor | np.ndarray):
        return int(thing.nbytes)
    if isinstance(thing, dict):
        return sum(held(value, seen) for value in thing.values())
    if isinstance(thing, list | tuple | set | frozenset):
        return sum(held(value, seen) for value in thing)
    if type(thing).__name__ in ("Interpreter", "InferenceSession"):
        return 1
    slots = [slot for cls in type(thing).__mro__ for slot in getattr(cls, "__slots__", ())]
    inside = [*getattr(thing, "__dict__", {}).values(), *(getattr(thing, slot, None) for slot in slots)]
    return sum(held(value, seen) for value in inside)


def weight_files(folder: Path) -> list[Path]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [path for path in files if path.suffix in WEIGHT_FILES] or [max(files, key=lambda path: path.stat().st_size)]


def each(tiny: Tiny) -> Iterator[tuple[list[str], list[Media]]]:
    for named in tiny.inputs.values():
        yield list(named), list(named.values())


def test_every_family_has_a_tiny_checkpoint() -> None:
    assert set(families()) <= set(TINY)


def test_same_vector_alone_in_batches_shuffled_and_twice(tiny: Tiny) -> None:
    encoder, refuses = tiny.encoder, getattr(tiny.module, "REFUSES", ())
    for names, media in each(tiny):
        alone = [outcomes(encoder, [one])[0] for one in media]
        refused = {name for name, one in zip(names, alone, strict=True) if isinstance(one, MediaError)}
        assert refused == set(names) & set(refuses), [one for one in alone if isinstance(one, MediaError)]
        for size in (1, 2, 3, 32):
            for name, one, again in zip(names, alone, outcomes(encoder, media, size), strict=True):
                assert_same(encoder, one, again, f"{name} alone and in batches of {size}")
        order = np.random.default_rng(3).permutation(2 * len(media)) % len(media)
        for at, again in zip(order, outcomes(encoder, [media[at] for at in order], 5), strict=True):
            assert_same(encoder, alone[at], again, f"{names[at]} alone and in shuffled order")


def test_encode_gives_the_normalised_mean_of_the_parts(tiny: Tiny) -> None:
    encoder = tiny.encoder
    for names, media in each(tiny):
        for name, medium, expected in zip(names, media, outcomes(encoder, media), strict=True):
            if isinstance(expected, MediaError):
                with pytest.raises(MediaError):
                    embed.encode(encoder, [medium])
                continue
            vectors = embed.encode(encoder, [medium])
            assert vectors.space == encoder.space
            assert vectors.array.dtype == np.float32
            assert vectors.array.shape == (1, encoder.space.dim)
            assert abs(float(np.linalg.norm(vectors.array)) - 1) < 1e-5
            assert_same(encoder, vectors.array[0], expected, name)


def test_different_inputs_give_different_vectors(tiny: Tiny) -> None:
    alike = ALIKE | set(getattr(tiny.module, "SAME", ()))
    for names, media in each(tiny):
        found = outcomes(tiny.encoder, media)
        told = [(n, v) for n, v in zip(names, found, strict=True) if n not in alike and not isinstance(v, MediaError)]
        assert len(told) >= 2
        for i, (name, vector) in enumerate(told):
            for other, another in told[:i]:
                assert cosine(vector, another) < OTHER_VECTOR, f"{name} and {other}"


def test_long_recordings_become_windows(tiny: Tiny) -> None:
    encoder = tiny.encoder
    if encoder.audio is None or encoder.audio.window is None or "audio" not in encoder.modalities:
        pytest.skip("it cuts no recordings")
    window, hop = encoder.audio.window, encoder.audio.hop or encoder.audio.window
    found = list(encode_stream(encoder, [tiny.inputs["audio"]["long"]]))
    spans = [one.part.span for one in found if isinstance(one, Encoded)]
    starts = [i * hop for i in range(int(0.2 * window / hop + 1e-6) + 1)]
    if abs(starts[-1] - 0.2 * window) > 1e-3:
        starts.append(0.2 * window)
    assert [span.start for span in spans if span] == pytest.approx(starts, abs=1e-3)
    assert [span.end for span in spans if span] == pytest.approx([start + window for start in starts], abs=1e-3)


def test_a_second_load_is_the_same_space_and_the_same_vectors(tiny: Tiny) -> None:
    second = embed.load(tiny.name)
    assert second is not tiny.encoder
    assert_equal_encoders(tiny, second)


def test_a_copy_elsewhere_is_the_same_space_and_the_same_vectors(tiny: Tiny, tmp_path: Path) -> None:
    assert_equal_encoders(tiny, embed.load(tiny.copy(tmp_path / "elsewhere")))


def assert_equal_encoders(tiny: Tiny, second: Encoder) -> None:
    assert second.space == tiny.encoder.space
    assert second.space.id == tiny.encoder.space.id
    assert Space.from_json(second.space.to_json()) == tiny.encoder.space
    assert (second.modalities, second.audio, second.video) == (
        tiny.encoder.modalities,
        tiny.encoder.audio,
        tiny.encoder.video,
    )
    for names, media in each(tiny):
        pairs = zip(names, outcomes(tiny.encoder, media), outcomes(second, media), strict=True)
        for name, one, other in pairs:
            assert_same(second, one, other, f"{name} from a second load")


def test_one_changed_weight_is_another_space(tiny: Tiny, tmp_path: Path) -> None:
    name = tiny.copy(tmp_path / "changed")
    for path in weight_files(tmp_path / "changed"):
        content = path.read_bytes()
        end = len(content.rstrip()) - 1
        path.write_bytes(content[:end] + bytes([content[end] ^ 1]) + content[end + 1 :])
        assert embed.load(name).space != tiny.encoder.space, path.name
        path.write_bytes(content)
        assert embed.load(name).space == tiny.encoder.space, path.name


def test_load_loads_no_weights_and_text_only_its_tower(tiny: Tiny) -> None:
    for others in tiny.inputs:
        encoder = embed.load(tiny.name)
        assert held(encoder) == 0, "load() must not hold weights"
        first: Modality = "text" if "text" in tiny.inputs else others
        embed.encode(encoder, [next(iter(tiny.inputs[first].values()))])
        before = held(encoder)
        embed.encode(encoder, [next(iter(tiny.inputs[others].values()))])
        if others == first:
            assert held(encoder) == before, "a second encoding loaded more"
        elif held(encoder):
            assert held(encoder) > before, f"encoding {first} had loaded what {others} needs as well"


def test_a_folder_that_is_not_there_is_not_found(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound) as caught:
        embed.load(tiny.moved(tmp_path / "nowhere"))
    assert "\n" not in str(caught.value)
    assert "nowhere" in str(caught.value)


@pytest.mark.parametrize("damage", ["no files", "no weights", "weights cut short", "weights that are not any"])
def test_a_damaged_folder_is_one_clear_error(tiny: Tiny, tmp_path: Path, damage: str) -> None:
    name = tiny.copy(tmp_path / "damaged")
    for path in sorted((tmp_path / "damaged").rglob("*")):
        if path.is_file() and damage == "no files":
            path.unlink()
    for path in weight_files(tmp_path / "damaged") if damage != "no files" else []:
        if damage == "no weights":
            path.unlink()
        elif damage == "weights cut short":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        else:
            path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    for named in tiny.inputs.values():
        with pytest.raises(EncoderError) as caught:
            embed.encode(embed.load(name), [next(iter(named.values()))])
        assert "\n" not in str(caught.value)
        assert "damaged" in str(caught.value), "it should name the folder"


def test_a_tokenizer_without_its_vocabulary_is_one_clear_error(tiny: Tiny, tmp_path: Path) -> None:
    """transformers would make one of a handful of special tokens, and give every text nearly the same vector."""
    name = tiny.copy(tmp_path / "wordless")
    vocabularies = [path for path in (tmp_path / "wordless").rglob("*") if path.name in VOCABULARIES]
    if "text" not in tiny.inputs or not vocabularies:
        pytest.skip("no tokenizer's vocabulary among its files")
    for path in vocabularies:
        path.unlink()
    with pytest.raises(EncoderError, match="(?i)tokenizer|vocabulary") as caught:
        embed.encode(embed.load(name), [Media.from_text("a dog barks")])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("family", TINY)
def test_lower_precision_gives_nearly_the_same_vectors(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each vector stays near its own in float32, and is farther from those of all other inputs."""
    monkeypatch.setattr(tiny_models, "WIDTH", 0.35)
    folder = tmp_path / "model"
    folder.mkdir()
    module = importlib.import_module(f"tests.embed.encoders.tiny_{family}")
    table = resolve(module.build(folder))
    if "precision" not in REGISTRY.settings(table["family"]):
        pytest.skip("it runs no network of torch")
    exact, low = embed.load(table), embed.load(table | {"precision": "bfloat16", "device": "cpu"})
    if not low.towers:
        pytest.skip("it runs no network of torch with this checkpoint")
    assert low.space == exact.space
    assert (exact.precision, low.precision) == ("float32", "bfloat16")
    moved = False
    for modality in sorted(exact.modalities):
        media = [one for name, one in MAKERS[modality](exact, tmp_path).items() if name not in ALIKE]
        pairs = zip(outcomes(exact, media), outcomes(low, media), strict=True)
        rows, lower = np.array([pair for pair in pairs if not isinstance(pair[0], MediaError)]).swapaxes(0, 1)
        cosines = lower @ rows.T
        assert cosines.diagonal().min() >= getattr(module, "NEARLY", NEARLY), f"{modality}: {cosines.diagonal()}"
        moved |= not np.array_equal(rows, lower)
        assert np.array_equal(cosines.argmax(1), np.arange(len(rows))), modality
    assert moved, "it runs in float32 all the same"


def test_exported_networks_give_the_same_vectors_alone_and_in_batches(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = embed.load(tiny.name)
    towers = [tower for tower in encoder.towers.values() if tower.exports]
    if not towers:
        pytest.skip("it has no network that is exported")
    monkeypatch.setattr(CACHE, "asked", lambda: "auto")
    monkeypatch.setattr(CACHE, "folder", lambda: tmp_path / "onnx")
    assert [entry.failed for entry in export(encoder)] == [None] * len(towers)
    second = embed.load(tiny.name)
    assert second.space == tiny.encoder.space
    for names, media in each(tiny):
        eager = outcomes(tiny.encoder, media)
        for size in (1, 3, 32):
            for name, one, other in zip(names, eager, outcomes(second, media, size), strict=True):
                assert_same(tiny.encoder, one, other, f"{name} by torch and exported, in batches of {size}")
    for tower in second.towers.values():
        assert tower.exports == (tower.exported is not None), tower.name
        assert not (tower.exports and tower.loaded), f"{tower.name} went through torch"
        assert not tower.notices
