"""Log-mel magnitudes against librosa's transform and TensorFlow's definition of the mel matrix."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from embed.logmag import LogMagnitudes


def mel_matrix(bins: int, spectrum: int, rate: int, lowest: float, highest: float) -> npt.NDArray[np.float64]:
    """As ``tf.signal.linear_to_mel_weight_matrix`` is documented, one triangle after another."""

    def mel(frequency: float) -> float:
        return 2595.0 * math.log10(1.0 + frequency / 700.0)

    matrix = np.zeros((spectrum, bins))
    step = (mel(highest) - mel(lowest)) / (bins + 1)
    for band in range(bins):
        left, centre, right = (mel(lowest) + (band + corner) * step for corner in range(3))
        for line in range(1, spectrum):  # the first is direct current, which has no place on the mel scale
            at = mel(line * rate / 2 / (spectrum - 1))
            if left < at <= centre:
                matrix[line, band] = (at - left) / (centre - left)
            elif centre < at < right:
                matrix[line, band] = (right - at) / (right - centre)
    return matrix


@pytest.mark.parametrize(
    "mel",
    [
        LogMagnitudes(),
        LogMagnitudes(bins=40, lowest=60.0, highest=7800.0, floor=1e-5),
        LogMagnitudes(rate=22050, frame=512, hop=200, fft=1024, highest=10000.0),
    ],
)
def test_values_are_those_of_librosa_and_tensorflow(mel: LogMagnitudes) -> None:
    import librosa

    rng = np.random.default_rng(0)
    seconds = 3.1  # more than one block of frames
    time = np.arange(int(seconds * mel.rate)) / mel.rate
    samples = 0.3 * np.sin(2 * np.pi * 500 * time**2) + 0.01 * rng.standard_normal(len(time)) + 0.1
    samples = samples.astype(np.float32)
    # librosa puts the window in the middle of the transform; magnitudes do not depend on where it is.
    margin = (mel.fft - mel.frame) // 2
    spectra = librosa.stft(
        np.pad(samples.astype(np.float64), margin),
        n_fft=mel.fft,
        hop_length=mel.hop,
        win_length=mel.frame,
        window="hann",
        center=False,
    )
    matrix = mel_matrix(mel.bins, 1 + mel.fft // 2, mel.rate, mel.lowest, mel.highest)
    expected = np.log(np.abs(spectra).T @ matrix + mel.floor)
    found = mel(samples)
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-4
    assert np.abs(found - expected).mean() < 1e-5


def test_frames_and_samples() -> None:
    mel = LogMagnitudes()
    for samples in (0, 1, 399, 400, 559, 560, 561, 16000):
        frames = mel.frames(samples)
        assert mel(np.zeros(samples, dtype=np.float32)).shape == (frames, 64)
        starts = [start for start in range(0, samples, mel.hop) if start + mel.frame <= samples]
        assert frames == len(starts)
    for count in (1, 2, 96, 192):
        assert mel.frames(mel.samples(count)) == count
        assert mel.frames(mel.samples(count) - 1) == count - 1


def test_silence_is_the_floor() -> None:
    assert np.allclose(LogMagnitudes()(np.zeros(800, dtype=np.float32)), math.log(0.001), atol=1e-6)


def test_a_frame_does_not_depend_on_the_block_that_it_is_in() -> None:
    mel = LogMagnitudes()
    samples = np.random.default_rng(1).standard_normal(mel.samples(600)).astype(np.float32)
    whole = mel(samples)
    for frame in (0, 255, 256, 511, 599):
        start = frame * mel.hop
        assert np.abs(mel(samples[start : start + mel.frame])[0] - whole[frame]).max() < 1e-5


def test_settings_go_through_a_file() -> None:
    mel = LogMagnitudes(bins=40, highest=7000.0)
    assert LogMagnitudes.from_config(mel.to_config()) == mel
    with pytest.raises(TypeError, match="colour"):
        LogMagnitudes.from_config(mel.to_config() | {"colour": "red"})
