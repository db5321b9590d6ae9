"""musicgen against transformers' own calls on tiny checkpoints, against EnCodec, and against chords."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
import torch
from safetensors.torch import load_file, save_file

from analogon.engines.generator import Generator, Settings, generate
from analogon.generate.families.musicgen import chroma
from analogon.generate.loading import load
from embed.errors import AnalogonError, EncoderError, GeneratorError, MediaError, ModelNotFound, UsageError
from embed.media import Media, Span
from tests.analogon.generate.families import tiny_musicgen, tiny_musicgen_melody
from tests.analogon.generate.families.tiny_musicgen import HOP, RATE

TEXT = "rain on a tin roof"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return load(tiny_musicgen.save(tmp_path_factory.mktemp("plain")))


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return load(tiny_musicgen.save(tmp_path_factory.mktemp("slow"), slow=True))


@pytest.fixture(scope="module")
def stereo(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return load(tiny_musicgen.save(tmp_path_factory.mktemp("stereo"), stereo=True))


@pytest.fixture(scope="module")
def melody(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return load(tiny_musicgen_melody.save(tmp_path_factory.mktemp("melody")))


def theirs(generator: Any, frames: int, seed: int, text: str = TEXT, **inputs: Any) -> Any:
    """What transformers makes of the same folder and seed, with the folder's generation_config.json; (channels, n)."""
    from transformers import AutoTokenizer, MusicgenForConditionalGeneration, MusicgenMelodyForConditionalGeneration

    kind = MusicgenMelodyForConditionalGeneration if generator.melody else MusicgenForConditionalGeneration
    model = kind.from_pretrained(generator.where, dtype=torch.float32).eval()
    tokens = AutoTokenizer.from_pretrained(generator.where)(text, return_tensors="pt")
    tokens = {"input_ids": tokens["input_ids"], "attention_mask": tokens["attention_mask"]}
    torch.manual_seed(seed)
    return model.generate(**tokens, **inputs, max_new_tokens=frames + 3, top_k=250)[0].numpy()


def tone(rate: int, seconds: float, *frequencies: float) -> np.ndarray:
    time = np.arange(round(rate * seconds)) / rate
    return (sum(np.sin(2 * np.pi * f * time) for f in frequencies) / len(frequencies) * 0.8).astype(np.float32)


def made(generator: Generator, text: str = TEXT, **settings: Any) -> Any:
    from analogon.prompts import Prompt

    return generator.make(Prompt(text), Settings(**settings)).array


def test_its_samples_are_those_of_transformers(plain: Any, stereo: Any, melody: Any) -> None:
    for generator in (plain, stereo, melody):
        expected = theirs(generator, 20, 7).T
        ours = made(generator, seconds=0.4, seed=7)
        assert ours.dtype == np.float32
        assert np.array_equal(ours.reshape(len(ours), -1), expected)
        assert np.abs(expected).max() > 0.01


def test_left_and_right_of_a_stereo_model_differ(stereo: Any) -> None:
    take = generate(stereo, TEXT, Settings(seconds=0.4)).media
    assert take.array is not None and take.array.shape == (320, 2) and take.rate == RATE
    assert np.abs(take.array[:, 0] - take.array[:, 1]).max() > 0.1


@pytest.mark.parametrize("seconds", [0.001, 0.02, 0.05, 0.41, 1.0, 1.2345])
def test_a_take_is_as_long_as_asked_for_to_the_sample(plain: Any, melody: Any, seconds: float) -> None:
    for generator, rate in ((plain, RATE), (melody, tiny_musicgen_melody.RATE)):
        assert made(generator, seconds=seconds).shape == (max(1, round(seconds * rate)),)


def test_what_is_cut_off_is_less_than_a_frame(plain: Any) -> None:
    whole = theirs(plain, 21, 0)[0]
    assert len(whole) == 21 * HOP
    assert np.array_equal(made(plain, seconds=0.41), whole[: round(0.41 * RATE)])


def test_ten_seconds_where_nobody_says_and_thirty_at_most(slow: Any) -> None:
    assert generate(slow, TEXT).media.array.shape == (10 * RATE,)
    took = generate(slow, TEXT, Settings(seconds=31))
    assert took.media.array.shape == (30 * RATE,)
    assert took.remarks == (f"{slow.name} makes 30 s at most, not 31 s",)


def test_the_first_take_is_as_the_second(plain: Any) -> None:
    fresh = load(plain.name)
    assert np.array_equal(made(fresh, seconds=0.4), made(fresh, seconds=0.4))


def test_a_seed_decides_and_the_global_generator_stays(plain: Any) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = (made(plain, seconds=0.4, seed=seed) for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes() != other.tobytes()
    assert torch.equal(torch.get_rng_state(), before)
    assert np.isfinite(made(plain, seconds=0.1, seed=2**32 - 1)).all()


def test_settings_reach_the_model_and_its_identity(plain: Any) -> None:
    name = plain.name
    usual = made(plain, seconds=0.4)
    assert plain.identity["top_k"] == 250 and len(plain.identity["weights"]) == 32
    for changed in ({"guidance": 1.0}, {"temperature": 0.2}, {"top_k": 2}):
        generator = load(name, **changed)
        assert not np.array_equal(made(generator, seconds=0.4), usual)
        assert {key: generator.identity[key] for key in changed} == changed
        assert generator.identity["weights"] == plain.identity["weights"]
    # One likeliest code a step leaves nothing to the seed.
    greedy = load(name, top_k=1)
    assert np.array_equal(made(greedy, seconds=0.4, seed=1), made(greedy, seconds=0.4, seed=2))
    json.dumps(plain.identity)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"top_k": 2.5}, "musicgen: top_k must be a whole number, not 2.5"),
        ({"top_k": "abc"}, "musicgen: top_k must be a whole number, not 'abc'"),
        ({"guidance": "x"}, "musicgen: guidance must be a number, not 'x'"),
        ({"temperature": True}, "musicgen: temperature must be a number, not True"),
        ({"volume": 1}, "musicgen has no setting 'volume'"),
    ],
)
def test_settings_of_another_kind_are_refused(plain: Any, setting: dict[str, Any], words: str) -> None:
    with pytest.raises(GeneratorError, match=words):
        load(plain.name, **setting)


@pytest.mark.parametrize("setting", [{"guidance": 0.5}, {"temperature": 0}, {"top_k": -1}, {"guidance": float("nan")}])
def test_settings_out_of_range_are_refused(plain: Any, setting: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(setting))):
        load(plain.name, **setting)


def test_a_continuation_is_that_of_transformers(plain: Any, stereo: Any) -> None:
    guide = tone(RATE, 0.64, 60, 150)
    for generator, channels in ((plain, 1), (stereo, 2)):
        values = torch.from_numpy(guide)[None, None].repeat(1, channels, 1)
        expected = theirs(generator, 20, 3, input_values=values).T
        ours = made(generator, seconds=0.4, seed=3, guide=Media("audio", array=guide, rate=RATE))
        assert ours.reshape(len(ours), -1).shape == (len(guide) + 0.4 * RATE, channels)
        assert np.array_equal(ours.reshape(len(ours), -1), expected)


def test_a_continuation_begins_as_the_codec_renders_the_guide(plain: Any) -> None:
    from transformers import MusicgenForConditionalGeneration

    guide = tone(RATE, 1.28, 60, 150)
    codec = MusicgenForConditionalGeneration.from_pretrained(plain.where, dtype=torch.float32).eval().audio_encoder
    with torch.inference_mode():
        codes = codec.encode(torch.from_numpy(guide)[None, None]).audio_codes
        rendered = codec.decode(codes, [None]).audio_values[0, 0].numpy()
    assert codes.shape == (1, 1, 4, 64)
    ours = made(plain, seconds=0.4, guide=Media("audio", array=guide, rate=RATE))
    # The codec is not causal: near its end the guide's rendering hears what comes after it.
    sure = len(guide) - 8 * HOP
    assert np.abs(ours[:sure] - rendered[:sure]).max() <= 1e-5
    assert np.abs(ours[:sure] - made(plain, seconds=2.0)[:sure]).max() > 0.1


def test_the_end_of_a_long_guide_is_heard_in_whole_frames(plain: Any, slow: Any, tmp_path: Path) -> None:
    guide = np.random.default_rng(0).normal(0, 0.2, 4 * RATE + 5).astype(np.float32)
    settings = Settings(seconds=28.0, guide=Media("audio", array=guide, rate=RATE))
    took = generate(slow, TEXT, settings)
    assert took.media.array.shape == (30 * RATE,)
    assert [remark for remark in took.remarks if "hears the last 2 s of audio in memory, of 4.00625 s" in remark]
    short = generate(plain, TEXT, Settings(seconds=0.4, guide=settings.guide.but(array=guide[: 10 * HOP + 5])))
    assert short.media.array.shape == (10 * HOP + 320,) and not short.remarks
    # A file at another rate comes to the model's own.
    soundfile.write(tmp_path / "guide.wav", tone(4000, 1.0, 60), 4000)
    took = generate(plain, TEXT, Settings(seconds=0.4, guide=Media.from_path(tmp_path / "guide.wav")))
    assert took.media.array.shape == (RATE + 320,)


def test_of_a_long_file_only_the_end_or_the_beginning_is_read(plain: Any, melody: Any, tmp_path: Path) -> None:
    rate = tiny_musicgen_melody.RATE
    sound = np.random.default_rng(0).normal(0, 0.2, 200 * rate).astype(np.float32)
    soundfile.write(tmp_path / "long.wav", sound, rate, subtype="FLOAT")
    file = Media.from_path(tmp_path / "long.wav")
    for guide, begin in ((file, 0), (file.but(span=Span(10, 150)), 10)):
        heard = melody._heard(Settings(guide=guide))
        assert np.array_equal(heard, sound[begin * rate : (begin + 30) * rate])
    low = soxr.resample(sound, rate, RATE, quality="HQ")
    for guide, begin, end in (
        (file, 171, 200),
        (file.but(span=Span(10, 150)), 121, 150),
        (file.but(span=Span(10, 15)), 10, 15),
    ):
        heard = plain._heard(Settings(seconds=1.0, guide=guide))
        expected = low[begin * RATE : end * RATE]
        # At the ends the resampling filter may hear what lies beyond.
        assert heard.shape == expected.shape and np.abs(heard - expected)[50:-50].max() < 1e-3
        assert np.abs(heard[:-1] - expected[1:]).max() > 0.1


def test_a_guide_that_cannot_be_continued_is_refused(plain: Any, tmp_path: Path) -> None:
    guide = Media("audio", array=tone(RATE, 1.0, 60), rate=RATE)
    with pytest.raises(UsageError, match="leave no room for a guide"):
        generate(plain, TEXT, Settings(seconds=30, guide=guide))
    with pytest.raises(UsageError, match="too short to be continued"):
        generate(plain, TEXT, Settings(seconds=1, guide=guide.but(array=np.zeros(HOP - 1, np.float32))))
    with pytest.raises(UsageError, match="needs a recording for a guide, not text"):
        generate(plain, TEXT, Settings(seconds=1, guide=Media.from_text("la la la")))
    with pytest.raises(MediaError, match="no such file"):
        generate(plain, TEXT, Settings(seconds=1, guide=Media.from_path(tmp_path / "not there.wav")))


C, A, E, G = 261.626, 440.0, 329.628, 391.995


def test_chroma_of_tones_and_chords() -> None:
    rate = 32000
    for frequency, pitch in ((A, 9), (A * 2, 9), (C, 0), (E, 4), (G, 7)):
        found = chroma(tone(rate, 2.0, frequency), rate)
        assert found.shape == (1 + 2 * rate // 4096, 12) and found.dtype == np.float32
        assert np.array_equal(found, np.eye(12, dtype=np.float32)[[pitch] * len(found)])
    # The strongest alone is marked; of equal tones it is one of the chord's.
    chord = chroma(tone(rate, 2.0, C, E, G), rate)
    assert set(chord.argmax(1)) <= {0, 4, 7} and (chord.sum(1) == 1).all()
    louder = tone(rate, 2.0, C, E, G) + tone(rate, 2.0, G)
    assert set(chroma(louder, rate).argmax(1)) == {7}
    # First C, then A: what changes when.
    walk = chroma(np.concatenate([tone(rate, 2.0, C), tone(rate, 2.0, A)]), rate).argmax(1)
    assert set(walk[:14]) == {0} and set(walk[18:]) == {9}
    assert np.array_equal(chroma(np.zeros(100, np.float32), rate).argmax(1), [0] * 5)


def test_chroma_by_the_extractor_s_own_steps() -> None:
    """Window, normalisation, power, bank, norm and one-hot as its source has them, the spectra by numpy in float64."""
    from transformers.audio_utils import chroma_filter_bank

    rate, n_fft, hop = 32000, 16384, 4096
    random = np.random.default_rng(1)
    samples = np.concatenate([tone(rate, 0.5, 30 * 2 ** (p / 12), 55 * 2 ** (p / 7)) for p in range(8)])
    samples = (samples + random.normal(0, 0.1, len(samples))).astype(np.float32)
    for wave in (samples, samples[:9001]):
        lack = max(0, n_fft - len(wave))
        padded = np.pad(wave.astype(float), (lack // 2, lack - lack // 2))
        padded = np.pad(padded, n_fft // 2, mode="reflect")
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
        frames = [padded[at : at + n_fft] * window for at in range(0, len(padded) - n_fft + 1, hop)]
        power = np.abs(np.fft.rfft(frames) / np.sqrt((window**2).sum())) ** 2
        raw = power @ chroma_filter_bank(n_fft, 12, rate, tuning=0).T
        norm = raw / np.maximum(raw.max(1, keepdims=True), 1e-6)
        expected = np.eye(12, dtype=np.float32)[norm.argmax(1)]
        assert np.array_equal(chroma(wave, rate), expected)
    assert len(set(chroma(samples, rate).argmax(1))) > 4


def test_a_melody_is_given_as_chroma(melody: Any) -> None:
    rate = tiny_musicgen_melody.RATE
    guide = np.concatenate([tone(rate, 0.8, C), tone(rate, 0.8, A)])
    features = torch.from_numpy(chroma(guide, rate, 12, 2048, 512))[None]
    assert features.shape == (1, 21, 12)
    expected = theirs(melody, 20, 4, input_features=features)[0]
    ours = made(melody, seconds=0.4, seed=4, guide=Media("audio", array=guide, rate=rate))
    assert np.array_equal(ours, expected)
    assert not np.array_equal(ours, made(melody, seconds=0.4, seed=4))
    # Another sound with the same pitch classes is the same melody.
    other = np.concatenate([tone(rate, 0.8, 2 * C), tone(rate, 0.8, 2 * A)])
    assert np.array_equal(ours, made(melody, seconds=0.4, seed=4, guide=Media("audio", array=other, rate=rate)))


def test_a_long_melody_is_heard_from_its_beginning(melody: Any) -> None:
    rate = tiny_musicgen_melody.RATE
    long = Media("audio", array=np.concatenate([tone(rate, 30.0, A), tone(rate, 3.0, C)]), rate=rate)
    took = generate(melody, TEXT, Settings(seconds=0.4, guide=long))
    assert took.remarks == (f"{melody.name} hears the first 30 s of audio in memory, of 33 s",)
    short = long.but(array=long.array[: 30 * rate])
    assert np.array_equal(made(melody, seconds=0.4, guide=short), made(melody, seconds=0.4, guide=long))


def test_no_words_are_no_condition(plain: Any, melody: Any) -> None:
    model = plain._model
    torch.manual_seed(9)
    inputs = model.get_unconditional_inputs(1)
    expected = model.generate(**inputs, max_new_tokens=23, top_k=250, do_sample=True)[0, 0].numpy()
    for text in ("", "  "):
        assert np.abs(made(plain, text, seconds=0.4, seed=9) - expected).max() <= 1e-5
    took = generate(melody, "", Settings(seconds=0.4))
    assert took.remarks == (f"{melody.name} was given no words: what it plays is up to the seed",)


def test_words_beyond_the_text_encoder_s_limit_are_named(plain: Any) -> None:
    kept = " ".join(["rain"] * 23)
    took = generate(plain, kept + " piano violin", Settings(seconds=0.2))
    assert took.remarks == (f"{plain.name} hears the first 24 tokens of a text; not heard: 'piano violin'",)
    assert np.array_equal(took.media.array, generate(plain, kept, Settings(seconds=0.2)).media.array)
    assert not generate(plain, kept, Settings(seconds=0.2)).remarks
    many = generate(plain, "rain " * 10_000, Settings(seconds=0.2))
    assert np.array_equal(many.media.array, took.media.array) and len(many.remarks[0]) < 200
    assert made(plain, "half of a pair: \ud83d", seconds=0.2).shape == (160,)


def test_weights_by_their_older_names_are_the_same_model(plain: Any, tmp_path: Path) -> None:
    """The hub's checkpoints have weight_g and weight_v where newer ones have parametrizations."""
    shutil.copytree(plain.where, tmp_path / "old")
    weights = load_file(tmp_path / "old" / "model.safetensors")
    old = {
        key.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): value
        for key, value in weights.items()
    }
    assert old.keys() != weights.keys()
    save_file(old, tmp_path / "old" / "model.safetensors", metadata={"format": "pt"})
    again = load(f"musicgen:{tmp_path / 'old'}")
    assert np.array_equal(made(again, seconds=0.4), made(plain, seconds=0.4))


def test_a_folder_without_generation_settings_or_with_others_makes_the_same(plain: Any, tmp_path: Path) -> None:
    shutil.copytree(plain.where, tmp_path / "bare")
    (tmp_path / "bare" / "generation_config.json").unlink()
    shutil.copytree(plain.where, tmp_path / "odd")
    odd = {"max_length": 5, "top_p": 0.1, "eos_token_id": 3, "num_beams": 4, "do_sample": False}
    (tmp_path / "odd" / "generation_config.json").write_text(json.dumps(odd))
    for name in ("bare", "odd"):
        assert np.array_equal(made(load(f"musicgen:{tmp_path / name}"), seconds=0.4), made(plain, seconds=0.4))


def damage(folder: Path, kind: str) -> None:
    config = folder / "config.json"
    table = json.loads(config.read_text())
    match kind:
        case "no weights":
            (folder / "model.safetensors").unlink()
        case "no vocabulary":
            (folder / "tokenizer.json").unlink()
        case "cut weights":
            content = (folder / "model.safetensors").read_bytes()
            (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
        case "a weight lacks":
            weights = load_file(folder / "model.safetensors")
            del weights["decoder.lm_heads.1.weight"]
            save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        case "no codec":
            config.write_text(json.dumps(table | {"audio_encoder": {"model_type": "t5"}}))
        case "no decoder":
            config.write_text(json.dumps(table | {"decoder": 5}))
        case "another model":
            config.write_text(json.dumps(table | {"model_type": "bert"}))
        case "other sizes":
            config.write_text(json.dumps(table | {"decoder": table["decoder"] | {"hidden_size": 32}}))
        case "a rate of 0":
            config.write_text(json.dumps(table | {"audio_encoder": table["audio_encoder"] | {"sampling_rate": 0}}))
        case "not JSON":
            config.write_text("{")
        case "no config":
            config.unlink()


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("no config", ModelNotFound, "holds no config.json"),
        ("not JSON", EncoderError, "not readable as JSON"),
        ("another model", EncoderError, "musicgen reads musicgen and musicgen_melody checkpoints, not model_type"),
        ("no codec", EncoderError, "config.json: not a configuration of Musicgen"),
        ("no decoder", EncoderError, "config.json: not a configuration of Musicgen"),
        ("a rate of 0", EncoderError, "config.json"),
        ("no vocabulary", EncoderError, "tokenizer"),
        ("no weights", EncoderError, "MusicgenForConditionalGeneration cannot be loaded"),
        ("cut weights", EncoderError, "MusicgenForConditionalGeneration cannot be loaded"),
        ("a weight lacks", EncoderError, "the checkpoint has no decoder.lm_heads.1.weight"),
        ("other sizes", EncoderError, "MusicgenForConditionalGeneration"),
    ],
)
def test_a_damaged_folder_is_told_in_one_line(
    plain: Any, tmp_path: Path, kind: str, error: type[AnalogonError], words: str
) -> None:
    shutil.copytree(plain.where, tmp_path / "model")
    damage(tmp_path / "model", kind)
    with pytest.raises(error) as caught:
        generate(load(f"musicgen:{tmp_path / 'model'}"), TEXT, Settings(seconds=0.2))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_nothing_is_loaded_or_said_before_the_first_take(plain: Any, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("transformers").addHandler(caplog.handler)
    try:
        generator = load(plain.name)
    finally:
        logging.getLogger("transformers").removeHandler(caplog.handler)
    assert not {"_model", "_tokenizer"} & generator.__dict__.keys()
    assert not caplog.records


def test_a_failure_within_the_model_is_one_line(plain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**inputs: Any) -> None:
        raise RuntimeError("not enough memory:\n you tried to allocate")

    monkeypatch.setattr(plain._model, "generate", fail)
    with pytest.raises(GeneratorError, match="failed: RuntimeError: not enough memory: you tried to allocate"):
        generate(plain, TEXT)
