"""vits against transformers' own calls on tiny checkpoints."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from analogon.engines.generator import Generator, Settings, generate
from analogon.generate.families import vits
from analogon.generate.loading import load
from analogon.prompts import Prompt
from analogon.speech import parse, to_script
from analogon.voices import Voice
from embed.errors import AnalogonError, EncoderError, MissingPackage, ModelNotFound, UsageError
from embed.media import Media
from embed.space import Space
from tests.analogon.generate.families import tiny_vits
from tests.analogon.generate.families.tiny_vits import HOP, RATE

TEXT = "rain on a tin roof"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load(tiny_vits.save(tmp_path_factory.mktemp("one")))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load(tiny_vits.save(tmp_path_factory.mktemp("many"), speakers=3))


def theirs(where: Path, text: str, seed: int = 0, speaker: int | None = None, **attributes: float) -> Any:
    """What transformers makes of the same folder, text and seed."""
    from transformers import VitsModel, VitsTokenizer

    model = VitsModel.from_pretrained(where, dtype=torch.float32).eval()
    for name, value in attributes.items():
        setattr(model, name, value)
    tokens = VitsTokenizer.from_pretrained(where)(text, return_tensors="pt")
    torch.manual_seed(seed)
    with torch.no_grad():
        return model(**tokens, speaker_id=speaker).waveform[0].numpy()


def made(generator: Generator, text: str = TEXT, **settings: Any) -> Any:
    return generator.make(Prompt(text), Settings(**settings)).array


@pytest.mark.parametrize("text", [TEXT, "Hello, World! It's 42.", "kick the back of a book", "a", "-_-"])
def test_its_samples_are_those_of_transformers(one: Any, text: str) -> None:
    expected = theirs(one.where, text, seed=7)
    ours = made(one, text, seed=7)
    assert ours.dtype == np.float32 and np.array_equal(ours, expected)
    assert np.abs(expected).max() > 0.01 and len(expected) % HOP == 0


def test_rate_and_length_come_from_the_configuration(one: Any, tmp_path: Path) -> None:
    assert (one.rate, one.hop) == (RATE, HOP)
    other = load(tiny_vits.save(tmp_path, sampling_rate=16000, upsample_rates=[4, 4], upsample_kernel_sizes=[8, 8]))
    take = generate(other, TEXT).media
    torch.manual_seed(0)
    frames = other._model(**other._tokenizer(TEXT, return_tensors="pt")).spectrogram.shape[-1]
    assert take.rate == 16000 and take.array is not None and take.array.shape == (frames * 4 * 4,)


def test_each_speaker_is_as_transformers_has_it(many: Any) -> None:
    takes = [made(many, voice=str(number)) for number in range(3)]
    for number, take in enumerate(takes):
        assert np.array_equal(take, theirs(many.where, TEXT, speaker=number))
    shortest = min(map(len, takes))
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(takes[a][:shortest] - takes[b][:shortest]).max() > 0.05
    silent = generate(many, TEXT)
    assert np.array_equal(silent.media.array, takes[0])
    assert silent.remarks == (f"{many.name} was given no voice: speaker 0 of 0 to 2 speaks",)
    assert generate(many, TEXT, Settings(voice="2")).remarks == ()


def test_a_model_of_one_speaker_is_its_speaker_0(one: Any) -> None:
    assert np.array_equal(made(one, voice="0"), made(one))
    with pytest.raises(UsageError, match=r"has no speaker '1': it has the one voice that it was made of"):
        made(one, voice="1")


@pytest.mark.parametrize("voice", ["3", "-1", "narrator", "", "1.0", "٢", "9" * 30])
def test_other_speakers_are_refused(many: Any, voice: str) -> None:
    with pytest.raises(UsageError, match=r"has no speaker .*: it has its own speakers, 0 to 2"):
        made(many, voice=voice)


def test_a_kept_voice_is_refused(many: Any) -> None:
    vector = np.eye(1, 512, dtype=np.float32)[0]
    voice = Voice("narrator", {Space("speaker", "w", "p", 512): vector})
    with pytest.raises(UsageError, match="cannot speak as the kept voice narrator: it has only its own speakers, 0 to"):
        made(many, voice=voice)


def test_a_seed_decides_and_the_global_generator_stays(one: Any) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = (made(one, seed=seed) for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes() != other.tobytes()
    assert torch.equal(torch.get_rng_state(), before)
    assert np.isfinite(made(one, seed=2**32 - 1)).all()


def test_the_first_take_is_as_the_second(one: Any) -> None:
    fresh = load(one.name)
    assert np.array_equal(made(fresh), made(fresh))


def test_settings_reach_the_model_and_its_identity(one: Any) -> None:
    usual = made(one)
    assert {k: one.identity[k] for k in ("speaking_rate", "noise_scale", "noise_scale_duration")} == {
        "speaking_rate": 1.0,
        "noise_scale": 0.667,
        "noise_scale_duration": 0.8,
    }
    for changed in ({"speaking_rate": 0.25}, {"noise_scale": 0.1}, {"noise_scale_duration": 3.0}):
        generator = load(one.name, **changed)
        take = made(generator)
        assert np.array_equal(take, theirs(one.where, TEXT, **changed)) and not np.array_equal(take, usual)
        assert {key: generator.identity[key] for key in changed} == changed
        assert generator.identity["weights"] == one.identity["weights"]
    still = load(one.name, noise_scale=0.0, noise_scale_duration=0.0)
    assert np.array_equal(made(still, seed=1), made(still, seed=2))
    json.dumps(one.identity)


def test_a_slower_rate_is_longer(one: Any) -> None:
    still = {"noise_scale": 0.0, "noise_scale_duration": 0.0}
    lengths = [len(made(load(one.name, speaking_rate=rate, **still))) for rate in (0.1, 0.5, 1.0)]
    assert lengths[0] > 2 * lengths[1] > lengths[2]


@pytest.mark.parametrize(
    "setting", [{"speaking_rate": 0}, {"speaking_rate": float("nan")}, {"noise_scale": -1}, {"noise_scale": 1e999}]
)
def test_settings_out_of_range_are_refused(one: Any, setting: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(setting))):
        load(one.name, **setting)


def test_what_it_cannot_spell_is_said(one: Any) -> None:
    said = generate(one, "Café No. 42, at 5 o'clock: 100 €!").remarks
    assert said == (
        f"{one.name} leaves out what it has no characters for, in 'café', '42,', '5', '100', '€!'; "
        "write numbers out in words",
    )
    assert generate(one, "Hello, (world)!").remarks == ()


@pytest.mark.parametrize("text", ["42", "!?", "日本", "\ud800", "."])
def test_a_text_that_it_cannot_spell_at_all_is_refused(one: Any, text: str) -> None:
    with pytest.raises(UsageError, match="can spell nothing of .*; its characters are '-6_abc") as caught:
        generate(one, text)
    assert "\n" not in str(caught.value) and str(caught.value).encode()


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_nothing_to_speak_is_refused(one: Any, text: str) -> None:
    with pytest.raises(UsageError, match="was given nothing to speak"):
        generate(one, text)


def test_lines_and_dashes_part_words(one: Any, tmp_path: Path) -> None:
    assert np.array_equal(made(one, "rain\non a\ttin  roof"), made(one))
    # With no dash of its own, as most vocabularies; transformers would read "rainon".
    bare = load(tiny_vits.save(tmp_path, characters=tiny_vits.CHARACTERS.replace("-", "").replace("_", "")))
    for text in ("rain-on a tin roof", "rain—on a/tin_roof"):
        assert np.array_equal(made(bare, text), theirs(bare.where, TEXT))
    assert np.array_equal(made(one, "it’s"), theirs(one.where, "it's"))


def test_a_long_text_is_spoken_in_pieces(one: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vits, "PIECE", 24)
    took = generate(one, "rain on a tin roof. a dog barks, the wind.", Settings(seed=3))
    assert took.remarks == (f"{one.name}: the text became 2 pieces, 0.25 s apart",)
    model = one._model
    from transformers import VitsTokenizer

    tokenizer = VitsTokenizer.from_pretrained(one.where)
    torch.manual_seed(3)
    parts = [model(**tokenizer(t, return_tensors="pt")).waveform[0].numpy() for t in (TEXT, "a dog barks the wind")]
    expected = np.concatenate([parts[0], np.zeros(RATE // 4, np.float32), parts[1]])
    assert np.array_equal(took.media.array, expected)


@pytest.mark.parametrize("language", ["en", "EN-gb", "eng", "en_US"])
def test_its_own_language_may_be_asked_for(one: Any, language: str) -> None:
    assert np.array_equal(generate(one, TEXT, Settings(language=language)).media.array, made(one))


def test_what_it_speaks_is_said_in_its_language(one: Any, tmp_path: Path) -> None:
    twelve = parse('<speak xml:lang="en"><say-as interpret-as="cardinal">12</say-as></speak>')
    assert [segment.text for segment in to_script(twelve, Settings(), one).segments] == ["twelve"]
    german = load(tiny_vits.save(tmp_path / "deu", language="deu"))
    assert german.language_spoken(None, "en") == "deu"
    assert [segment.text for segment in to_script(twelve, Settings(), german).segments] == ["12"]


def test_another_language_is_refused_with_the_way_to_it(one: Any) -> None:
    with pytest.raises(UsageError, match=r"speaks eng, not de-AT: .*vits:facebook/mms-tts-deu$"):
        generate(one, TEXT, Settings(language="de-AT"))


def test_scripts_and_unknown_languages(tmp_path: Path) -> None:
    uighur = load(tiny_vits.save(tmp_path / "uig", language="uig-script_arabic"))
    assert generate(uighur, TEXT, Settings(language="ug")).media.array is not None
    untold = load(tiny_vits.save(tmp_path / "untold", language=None))
    with pytest.raises(UsageError, match="takes no language; it takes voice"):
        generate(untold, TEXT, Settings(language="en"))


def test_guide_and_seconds_are_not_for_it(one: Any) -> None:
    with pytest.raises(UsageError, match="takes no guide"):
        generate(one, TEXT, Settings(guide=Media("audio", array=np.zeros(800, np.float32), rate=RATE)))
    assert generate(one, TEXT, Settings(seconds=3)).remarks == (f"{one.name} cannot be told how long a take shall be",)


# -- romanizer and phonemizer ------------------------------------------------------------------------------------------


def test_without_uroman_other_scripts_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = load(tiny_vits.save(tmp_path, language="kor", is_uroman=True))
    monkeypatch.setattr("transformers.utils.is_uroman_available", lambda: False)
    with pytest.raises(MissingPackage, match=r"needs the package uroman: pip install 'analogon\[vits\]'"):
        generate(generator, "안녕")
    assert generate(generator, "annyeong").media.array is not None  # Latin letters need no romanizer


class Romanizer:
    """In place of the package's, which reads its tables for seconds."""

    def romanize_string(self, text: str) -> str:
        return text.replace("안녕", "annyeong")


def test_with_uroman_other_scripts_are_romanized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = "transformers.models.vits.tokenization_vits"
    for where in ("transformers.utils", module):
        monkeypatch.setattr(f"{where}.is_uroman_available", lambda: True)
    package = SimpleNamespace(Uroman=Romanizer)
    monkeypatch.setattr(f"{module}.ur", package, raising=False)
    monkeypatch.setitem(sys.modules, "uroman", package)
    generator = load(tiny_vits.save(tmp_path, language="kor", is_uroman=True))
    took = generate(generator, "안녕, 안녕", Settings(seed=2))
    assert took.remarks == ()
    assert np.array_equal(took.media.array, theirs(generator.where, "안녕, 안녕", seed=2))
    assert np.array_equal(took.media.array, made(generator, "annyeong, annyeong", seed=2))


def test_without_phonemizer_phonemes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = load(tiny_vits.save(tmp_path, language=None, phonemize=True))
    assert generator.abilities == {"voice", "language"} and generator.language == "eng"  # type: ignore[attr-defined]
    monkeypatch.setattr("transformers.utils.is_phonemizer_available", lambda: False)
    with pytest.raises(MissingPackage, match=r"needs the package phonemizer: pip install 'analogon\[vits\]'"):
        generate(generator, TEXT)


class Phonemizer:
    """In place of the package: digits and letters that no vocabulary here has, beside those that it has."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def phonemize(self, text: str, **options: Any) -> str:
        assert options["language"] == "en-us" and options["backend"] == "espeak"
        if self.error:
            raise self.error
        return text.replace("rain", "ɹein")


def with_phonemizer(monkeypatch: pytest.MonkeyPatch, phonemizer: Phonemizer) -> None:
    module = "transformers.models.vits.tokenization_vits"
    monkeypatch.setattr("transformers.utils.is_phonemizer_available", lambda: True)
    monkeypatch.setattr(f"{module}.requires_backends", lambda *names: None)
    monkeypatch.setattr(f"{module}.phonemizer", phonemizer, raising=False)


def test_phonemes_are_those_of_transformers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_phonemizer(monkeypatch, Phonemizer())
    generator = load(tiny_vits.save(tmp_path, characters=tiny_vits.CHARACTERS + "ɹ", language=None, phonemize=True))
    took = generate(generator, TEXT)
    assert took.remarks == () and np.array_equal(took.media.array, theirs(generator.where, TEXT))


def test_a_phoneme_that_the_model_lacks_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_phonemizer(monkeypatch, Phonemizer())
    generator = load(tiny_vits.save(tmp_path, language=None, phonemize=True))
    with pytest.raises(IndexError):  # transformers numbers it beyond the embedding
        theirs(generator.where, TEXT)
    took = generate(generator, TEXT)
    assert took.remarks == (f"{generator.name} leaves out what it has no characters for, in 'ɹein'",)
    assert np.array_equal(took.media.array, made(generator, "ein on a tin roof"))


def test_without_espeak_phonemes_are_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_phonemizer(monkeypatch, Phonemizer(RuntimeError("espeak not installed\non your system")))
    generator = load(tiny_vits.save(tmp_path, language=None, phonemize=True))
    with pytest.raises(EncoderError, match=r"espeak not installed on your system; phonemizer needs espeak-ng \(Debian"):
        generate(generator, TEXT)


# -- folders -----------------------------------------------------------------------------------------------------------


def test_weights_of_the_published_layout_are_the_same(one: Any, tmp_path: Path) -> None:
    """facebook/mms-tts-eng was saved before torch's parametrizations: weight_g and weight_v."""
    folder = Path(shutil.copytree(one.where, tmp_path / "old"))
    weights = load_file(folder / "model.safetensors")
    old = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): value
        for name, value in weights.items()
    }
    assert old.keys() != weights.keys()
    save_file(old, folder / "model.safetensors", metadata={"format": "pt"})
    assert np.array_equal(made(load(f"vits:{folder}")), made(one))


def test_a_fixed_duration_predictor(tmp_path: Path) -> None:
    generator = load(tiny_vits.save(tmp_path, use_stochastic_duration_prediction=False))
    assert np.array_equal(made(generator, seed=1), theirs(generator.where, TEXT, seed=1))
    assert len(made(generator, seed=1)) == len(made(generator, seed=2))


def test_constructing_reads_no_weights(one: Any, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(one.where, tmp_path / "broken"))
    (folder / "model.safetensors").write_bytes(b"nothing")
    generator = load(f"vits:{folder}")
    assert generator.identity["weights"] != one.identity["weights"]
    with pytest.raises(EncoderError, match="VitsModel cannot be loaded") as caught:
        generate(generator, TEXT)
    assert "\n" not in str(caught.value)


def damaged(folder: Path, name: str, text: str | None) -> None:
    if text is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("config.json", None, ModelNotFound),
        ("vocab.json", None, ModelNotFound),
        ("config.json", "{", EncoderError),
        ("config.json", '{"model_type": "bert"}', EncoderError),
        ("config.json", '{"model_type": "vits", "sampling_rate": "loud"}', EncoderError),
        ("config.json", '{"model_type": "vits", "sampling_rate": 0}', EncoderError),
        ("config.json", '{"model_type": "vits", "vocab_size": 5}', EncoderError),
        ("vocab.json", "[]", EncoderError),
        ("vocab.json", "{}", EncoderError),
        ("vocab.json", "{", EncoderError),
        ("tokenizer_config.json", "{", EncoderError),
        ("model.safetensors", None, EncoderError),
    ],
)
def test_damaged_folders_are_told_in_one_line(
    one: Any, tmp_path: Path, name: str, text: str | None, error: type[AnalogonError]
) -> None:
    folder = Path(shutil.copytree(one.where, tmp_path / "damaged"))
    damaged(folder, name, text)
    with pytest.raises(error) as caught:
        generate(load(f"vits:{folder}"), TEXT)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)


def test_a_missing_weight_is_told(one: Any, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(one.where, tmp_path / "lacking"))
    weights = load_file(folder / "model.safetensors")
    del weights["text_encoder.embed_tokens.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match=r"the checkpoint has no text_encoder\.embed_tokens\.weight"):
        generate(load(f"vits:{folder}"), TEXT)


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        load(f"vits:{tmp_path / 'none'}")
