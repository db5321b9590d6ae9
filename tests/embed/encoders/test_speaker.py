"""speaker against Resemblyzer itself, and its mel spectrogram against librosa."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
import torch

from embed import Media, encode, load
from embed.encoders import speaker
from embed.errors import EncoderError, MissingPackage, ModelNotFound
from tests.embed.encoders import tiny_speaker

pytest.importorskip("webrtcvad", reason="webrtcvad-wheels is not installed")
librosa = pytest.importorskip("librosa")


def clip(samples: np.ndarray) -> Media:
    return Media("audio", array=samples.astype(np.float32), rate=16000)


def voices(shared: Path, names: Sequence[str]) -> list[np.ndarray]:
    read = [soundfile.read(shared / "data/fsdd" / f"{name}.wav", dtype="float32") for name in names]
    return [soxr.resample(samples, rate, 16000).astype(np.float32) for samples, rate in read]


@pytest.fixture(scope="module")
def resemblyzer() -> Any:
    return pytest.importorskip("resemblyzer", reason="resemblyzer is not installed")


@pytest.fixture(scope="module")
def reference(resemblyzer: Any) -> Any:
    return resemblyzer.VoiceEncoder("cpu", verbose=False)


@pytest.fixture(scope="module")
def encoder(resemblyzer: Any) -> speaker.SpeakerEncoder:
    return load("speaker")


def test_mel_filters_are_librosas() -> None:
    expected = librosa.filters.mel(sr=16000, n_fft=400, n_mels=40)
    np.testing.assert_allclose(speaker.mel_filters(), expected, atol=1e-8, rtol=1e-5)


@pytest.mark.parametrize("samples", [100, 25600, 30011])
def test_mel_spectrogram_is_librosas(samples: int) -> None:
    wave = np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)
    expected = librosa.feature.melspectrogram(y=wave, sr=16000, n_fft=400, hop_length=160, n_mels=40).T
    np.testing.assert_allclose(speaker.mel_spectrogram(wave), expected, rtol=1e-5, atol=1e-5 * expected.max())


def test_short_utterances_are_resemblyzers(
    shared: Path, resemblyzer: Any, reference: Any, encoder: speaker.SpeakerEncoder
) -> None:
    names = [f"{digit}_{who}_1" for digit in (0, 3, 7) for who in ("george", "jackson", "nicolas", "theo")]
    waves = voices(shared, names)
    expected = [reference.embed_utterance(resemblyzer.preprocess_wav(wave)) for wave in waves]
    given = encode(encoder, [clip(wave) for wave in waves]).array
    np.testing.assert_allclose(given, expected, atol=1e-5)
    assert (given >= 0).all()


def test_a_long_utterance_with_pauses_is_resemblyzers(
    shared: Path, resemblyzer: Any, reference: Any, encoder: speaker.SpeakerEncoder
) -> None:
    digits = voices(shared, [f"{digit}_jackson_0" for digit in range(10)])
    pause = np.random.default_rng(1).normal(0, 1e-4, 12345).astype(np.float32)
    wave = np.concatenate([samples for digit in digits for samples in (digit, pause)])
    speech = resemblyzer.preprocess_wav(wave)
    assert 3 * 25600 < len(speech) < len(wave), "the case should trim pauses and have several partial utterances"
    assert len(speaker.voiced(speaker.louder(wave))) == len(speech)
    np.testing.assert_allclose(encode(encoder, [clip(wave)]).array[0], reference.embed_utterance(speech), atol=1e-5)


@pytest.mark.parametrize("samples", [20, 25598, 25600, 34720, 44799, 44800, 60000])
def test_partial_utterances_are_resemblyzers(reference: Any, samples: int) -> None:
    wave = np.random.default_rng(samples).normal(0, 0.1, samples).astype(np.float32)
    _, slices = reference.compute_partial_slices(samples, rate=1.3, min_coverage=0.75)
    mel = librosa.feature.melspectrogram(
        y=np.pad(wave, (0, max(0, slices[-1].stop * 160 - samples))), sr=16000, n_fft=400, hop_length=160, n_mels=40
    ).T
    expected = np.stack([mel[part] for part in slices])
    np.testing.assert_allclose(speaker._partials(wave), expected, rtol=1e-5, atol=1e-5 * expected.max())


def test_without_a_voice_the_untrimmed_recording_counts(
    resemblyzer: Any, reference: Any, encoder: speaker.SpeakerEncoder
) -> None:
    rng = np.random.default_rng(0)
    hum = 0.05 * np.sin(2 * np.pi * 50 * np.arange(16000) / 16000).astype(np.float32)
    short = rng.normal(0, 0.1, 300).astype(np.float32)
    for wave in (hum, short):
        normal = resemblyzer.normalize_volume(wave, -30, increase_only=True)
        assert len(resemblyzer.audio.trim_long_silences(normal) if len(wave) >= 480 else wave[:0]) == 0
        np.testing.assert_allclose(encode(encoder, [clip(wave)]).array[0], reference.embed_utterance(normal), atol=1e-5)


def test_loudness_is_raised_to_30_dbfs_and_never_lowered() -> None:
    wave = np.random.default_rng(0).normal(0, 1e-3, 16000).astype(np.float32)
    assert 20 * np.log10(np.sqrt(np.mean(speaker.louder(wave) ** 2))) == pytest.approx(-30, abs=1e-4)
    loud = 100 * wave
    assert speaker.louder(loud) is loud


def test_silence_has_a_finite_vector(tmp_path: Path) -> None:
    encoder = load(tiny_speaker.build(tmp_path))
    row = encode(encoder, [clip(np.zeros(16000))]).array[0]
    assert np.linalg.norm(row) == pytest.approx(1, abs=1e-6)


def test_a_row_does_not_depend_on_its_batch(tmp_path: Path) -> None:
    encoder = load(tiny_speaker.build(tmp_path))
    rng = np.random.default_rng(0)
    clips = [clip(rng.normal(0, 0.1, samples)) for samples in (100, 16000, 90000, 40000)]
    together = encode(encoder, clips, batch_size=4).array
    alone = np.concatenate([encode(encoder, [one]).array for one in clips])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert np.abs(together[1] - together[2]).max() > 1e-4


def test_a_row_is_the_mean_of_the_partial_utterances(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load(tiny_speaker.build(tmp_path))
    part = encoder.prepare(clip(np.random.default_rng(0).normal(0, 0.1, 90000)))
    whole = encoder.encode_batch([part])
    monkeypatch.setattr(speaker, "CHUNK", 2)
    np.testing.assert_allclose(encoder.encode_batch([part]), whole, atol=1e-6)
    rows = np.concatenate([encoder.encode_batch([part.but(array=part.array[i : i + 1])]) for i in range(6)])
    assert len(part.array) == 6
    np.testing.assert_allclose(rows.mean(0), whole[0], atol=1e-6)


def test_loading_reads_no_weights_and_the_space_follows_them(tmp_path: Path) -> None:
    first, second = load(tiny_speaker.build(tmp_path / "a")), load(tiny_speaker.build(tmp_path / "b"))
    assert "_layers" not in vars(first)
    assert first.space == second.space
    state = torch.load(tmp_path / "b/pretrained.pt", weights_only=True)
    state["model_state"]["linear.bias"] += 1
    torch.save(state, tmp_path / "b/pretrained.pt")
    assert load(f"speaker:{tmp_path / 'b/pretrained.pt'}").space != first.space
    assert load({"family": "speaker", "model": str(tmp_path / "a/pretrained.pt"), "window": 5.0}).space != first.space


def test_what_is_no_checkpoint_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="no such file"):
        load(f"speaker:{tmp_path / 'none.pt'}")
    path = tmp_path / "bad.pt"
    tiny_speaker.build(tmp_path)
    state = torch.load(tmp_path / "pretrained.pt", weights_only=True)["model_state"]
    cases = {
        "no model_state": {"weights": 1},
        "linear.bias": {"model_state": {key: value for key, value in state.items() if key != "linear.bias"}},
        "extra.weight": {"model_state": state | {"extra.weight": torch.zeros(1)}},
        "size mismatch": {"model_state": state | {"linear.bias": torch.zeros(3)}},
        "plain weights": {"model_state": state, "code": Path("x")},
    }
    for message, content in cases.items():
        torch.save(content, path)
        with pytest.raises(EncoderError, match=message) as caught:
            encode(load(f"speaker:{path}"), [clip(np.ones(16000))])
        assert "\n" not in str(caught.value)


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = tiny_speaker.build(tmp_path)
    monkeypatch.setitem(sys.modules, "webrtcvad", None)
    with pytest.raises(MissingPackage, match=r"webrtcvad-wheels: pip install 'analogon\[speaker\]'"):
        load(name)


def test_the_weights_of_resemblyzer_are_installed_without_what_it_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """It declares webrtcvad, whose module webrtcvad-wheels brings as well, built, and in a form that imports."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    commands = r"pip install 'analogon\[speaker\]', then pip install --no-deps resemblyzer$"
    with pytest.raises(MissingPackage, match=commands):
        load("speaker")


def test_resemblyzer_itself_is_not_imported(resemblyzer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] in ("resemblyzer", "librosa")]:
        monkeypatch.delitem(sys.modules, module)
    encode(load("speaker"), [clip(np.ones(16000))])
    assert not {"resemblyzer", "librosa"} & sys.modules.keys()
