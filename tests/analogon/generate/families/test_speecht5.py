"""speecht5 against transformers' own calls on tiny checkpoints, and Griffin-Lim against what it inverts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

from analogon.engines.generator import Settings, generate
from analogon.generate.families.speecht5 import griffin_lim
from analogon.generate.loading import load
from analogon.prompts import Prompt
from analogon.voices import SPEECHBRAIN, Voice
from embed.errors import AnalogonError, EncoderError, MissingPackage, ModelNotFound, SpaceMismatch, UsageError
from embed.media import Media
from embed.space import Space, unit
from tests.analogon.generate.families import tiny_speecht5
from tests.analogon.generate.families.tiny_speecht5 import DIM, HOP, RATE, SPEECH_POSITIONS
from tests.embed.encoders import tiny_xvector

pytest.importorskip("sentencepiece", reason="SpeechT5's tokenizer needs sentencepiece")

TEXT = "rain on a tin roof"
WAVLM = Space("xvector:wavlm", "wavlm", "16 kHz", DIM)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("speecht5")
    tiny_speecht5.save(made / "tts")
    tiny_speecht5.save(made / "vc", converts=True)
    tiny_speecht5.hifigan(made / "one")
    tiny_speecht5.hifigan(made / "other", seed=1)
    return made


@pytest.fixture(scope="module")
def speaks(folder: Path) -> Any:
    return load(f"speecht5:{folder / 'tts'}", vocoder=str(folder / "one"))


@pytest.fixture(scope="module")
def converts(folder: Path) -> Any:
    return load(f"speecht5:{folder / 'vc'}", vocoder=str(folder / "one"))


def row(seed: int = 0, dim: int = DIM) -> Any:
    return unit(np.random.default_rng(seed).normal(size=(1, dim)))[0]


def kept(*spaces: Space, seed: int = 0) -> Voice:
    return Voice("narrator", {space: row(seed, space.dim) for space in spaces or (SPEECHBRAIN,)})


def noise(seconds: float, rate: int = RATE) -> Media:
    array = np.random.default_rng(3).normal(size=round(seconds * rate)) * 0.1
    return Media("audio", array=array.astype(np.float32), rate=rate)


def theirs(generator: Any, inputs: dict[str, Any], vector: Any, seed: int, **options: Any) -> Any:
    """What transformers makes of the same folders and seed, its vocoder given to its own call."""
    from transformers import SpeechT5ForSpeechToSpeech, SpeechT5ForTextToSpeech, SpeechT5HifiGan

    kind = SpeechT5ForSpeechToSpeech if generator.converts else SpeechT5ForTextToSpeech
    model = kind.from_pretrained(generator.where, dtype=torch.float32).eval()
    vocoder = SpeechT5HifiGan.from_pretrained(generator.vocoder_folder, dtype=torch.float32).eval()
    values = inputs["input_values" if generator.converts else "input_ids"]
    torch.manual_seed(seed)
    with torch.no_grad():
        made = model.generate_speech(values, torch.from_numpy(vector)[None], vocoder=vocoder, **options)
    return made.numpy()


def spoken(generator: Any, text: str = TEXT, seed: int = 0, vector: Any = None, **options: Any) -> Any:
    from transformers import SpeechT5Tokenizer

    inputs = SpeechT5Tokenizer.from_pretrained(generator.where, normalize=True)(text, return_tensors="pt")
    return theirs(generator, inputs, row() if vector is None else vector, seed, **options)


def made(generator: Any, text: str = TEXT, voice: Any = None, **settings: Any) -> Any:
    return generator.make(Prompt(text), Settings(voice=voice or kept(), **settings)).array


# More would not fit into the decoder's positions, of which the tiny ones have few.
FITS: dict[str, Any] = {"maxlenratio": 2.0}


@pytest.mark.parametrize("text", [TEXT, "it's 42 cats", "é", "a"])
def test_speech_is_that_of_transformers(folder: Path, text: str) -> None:
    generator = load(f"speecht5:{folder / 'tts'}", vocoder=str(folder / "one"), **FITS)
    expected = spoken(generator, text, seed=7, **FITS)
    ours = made(generator, text, seed=7)
    assert ours.dtype == np.float32 and np.array_equal(ours, expected)
    assert np.abs(expected).max() > 0.01 and len(expected) % HOP == 0


@pytest.mark.parametrize("seconds", [0.025, 0.3])
def test_a_conversion_is_that_of_transformers(folder: Path, seconds: float) -> None:
    from transformers import SpeechT5FeatureExtractor

    generator = load(f"speecht5:{folder / 'vc'}", vocoder=str(folder / "one"), **FITS)
    guide = noise(seconds)
    extractor = SpeechT5FeatureExtractor.from_pretrained(folder / "vc")
    inputs = extractor(audio=guide.array, sampling_rate=RATE, return_tensors="pt")
    expected = theirs(generator, inputs, row(), seed=5, **FITS)
    assert np.array_equal(made(generator, "", guide=guide, seed=5), expected)


def test_a_sample_of_full_scale_is_no_padding(converts: Any) -> None:
    """transformers makes its mask of the samples that are not ``pad_token_id``, which is 1."""
    guide = noise(0.3)
    assert guide.array is not None
    loud = guide.array.copy()
    loud[500:3000] = 1.0
    almost = np.minimum(loud, np.float32(1 - 1e-6))
    ours = made(converts, "", guide=guide.but(array=loud))
    again = made(converts, "", guide=guide.but(array=almost))
    assert ours.shape == again.shape and np.allclose(ours, again, atol=1e-3)


def test_a_guide_of_another_rate_is_resampled(converts: Any, tmp_path: Path) -> None:
    path = tmp_path / "guide.wav"
    soundfile.write(path, np.stack([noise(0.3, 44100).array] * 2, axis=1), 44100)
    took = generate(converts, "", Settings(voice=kept(), guide=Media.from_path(path)))
    assert took.media.rate == RATE and took.remarks == ()


def test_it_never_runs_out_of_positions(folder: Path) -> None:
    """transformers would go on to 20 frames a character, beyond what it has positions for, and fail."""
    where, vocoder = str(folder / "tts"), str(folder / "one")
    endless = load(f"speecht5:{where}", vocoder=vocoder, threshold=1.0, minlenratio=19.0)
    with pytest.raises(RuntimeError):
        spoken(endless, minlenratio=19.0)
    take = made(endless)
    assert SPEECH_POSITIONS * 2 - 2 <= len(take) / HOP <= SPEECH_POSITIONS * 2


def test_a_long_guide_is_heard_as_far_as_positions_go(converts: Any) -> None:
    guide = noise(1.5)
    room = SPEECH_POSITIONS * 2 * HOP / RATE
    took = generate(converts, "", Settings(voice=kept(), guide=guide))
    assert took.remarks == (f"{converts.name} hears the first {room:g} s of audio in memory, of 1.5 s",)
    assert guide.array is not None
    first = guide.but(array=guide.array[: round(room * RATE)])
    assert np.array_equal(took.media.array, generate(converts, "", Settings(voice=kept(), guide=first)).media.array)


def test_conversion_needs_a_recording_and_reads_no_words(converts: Any) -> None:
    assert not converts.speaks and converts.abilities == {"voice", "guide"}
    with pytest.raises(UsageError, match="converts a recording: give one as the guide"):
        generate(converts, "", Settings(voice=kept()))
    with pytest.raises(UsageError, match="needs a recording for a guide, not image"):
        picture = Media("image", array=np.zeros((4, 4, 3), np.uint8))
        generate(converts, "", Settings(voice=kept(), guide=picture))
    with pytest.raises(UsageError, match="too short to be converted: less than 400 samples"):
        generate(converts, "", Settings(voice=kept(), guide=noise(0.02)))
    took = generate(converts, "hello", Settings(voice=kept(), guide=noise(0.1)))
    assert took.remarks == (f"{converts.name} speaks what its guide says: the words of the prompt play no part",)


def test_text_to_speech_takes_no_guide_and_no_length(speaks: Any) -> None:
    assert speaks.speaks and speaks.abilities == {"voice"}
    with pytest.raises(UsageError, match="takes no guide; it takes voice"):
        generate(speaks, TEXT, Settings(voice=kept(), guide=noise(0.1)))
    took = generate(speaks, TEXT, Settings(voice=kept(), seconds=3))
    assert took.remarks == (f"{speaks.name} cannot be told how long a take shall be",)
    assert took.media.rate == RATE


def test_a_seed_decides_and_the_global_generator_stays(speaks: Any) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = (made(speaks, seed=seed) for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes() != other.tobytes()
    assert torch.equal(torch.get_rng_state(), before)
    fresh = load(speaks.name, vocoder=speaks.vocoder)
    assert np.array_equal(made(fresh, seed=1), first)


# -- text --------------------------------------------------------------------------------------------------------------


def test_numbers_are_spoken_and_unknown_characters_told(speaks: Any) -> None:
    voice = kept()
    for text, words in (("42 cats", "forty two cats"), ("0", "zero"), ("ﬁsh\non  ice", "fish on ice")):
        assert np.array_equal(made(speaks, text, voice), made(speaks, words, voice))
    took = generate(speaks, "Café é 10", Settings(voice=voice))
    assert took.remarks == (f"{speaks.name} has no characters for some of 'Café', 'é': what it says there is up to it",)
    # The tokenizer's own words for numbers end before this one.
    assert f"some of '{'9' * 38}', '9999'" in generate(speaks, "9" * 42, Settings(voice=voice)).remarks[0]


def test_a_long_text_is_spoken_in_pieces(speaks: Any) -> None:
    text = "the quick brown fox jumps over. the lazy dog barks. rain on a roof"
    took = generate(speaks, text, Settings(voice=kept(), seed=3))
    assert took.remarks == (f"{speaks.name}: the text became 2 pieces, 0.25 s apart",)
    pauses = np.zeros(RATE // 4, np.float32)
    silent = np.flatnonzero(np.convolve((took.media.array == 0).astype(int), np.ones(len(pauses), int)) == len(pauses))
    assert len(silent) == 1
    assert np.array_equal(took.media.array[: silent[0] + 1 - len(pauses)], made(speaks, text[:31], seed=3))


@pytest.mark.parametrize("text", ["", " \n"])
def test_nothing_to_speak_is_refused(speaks: Any, text: str) -> None:
    with pytest.raises(UsageError, match="was given nothing to speak"):
        generate(speaks, text, Settings(voice=kept()))


def test_half_a_surrogate_pair_does_no_harm(speaks: Any) -> None:
    assert "?" in generate(speaks, "a\ud800b", Settings(voice=kept())).remarks[0]


def test_without_sentencepiece_it_names_the_extra(speaks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = load(speaks.name, vocoder=speaks.vocoder)
    monkeypatch.setattr("transformers.utils.is_sentencepiece_available", lambda: False)
    with pytest.raises(MissingPackage, match=r"needs the package sentencepiece: pip install 'analogon\[speecht5\]'"):
        generate(fresh, TEXT, Settings(voice=kept()))


# -- voices ------------------------------------------------------------------------------------------------------------


def test_two_voices_are_two_sounds(speaks: Any) -> None:
    first, other = made(speaks, voice=kept()), made(speaks, voice=kept(seed=1))
    shortest = min(len(first), len(other))
    assert np.abs(first[:shortest] - other[:shortest]).max() > 0.01


def test_magnitude_plays_no_part(speaks: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", row() * 50)
    file = made(speaks, voice=str(tmp_path / "x.npy"))
    assert file.shape == made(speaks).shape and np.allclose(file, made(speaks), atol=1e-5)
    assert generate(speaks, TEXT, Settings(voice=str(tmp_path / "x.npy"))).remarks == ()


def test_without_a_voice_it_says_how_to_get_one(speaks: Any) -> None:
    with pytest.raises(
        UsageError, match=r"a voice of 512 numbers, and none was given: `.*AddVoice\(name=NAME, files=TAKES"
    ):
        generate(speaks, TEXT)


def test_speechbrains_vector_comes_first_and_others_are_told_of(speaks: Any) -> None:
    both = Voice("narrator", {WAVLM: row(1), SPEECHBRAIN: row(0)})
    assert np.array_equal(made(speaks, voice=both), made(speaks)) and speaks.conditioning_space(both) == SPEECHBRAIN
    assert generate(speaks, TEXT, Settings(voice=both)).remarks == ()
    foreign = generate(speaks, TEXT, Settings(voice=kept(WAVLM)))
    assert np.array_equal(foreign.media.array, made(speaks)) and speaks.conditioning_space(kept(WAVLM)) == WAVLM
    assert foreign.remarks == (
        "the voice is a vector of xvector:wavlm; the published SpeechT5 learnt from those of "
        "speechbrain/spkrec-xvect-voxceleb, and only their number is the same: it may speak as somebody else",
    )


def test_a_voice_of_other_dimensions_is_refused(speaks: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a voice of 512 numbers; narrator has 256 in speaker: let an encoder"):
        made(speaks, voice=kept(Space("speaker", "w", "p", 256)))
    bad = np.full(DIM, np.nan, np.float32)
    for name, array, reason in (
        ("short", row(dim=256), r"\(256,\).*512"),
        ("zero", np.zeros(DIM), "all zeros"),
        ("nan", bad, "not finite"),
    ):
        np.save(tmp_path / f"{name}.npy", array)
        with pytest.raises(UsageError, match=reason) as caught:
            made(speaks, voice=str(tmp_path / f"{name}.npy"))
        assert "\n" not in str(caught.value)
    (tmp_path / "no.npy").write_bytes(b"no array")
    with pytest.raises(UsageError, match="cannot be read as .npy"):
        made(speaks, voice=str(tmp_path / "no.npy"))


def test_what_is_no_voice_is_refused(speaks: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nobody is neither a kept voice nor a file"):
        made(speaks, voice="nobody")
    soundfile.write(tmp_path / "a.wav", noise(0.5).array, RATE)
    with pytest.raises(UsageError, match="needs a speaker encoder of 512 numbers, as speaker_encoder=xvector"):
        made(speaks, voice=str(tmp_path / "a.wav"))


def test_a_speaker_encoder_hears_a_recording(speaks: Any, tmp_path: Path) -> None:
    import embed

    encoder = tiny_xvector.build(tmp_path / "xvector", xvector_output_dim=DIM)
    recording = tmp_path / "a.wav"
    soundfile.write(recording, noise(2).array, RATE)
    generator = load(speaks.name, vocoder=speaks.vocoder, speaker_encoder=encoder)
    heard = embed.load(encoder)
    vectors = embed.encode(heard, [Media.from_path(recording)]).array
    expected = Voice("a", {heard.space: vectors[0]})
    assert np.allclose(made(generator, voice=str(recording)), made(generator, voice=expected), atol=1e-5)
    with pytest.raises(SpaceMismatch, match="the voice narrator is kept in speechbrain"):
        made(generator, voice=kept())
    assert generator.stages[0].model == encoder


# -- steps -------------------------------------------------------------------------------------------------------------


def test_the_three_steps_are_named(speaks: Any, folder: Path) -> None:
    assert [str(step) for step in speaks.stages] == [
        "speaker encoder: that of the kept voice (a voice's recordings to 512 numbers)",
        f"synthesizer: {folder / 'tts'} (a text and these to 80 log-mel bands)",
        f"vocoder: {folder / 'one'} (the bands to sound at 16000 Hz)",
    ]
    json.dumps(speaks.identity)


def test_a_vocoder_is_swapped(speaks: Any, folder: Path) -> None:
    other = load(speaks.name, vocoder=str(folder / "other"))
    plain = load(speaks.name, vocoder="griffin-lim")
    takes = [made(generator) for generator in (speaks, other, plain)]
    assert len({len(take) for take in takes}) == 1  # the synthesizer's part is the same
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(takes[a] - takes[b]).max() > 0.01
    assert len({json.dumps(g.identity["vocoder_weights"]) for g in (speaks, other, plain)}) == 3
    assert plain.stages[2].model == "griffin-lim" and plain.rate == RATE
    assert np.array_equal(made(plain, seed=4), made(plain, seed=4))


def test_a_vocoder_of_another_rate(speaks: Any, tmp_path: Path) -> None:
    changed = tiny_speecht5.hifigan(
        tmp_path, sampling_rate=24000, upsample_rates=[4, 4, 4, 6], upsample_kernel_sizes=[8, 8, 8, 12]
    )
    take = generate(load(speaks.name, vocoder=changed), TEXT, Settings(voice=kept())).media
    assert take.rate == 24000 and take.array is not None
    assert len(take.array) * HOP == len(made(speaks)) * 384


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("config.json", None, ModelNotFound),
        ("config.json", "{", EncoderError),
        ("config.json", '{"model_type": "vits"}', EncoderError),
        ("config.json", '{"model_type": "hifigan", "model_in_dim": 40}', EncoderError),
        ("config.json", '{"model_type": "hifigan", "upsample_rates": [0], "upsample_kernel_sizes": [1]}', EncoderError),
        ("model.safetensors", None, EncoderError),
    ],
)
def test_damaged_vocoders(
    speaks: Any, folder: Path, tmp_path: Path, name: str, text: str | None, error: type[AnalogonError]
) -> None:
    where = Path(shutil.copytree(folder / "one", tmp_path / "damaged"))
    (where / name).unlink() if text is None else (where / name).write_text(text)
    with pytest.raises(error) as caught:
        made(load(speaks.name, vocoder=str(where)))
    assert "\n" not in str(caught.value) and str(where) in str(caught.value)


# -- Griffin-Lim -------------------------------------------------------------------------------------------------------


def distance(bands: Any, extractor: Any, seed: int = 0) -> float:
    """Root mean square difference in dB between log-mel bands and those of the sound that is made of them."""
    torch.manual_seed(seed)
    sound = griffin_lim(torch.from_numpy(bands), extractor).numpy()
    assert len(sound) == len(bands) * HOP
    again = extractor(audio_target=sound, sampling_rate=RATE)["input_values"][0][: len(bands)]
    floor = np.log10(10.0 ** bands.max() * 1e-4)  # 80 dB below the loudest
    return float(20 * np.sqrt(np.mean((np.maximum(again, floor) - np.maximum(bands, floor)) ** 2)))


def test_griffin_lim_gives_back_the_bands() -> None:
    from transformers import SpeechT5FeatureExtractor

    extractor = SpeechT5FeatureExtractor()
    time = np.arange(RATE) / RATE
    # Gliding harmonics that swell: neither noise nor a steady tone.
    phase = 2 * np.pi * np.cumsum(120 + 60 * time) / RATE
    sound = sum(np.sin(k * phase) / k for k in range(1, 20)) * (0.5 + 0.4 * np.sin(2 * np.pi * 3 * time)) * 0.2
    bands = extractor(audio_target=sound.astype(np.float32), sampling_rate=RATE)["input_values"][0]
    assert distance(bands, extractor) < 4.0
    shuffled = np.random.default_rng(0).permuted(bands, axis=1)
    assert distance(shuffled, extractor) > 6.0  # bands that no sound has


def test_griffin_lim_gives_back_spoken_digits(shared: Path) -> None:
    from transformers import SpeechT5FeatureExtractor

    from embed import decode
    from embed.encoder import AudioInput

    extractor = SpeechT5FeatureExtractor()
    distances = []
    for path in sorted((shared / "data" / "fsdd").glob("*.wav"))[::100]:
        (part,) = decode.parts(Media.from_path(path), audio=AudioInput(RATE, window=None))
        distances.append(distance(extractor(audio_target=part.array, sampling_rate=RATE)["input_values"][0], extractor))
    assert np.mean(distances) < 4.0


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_griffin_lim_of_a_frame_and_of_silence(frames: int) -> None:
    from transformers import SpeechT5FeatureExtractor

    for level in (-10.0, -1.0):
        sound = griffin_lim(torch.full((frames, 80), level), SpeechT5FeatureExtractor())
        assert sound.shape == (frames * HOP,) and torch.isfinite(sound).all()


# -- folders -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [{"threshold": 0}, {"threshold": 1.5}, {"threshold": float("nan")}, {"minlenratio": -1.0}, {"maxlenratio": 1e999}],
)
def test_settings_out_of_range_are_refused(speaks: Any, settings: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(settings))):
        load(speaks.name, vocoder=speaks.vocoder, **settings)


def test_settings_reach_the_model_and_its_identity(speaks: Any) -> None:
    def length(**changed: float) -> int:
        generator = load(speaks.name, vocoder=speaks.vocoder, **changed)
        assert {key: generator.identity[key] for key in changed} == changed
        return len(made(generator)) // HOP

    assert length(threshold=0.001) == 2
    assert length(threshold=0.001, minlenratio=1.0) == 20  # as many frames as tokens
    assert length(threshold=1.0, maxlenratio=0.5) == 10
    assert length(threshold=1.0) >= SPEECH_POSITIONS * 2 - 2


def test_constructing_reads_no_weights(folder: Path, tmp_path: Path) -> None:
    where = Path(shutil.copytree(folder / "tts", tmp_path / "broken"))
    (where / "model.safetensors").write_bytes(b"nothing")
    generator = load(f"speecht5:{where}", vocoder=str(folder / "one"))
    with pytest.raises(EncoderError, match="SpeechT5ForTextToSpeech cannot be loaded"):
        made(generator)


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("config.json", None, ModelNotFound),
        ("preprocessor_config.json", None, ModelNotFound),
        ("config.json", "{", EncoderError),
        ("config.json", '{"model_type": "vits"}', EncoderError),
        ("config.json", '{"model_type": "speecht5"}', EncoderError),
        (
            "config.json",
            '{"model_type": "speecht5", "architectures": ["SpeechT5ForTextToSpeech"], "num_mel_bins": "x"}',
            EncoderError,
        ),
        ("spm_char.model", None, EncoderError),
        ("spm_char.model", "no model", EncoderError),
        ("model.safetensors", None, EncoderError),
    ],
)
def test_damaged_folders_are_told_in_one_line(
    folder: Path, tmp_path: Path, name: str, text: str | None, error: type[AnalogonError]
) -> None:
    where = Path(shutil.copytree(folder / "tts", tmp_path / "damaged"))
    (where / name).unlink() if text is None else (where / name).write_text(text)
    with pytest.raises(error) as caught:
        made(load(f"speecht5:{where}", vocoder=str(folder / "one")))
    assert "\n" not in str(caught.value) and str(where) in str(caught.value)


def test_a_missing_weight_is_told(folder: Path, tmp_path: Path) -> None:
    where = Path(shutil.copytree(folder / "tts", tmp_path / "lacking"))
    weights = load_file(where / "model.safetensors")
    del weights["speech_decoder_postnet.feat_out.weight"]
    save_file(weights, where / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match=r"the checkpoint has no speech_decoder_postnet\.feat_out\.weight"):
        made(load(f"speecht5:{where}", vocoder=str(folder / "one")))


def test_a_vocoder_that_is_not_there_names_the_one_without_weights(speaks: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="vocoder=griffin-lim needs no weights"):
        load(speaks.name, vocoder=str(tmp_path / "none"))
