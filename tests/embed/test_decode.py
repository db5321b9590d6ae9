"""Decoding, each format against the signal, the picture or the text it was made from."""

from __future__ import annotations

import io
import math
import os
import resource
import struct
import time
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from PIL import Image, ImageCms
from scipy.signal import correlate, resample_poly

from embed import decode
from embed.encoder import AudioInput, VideoInput
from embed.errors import MediaError, UnsupportedModality
from embed.media import Media, Span, modalities_of
from tests.damaged import build, decompression_bomb
from tests.media_files import (
    ENCODED,
    LOSSLESS,
    LOSSY,
    RATE,
    WRITTEN,
    frame_shade,
    image_bytes,
    picture,
    signal,
    smooth_picture,
    wav_bytes,
    write_audio,
    write_picture,
    write_video,
)

WHOLE = AudioInput(RATE, window=None)


def sound(path: Path | Media, wanted: AudioInput = WHOLE, **changes: Any) -> list[Media]:
    media = path if isinstance(path, Media) else Media("audio", path=str(path))
    return list(decode.parts(media.but(**changes), audio=wanted))


def pixels(path: Path | bytes) -> np.ndarray:
    media = Media("image", data=path) if isinstance(path, bytes) else Media("image", path=str(path))
    (part,) = decode.parts(media)
    assert part.array is not None and part.array.dtype == np.uint8 and part.data is None
    return part.array


def until_damage(media: Media, **wanted: Any) -> tuple[list[Media], MediaError]:
    """The parts before the damage and the error after them; fails where there is none."""
    read = []
    with pytest.raises(MediaError) as caught:
        for part in decode.parts(media, **wanted):
            read.append(part)
    return read, caught.value


# -- sound: formats


def test_every_kind_of_file_is_compared_with_its_signal() -> None:
    assert {*LOSSLESS, *LOSSY, "wma"} == {*WRITTEN, *ENCODED}


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_sound_is_exact(tmp_path: Path, kind: str) -> None:
    samples = signal(1.0, channels=2)
    (part,) = sound(write_audio(tmp_path / f"a.{kind}", samples))
    assert part.array is not None and part.array.dtype == np.float32 and part.rate == RATE
    np.testing.assert_allclose(part.array, samples.mean(axis=1), atol=1.01 * LOSSLESS[kind], rtol=0)
    assert part.span == Span(0.0, 1.0)


@pytest.mark.parametrize("kind", [*LOSSY, "wma"])
def test_lossy_sound_is_near(tmp_path: Path, kind: str) -> None:
    samples = signal(2.0)[:, 0]
    (part,) = sound(write_audio(tmp_path / f"a.{kind}", samples[:, None]))
    assert part.array is not None
    lag = int(correlate(part.array, samples, method="fft").argmax()) - (len(samples) - 1)
    # ADTS has no place to say how long its encoder's delay is; libav drops one frame too many of WMA.
    assert lag == {"aac": 1024, "wma": -2048}.get(kind, 0)
    decoded, original = part.array[max(0, lag) :], samples[max(0, -lag) :]
    common = min(len(decoded), len(original)) - 4096
    decoded, original = decoded[2048:common], original[2048:common]
    assert abs(len(part.array) - len(samples)) <= 2048
    assert np.corrcoef(decoded, original)[0, 1] > 0.999
    gain = float(decoded @ original / (original @ original))
    assert 0.945 < gain < 1.01  # LAME turns the volume down by 5 % at this bit rate
    assert np.sqrt(np.mean((decoded - gain * original) ** 2)) < 0.015  # codecs drop the noise of 0.01 under the tone


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm"])
def test_the_sound_of_a_video(tmp_path: Path, suffix: str) -> None:
    samples = signal(2.0)
    (part,) = sound(write_video(tmp_path / f"a.{suffix}", samples=samples))
    assert part.array is not None
    assert np.corrcoef(part.array[2048:90000], samples[2048:90000, 0])[0, 1] > 0.999


@pytest.mark.parametrize("kind", ["mp3", "flac", "m4a", "opus"])
def test_the_content_decides_not_the_suffix(tmp_path: Path, kind: str) -> None:
    file = write_audio(tmp_path / f"a.{kind}", signal(1.0))
    (expected,) = sound(file)
    (renamed,) = sound(file.rename(tmp_path / "b.wav"))
    (data,) = sound(Media("audio", data=(tmp_path / "b.wav").read_bytes()))
    assert expected.array is not None and renamed.array is not None and data.array is not None
    np.testing.assert_array_equal(renamed.array, expected.array)
    np.testing.assert_array_equal(data.array, expected.array)
    assert data.data is None


def test_nothing_is_clipped(tmp_path: Path) -> None:
    samples = 4.0 * signal(0.5)
    soundfile.write(tmp_path / "loud.wav", samples, RATE, subtype="FLOAT")
    (part,) = sound(tmp_path / "loud.wav")
    assert part.array is not None
    np.testing.assert_array_equal(part.array, samples[:, 0])
    assert np.abs(part.array).max() > 1.5


# -- sound: rates, windows, spans


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 96000])
def test_resampling_from_a_stream_equals_resampling_at_once(tmp_path: Path, rate: int) -> None:
    samples = signal(7.3, rate)
    soundfile.write(tmp_path / "a.wav", samples, rate, subtype="FLOAT")
    (part,) = sound(tmp_path / "a.wav", AudioInput(16000, None))
    assert part.array is not None
    expected = soxr.resample(samples[:, 0], rate, 16000, quality="HQ")
    assert len(part.array) == len(expected)
    np.testing.assert_allclose(part.array, expected, atol=1e-5, rtol=0)


def test_resampling_agrees_with_another_resampler(tmp_path: Path) -> None:
    t = np.arange(3 * 44100) / 44100
    tone = (0.5 * np.sin(2 * np.pi * 1000 * t)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", tone, 44100, subtype="FLOAT")
    (part,) = sound(tmp_path / "a.wav", AudioInput(16000, None))
    assert part.array is not None
    expected = resample_poly(tone.astype(np.float64), 160, 441)
    np.testing.assert_allclose(part.array[1000:-1000], expected[1000 : len(part.array) - 1000], atol=2e-3)


@pytest.mark.parametrize(
    ("seconds", "window", "hop", "starts"),
    [
        (0.5, 1.0, None, [0.0]),
        (1.0, 1.0, None, [0.0]),
        (1.009, 1.0, None, [0.0]),  # 9 ms uncovered: less than 1/100 of the window
        (1.011, 1.0, None, [0.0, 0.011]),
        (3.0, 1.0, None, [0.0, 1.0, 2.0]),
        (3.4, 1.0, None, [0.0, 1.0, 2.0, 2.4]),
        (3.4, 1.0, 0.5, [0.0, 0.5, 1.0, 1.5, 2.0, 2.4]),
        (6.2, 1.0, 2.5, [0.0, 2.5, 5.0, 5.2]),
        (2.5, 0.7, 0.3, [0.0, 0.3, 0.6, 0.9, 1.2, 1.5, 1.8]),
        (3.0, None, None, [0.0]),
    ],
)
def test_windows(seconds: float, window: float | None, hop: float | None, starts: list[float], tmp_path: Path) -> None:
    samples = signal(seconds, 16000)[:, 0]
    soundfile.write(tmp_path / "a.wav", samples, 16000, subtype="FLOAT")
    size = len(samples) if window is None else min(len(samples), round(window * 16000))
    in_memory = Media("audio", array=np.stack([samples, samples], axis=1), rate=16000)
    for read in (sound(tmp_path / "a.wav", AudioInput(16000, window, hop)),
                 sound(in_memory, AudioInput(16000, window, hop))):  # fmt: skip
        assert [part.span.start for part in read if part.span] == pytest.approx(starts)
        for part, start in zip(read, starts, strict=True):
            first = round(start * 16000)
            assert part.array is not None and part.span is not None and part.rate == 16000
            np.testing.assert_array_equal(part.array, samples[first : first + size])
            assert part.span.end == pytest.approx((first + size) / 16000)


@pytest.mark.parametrize("kind", ["float.wav", "flac", "ogg", "mp3", "m4a"])
@pytest.mark.parametrize("rate", [RATE, 16000])
def test_a_span_is_a_slice_of_the_whole(tmp_path: Path, kind: str, rate: int) -> None:
    file = write_audio(tmp_path / f"a.{kind}", signal(6.0))
    (whole,) = sound(file, AudioInput(rate, None))
    assert whole.array is not None
    for span in (Span(0.0, 0.5), Span(2.345, 3.3), Span(4.75, 5.5), Span(5.5, 99.0)):
        (part,) = sound(file, AudioInput(rate, None), span=span)
        expected = whole.array[round(span.start * rate) : round(span.end * rate)]
        assert part.array is not None and part.span is not None
        np.testing.assert_allclose(part.array, expected, atol=1e-5, rtol=0)
        assert part.span.start == pytest.approx(span.start)
        assert part.span.end == pytest.approx(span.start + len(expected) / rate)
    windows = sound(file, AudioInput(rate, 0.5), span=Span(1.0, 2.25))
    assert [part.span for part in windows] == [Span(1.0, 1.5), Span(1.5, 2.0), Span(1.75, 2.25)]


def test_a_span_beyond_the_end(tmp_path: Path) -> None:
    file = write_audio(tmp_path / "a.wav", signal(1.0))
    with pytest.raises(MediaError, match="holds no samples from 3 s to 4 s"):
        sound(file, span=Span(3.0, 4.0))


def test_samples_in_memory() -> None:
    ready = Media("audio", array=signal(1.0, 16000)[:, 0], rate=16000)
    (part,) = decode.parts(ready, audio=AudioInput(16000, 1.0))
    assert part is ready
    loud = signal(1.0, 44100, channels=3)
    (part,) = sound(Media("audio", array=loud.astype(np.float64), rate=44100), AudioInput(16000, None))
    assert part.array is not None
    np.testing.assert_allclose(part.array, soxr.resample(loud.mean(1), 44100, 16000), atol=1e-5)
    (part,) = sound(Media("audio", array=np.array([[16384, -16384], [32767, 32767]], np.int16), rate=16000),
                    AudioInput(16000, None))  # fmt: skip
    assert part.array is not None
    np.testing.assert_allclose(part.array, [0.0, 32767 / 32768])
    for bad, reason in (
        (np.zeros(0), "no samples"),
        (np.array([0, np.nan]), "not finite"),
        (np.zeros((1, 1, 1)), "shape"),
    ):
        with pytest.raises(MediaError, match=reason):
            sound(Media("audio", array=bad, rate=8000), AudioInput(16000))


def test_a_long_recording_never_sits_in_memory(tmp_path: Path) -> None:
    seconds = 15 * 60
    with soundfile.SoundFile(tmp_path / "long.flac", "w", 8000, 1, "PCM_16") as file:
        minute = signal(60.0, 8000)
        for _ in range(seconds // 60):
            file.write(minute)
    tracemalloc.start()
    try:
        count = sum(1 for _ in decode.parts(Media("audio", path=str(tmp_path / "long.flac")), audio=AudioInput(16000)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == seconds // 10
    assert peak < 12e6  # the whole would be 58 MB


# -- sound: damage


def test_a_wav_that_promises_more(tmp_path: Path) -> None:
    body = (np.arange(16000) % 100).astype("<i2").tobytes()
    read, error = until_damage(Media("audio", data=wav_bytes(body, promised=160000)), audio=AudioInput(16000, None))
    assert error.reason == "cut short: 1.0 s of 5.0 s could be read"
    assert read[0].array is not None
    np.testing.assert_array_equal(read[0].array, (np.arange(16000) % 100) / np.float32(32768))


def test_a_wav_written_to_a_pipe_is_whole() -> None:
    (part,) = sound(Media("audio", data=wav_bytes(bytes(3200), promised=0xFFFFFFFF)), AudioInput(16000, None))
    assert part.array is not None and len(part.array) == 1600


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3", "opus", "aac", "webm", "wma", "aiff"])
def test_what_comes_before_a_cut_is_read(tmp_path: Path, kind: str) -> None:
    file = write_audio(tmp_path / f"a.{kind}", signal(6.0))
    (whole,) = sound(file)
    content = file.read_bytes()
    read, error = until_damage(Media("audio", data=content[: len(content) // 2]), audio=AudioInput(RATE, 0.5))
    assert "cut short" in error.reason or kind == "flac"
    assert whole.array is not None and len(read) >= 4
    for part in read[:-2]:
        assert part.array is not None and part.span is not None
        first = round(part.span.start * RATE)
        np.testing.assert_allclose(part.array, whole.array[first : first + len(part.array)], atol=1e-6)


@pytest.mark.parametrize("kind", ["flac", "ogg", "opus"])
def test_one_flipped_bit_under_a_checksum_is_found(tmp_path: Path, kind: str) -> None:
    content = bytearray(write_audio(tmp_path / f"a.{kind}", signal(6.0)).read_bytes())
    content[len(content) * 3 // 4] ^= 1
    read, error = until_damage(Media("audio", data=bytes(content)), audio=AudioInput(RATE, 1.0))
    assert error.reason.startswith("damaged at 0:0") and "of 6.0 s could be read" in error.reason
    assert len(read) >= 2


def test_a_file_that_vanishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from embed.formats import files

    monkeypatch.setattr(files, "check_readable", lambda path: None)
    for modality in ("audio", "image", "text", "video"):
        with pytest.raises(MediaError, match="cannot be read: No such file"):
            list(decode.parts(Media(modality, path=str(tmp_path / "gone")), audio=WHOLE, video=VideoInput()))


def test_a_side_that_the_encoder_lacks() -> None:
    for modality in ("audio", "video"):
        with pytest.raises(UnsupportedModality, match=f"does not take {modality}"):
            list(decode.parts(Media(modality, data=b"x")))


# -- pictures


@pytest.mark.parametrize(
    ("suffix", "options"),
    [("png", {}), ("bmp", {}), ("tiff", {}), ("webp", {"lossless": True}), ("tif", {"compression": "tiff_lzw"})],
)
def test_lossless_pictures_are_exact(tmp_path: Path, suffix: str, options: dict[str, Any]) -> None:
    array = picture()
    np.testing.assert_array_equal(pixels(write_picture(tmp_path / f"a.{suffix}", array, **options)), array)


@pytest.mark.parametrize("suffix", ["jpg", "webp", "avif", "heic", "gif"])
def test_lossy_pictures_are_near(tmp_path: Path, suffix: str) -> None:
    if suffix == "heic":
        pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    array = smooth_picture()
    options = {"quality": 95} if suffix in ("jpg", "webp", "avif") else {}
    decoded = pixels(write_picture(tmp_path / f"a.{suffix}", array, **options))
    assert decoded.shape == array.shape
    assert np.abs(decoded.astype(int) - array).mean() < (20 if suffix == "gif" else 3)


def test_heic_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(MediaError, match=r"pip install 'analogon\[heif\]'"):
        pixels(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40))


TURNS = {
    1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2), 6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}  # fmt: skip


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("suffix", ["png", "webp", "jpg"])
def test_exif_orientation(tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    array = smooth_picture() if suffix == "jpg" else picture()
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {"quality": 95} if suffix == "jpg" else {}
    write_picture(tmp_path / f"a.{suffix}", array, exif=exif, **options)
    stored = pixels(write_picture(tmp_path / f"b.{suffix}", array, **options))
    np.testing.assert_array_equal(pixels(tmp_path / f"a.{suffix}"), TURNS[orientation](stored))


def test_a_broken_exif_block_costs_nothing() -> None:
    array = smooth_picture()
    broken = image_bytes(array, "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff garbage")
    np.testing.assert_array_equal(pixels(broken), pixels(image_bytes(array, "JPEG")))


def over_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None].astype(np.float64) / 255
    return np.floor(rgb * share + 255 * (1 - share) + 0.5)


def test_alpha_over_white() -> None:
    rgba = np.random.default_rng(1).integers(0, 256, (32, 48, 4), dtype=np.uint8)
    for form, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True}), ("TIFF", {})):
        decoded = pixels(image_bytes(rgba, form, **options))
        np.testing.assert_array_equal(decoded, over_white(rgba[..., :3], rgba[..., 3]))
    grey = rgba[..., :2]
    buffer = io.BytesIO()
    Image.merge("LA", [Image.fromarray(grey[..., 0]), Image.fromarray(grey[..., 1])]).save(buffer, "PNG")
    expected = over_white(np.repeat(grey[..., :1], 3, axis=2), grey[..., 1])
    np.testing.assert_array_equal(pixels(buffer.getvalue()), expected)


def test_transparent_palette_and_key_colour() -> None:
    indices = np.array([[0, 1], [2, 3]], dtype=np.uint8)
    image = Image.fromarray(indices, "P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120])
    for transparency, alpha in ((2, [255, 255, 0, 255]), (bytes([0, 128, 255, 255]), [0, 128, 255, 255])):
        buffer = io.BytesIO()
        image.save(buffer, "PNG", transparency=transparency)
        palette = np.arange(10, 130, 10).reshape(2, 2, 3)
        np.testing.assert_array_equal(pixels(buffer.getvalue()), over_white(palette, np.reshape(alpha, (2, 2))))
    buffer = io.BytesIO()
    Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)).save(buffer, "PNG", transparency=(4, 5, 6))
    np.testing.assert_array_equal(pixels(buffer.getvalue()), [[[1, 2, 3], [255, 255, 255]]])


def test_deep_grey_is_scaled_not_clipped() -> None:
    deep = np.linspace(0, 65535, 48 * 32).reshape(32, 48).astype(np.uint16)
    expected = np.repeat(np.rint(deep / 257)[..., None], 3, axis=2)
    for form in ("PNG", "TIFF"):
        np.testing.assert_array_equal(pixels(image_bytes(deep, form)), expected)
    floats = np.linspace(0, 1, 48 * 32, dtype=np.float32).reshape(32, 48)
    np.testing.assert_array_equal(pixels(image_bytes(floats, "TIFF"))[..., 0], np.rint(floats.astype(float) * 255))
    floats[3, 3] = np.nan
    with pytest.raises(MediaError, match="not finite"):
        pixels(image_bytes(floats, "TIFF"))


def test_other_modes(tmp_path: Path) -> None:
    rgb = Image.fromarray(picture())
    for mode in ("1", "L", "P", "CMYK"):
        image = rgb.convert(mode)
        buffer = io.BytesIO()
        image.save(buffer, "TIFF")
        np.testing.assert_array_equal(pixels(buffer.getvalue()), np.asarray(image.convert("RGB")))


def test_a_colour_profile_is_applied() -> None:
    """A profile with red and blue exchanged exchanges them; sRGB itself and a broken one change nothing."""
    array = smooth_picture()
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    np.testing.assert_array_equal(pixels(image_bytes(array, "PNG", icc_profile=bytes(profile))), array)
    np.testing.assert_array_equal(pixels(image_bytes(array, "PNG", icc_profile=b"no profile")), array)
    count = struct.unpack_from(">I", profile, 128)[0]
    for at in range(132, 132 + 12 * count, 12):
        name = bytes(profile[at : at + 4])
        profile[at : at + 4] = {b"rXYZ": b"bXYZ", b"bXYZ": b"rXYZ", b"desc": b"zzzz"}.get(name, name)
    decoded = pixels(image_bytes(array, "PNG", icc_profile=bytes(profile)))
    assert np.abs(decoded.astype(int) - array[..., ::-1]).max() <= 2


def test_first_frame_of_an_animation() -> None:
    frames = [Image.fromarray(np.full((8, 8, 3), shade, np.uint8)) for shade in (200, 50, 100)]
    for form, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})):
        buffer = io.BytesIO()
        frames[0].save(buffer, form, save_all=True, append_images=frames[1:], **options)
        np.testing.assert_array_equal(pixels(buffer.getvalue()), np.full((8, 8, 3), 200))


def test_a_decompression_bomb_is_never_decoded(recwarn: pytest.WarningsRecorder) -> None:
    bomb = decompression_bomb()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    with pytest.raises(MediaError, match=r"a decompression bomb\? 50,000 x 50,000 pixels are more than 200 million"):
        pixels(bomb)
    assert time.monotonic() - started < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB
    assert not recwarn.list


def test_the_bomb_is_a_valid_picture() -> None:
    small = decompression_bomb(side=1500)
    np.testing.assert_array_equal(pixels(small), np.zeros((1500, 1500, 3)))
    at, compressed = 33, b""
    length = struct.unpack_from(">I", small, at)[0]
    compressed = small[at + 8 : at + 8 + length]
    assert zlib.decompress(compressed) == bytes(1500 * 1501)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "AVIF"])
def test_a_cut_picture_is_an_error(form: str, capfd: pytest.CaptureFixture[str], recwarn: Any) -> None:
    content = image_bytes(picture(200, 150) if form != "AVIF" else smooth_picture(200, 150), form)
    for share in (0.3, 0.6, 0.9):
        with pytest.raises(MediaError, match="cut short|damaged"):
            pixels(content[: int(len(content) * share)])
    assert capfd.readouterr().err == "" and not recwarn.list


# -- video


def shades(part: Media) -> list[float]:
    assert part.array is not None
    return part.array.astype(float).mean(axis=(1, 2, 3)).tolist()


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm"])
def test_video_frames_are_those_at_the_centres(tmp_path: Path, suffix: str) -> None:
    file = write_video(tmp_path / f"a.{suffix}", 3.0, fps=10, samples=signal(3.0))
    read = list(decode.parts(Media("video", path=str(file)), video=VideoInput(5, 1.0, 0.8, rate=16000)))
    assert [p.span.start for p in read if p.span] == pytest.approx([0.0, 0.8, 1.6, 2.0])
    whole = soxr.resample(signal(3.0)[:, 0], RATE, 16000)
    for part in read:
        assert part.array is not None and part.array.shape == (5, 48, 64, 3) and part.span is not None
        expected = [frame_shade(int((part.span.start + (i + 0.5) * 0.2) * 10 + 1e-6)) for i in range(5)]
        np.testing.assert_allclose(shades(part), expected, atol=3)
        assert part.sound is not None and part.rate == 16000 and len(part.sound) == 16000
        first = round(part.span.start * 16000)
        assert np.corrcoef(part.sound, whole[first : first + 16000])[0, 1] > 0.99


def test_a_span_of_a_video(tmp_path: Path) -> None:
    file = write_video(tmp_path / "a.mp4", 3.0)
    (part,) = decode.parts(Media("video", path=str(file), span=Span(1.0, 2.0)), video=VideoInput(2, 5.0))
    np.testing.assert_allclose(shades(part), [frame_shade(12), frame_shade(17)], atol=3)
    assert part.span == Span(1.0, 2.0) and part.sound is None


def test_more_frames_asked_for_than_there_are(tmp_path: Path) -> None:
    file = write_video(tmp_path / "a.mp4", 0.3, fps=10)
    (part,) = decode.parts(Media("video", path=str(file)), video=VideoInput(6, None, rate=16000))
    np.testing.assert_allclose(shades(part), [frame_shade(n) for n in (0, 0, 1, 1, 2, 2)], atol=3)


def test_large_video_frames_are_scaled_down(tmp_path: Path) -> None:
    file = write_video(tmp_path / "a.mp4", 0.2, size=(2160, 1080))
    (part,) = decode.parts(Media("video", path=str(file)), video=VideoInput(1))
    assert part.array is not None and part.array.shape == (1, 540, 1080, 3)


@pytest.mark.parametrize(("turn", "dark"), [(1, "top"), (-1, "bottom")])
def test_a_turned_video_is_upright(tmp_path: Path, turn: int, dark: str) -> None:
    """A telephone's portrait: the track header's matrix says a quarter turn.

    It maps (x, y) to (a x + c y + tx, b x + d y + ty), y pointing down (ISO/IEC 14496-12, 6.2.2): with b = 1 and c = -1
    the left edge comes to lie on top.
    """
    content = write_video(tmp_path / "a.mp4", 0.5, dark_left=True).read_bytes()
    straight = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    shift = (48 << 16, 0) if turn == 1 else (0, 64 << 16)
    quarter = struct.pack(">9i", 0, turn << 16, 0, -turn << 16, 0, 0, *shift, 1 << 30)
    at = content.index(straight, content.index(b"tkhd"))
    (part,) = decode.parts(Media("video", data=content[:at] + quarter + content[at + 36 :]), video=VideoInput(1))
    assert part.array is not None and part.array.shape == (1, 64, 48, 3)
    top, bottom = part.array[0, :30].mean(), part.array[0, 34:].mean()
    assert (top < bottom - 20) if dark == "top" else (bottom < top - 20)


def test_video_without_pictures(tmp_path: Path) -> None:
    file = write_audio(tmp_path / "a.m4a", signal(1.0)).rename(tmp_path / "a.mp4")
    with pytest.raises(MediaError, match="holds no pictures"):
        list(decode.parts(Media("video", path=str(file)), video=VideoInput()))
    silent = write_video(tmp_path / "b.mp4")
    with pytest.raises(MediaError, match="holds no sound"):
        sound(silent)


def test_a_cut_video_gives_what_comes_before(tmp_path: Path) -> None:
    content = write_video(tmp_path / "a.mp4", 6.0, size=(320, 240), samples=signal(6.0), faststart=True).read_bytes()
    media = Media("video", data=content[: len(content) * 2 // 3])
    read, error = until_damage(media, video=VideoInput(4, 1.0))
    assert error.reason.startswith("cut short") and "of 6.0 s could be read" in error.reason
    assert len(read) >= 2
    expected = [frame_shade(n) for n in (1, 3, 6, 8)]
    np.testing.assert_allclose(shades(read[0]), expected, atol=3)


# -- text


def passages(content: bytes, span: Span | None = None) -> list[Media]:
    return list(decode.parts(Media("text", data=content, span=span)))


def test_text_in_memory_passes_through() -> None:
    media = Media.from_text("rain on a tin roof")
    assert list(decode.parts(media)) == [media]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_short_text(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes("Regen fällt\r\nauf ein Blechdach. 雨\n".encode(encoding))
    (part,) = decode.parts(Media("text", path=str(file)))
    assert (part.text, part.span, part.path) == ("Regen fällt\nauf ein Blechdach. 雨", Span(1, 2), str(file))


def test_a_long_text_becomes_passages() -> None:
    sentences = [f"Sentence number {n} speaks of rain on roof number {n * n}." for n in range(120)]
    lines: list[str] = []
    for n in range(0, 120, 6):
        lines += [" ".join(sentences[n : n + 3]), " ".join(sentences[n + 3 : n + 6]), ""]
    read = passages("\n".join(lines).encode())
    assert len(read) > 5
    assert [word for part in read for word in part.text.split()] == " ".join(lines).split()
    for part in read:
        assert part.span is not None and part.text is not None and len(part.text) <= 1000
        assert part.text.split("\n") == lines[int(part.span.start) - 1 : int(part.span.end)]
        assert part.text.endswith(".")
    assert min(len(part.text) for part in read[:-1]) > 500


def test_one_long_paragraph_is_cut_between_sentences() -> None:
    sentences = [f"Sentence number {n} speaks of rain!" for n in range(100)]
    read = passages(" ".join(sentences).encode())
    assert " ".join(part.text for part in read) == " ".join(sentences)
    assert all(part.text.endswith("!") and len(part.text) <= 1000 and part.span == Span(1, 1) for part in read)
    words = passages(("word " * 1000).encode())
    assert all(len(part.text) <= 1000 and part.text.replace("word", "").strip() == "" for part in words)
    assert "".join(part.text for part in passages(b"x" * 2500)) == "x" * 2500


def test_lines_of_a_text() -> None:
    (part,) = passages(b"one\ntwo\nthree\nfour\n", Span(2, 3))
    assert (part.text, part.span) == ("two\nthree", Span(2, 3))
    with pytest.raises(MediaError, match="holds no text in those lines"):
        passages(b"one\ntwo", Span(7, 9))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b" \n\t ", "holds no text"),
        (b"one\ntwo\nth\xe9", r"is not UTF-8 text \(line 3\): save it as UTF-8"),
        (b"a\0b", "is not text"),
        (b"\xff\xfea", "is not UTF-16 text"),
        (image_bytes(picture(), "PNG"), "is not text but a PNG picture"),
    ],
)
def test_what_is_not_text(content: bytes, reason: str) -> None:
    with pytest.raises(MediaError, match=reason):
        passages(content)


# -- facts


@pytest.mark.parametrize("kind", [*WRITTEN, *ENCODED])
def test_facts_of_sound(tmp_path: Path, kind: str) -> None:
    file = write_audio(tmp_path / f"a.{kind}", signal(2.0, channels=2))
    known = decode.facts(Media("audio", path=str(file)))
    assert known["duration"] == pytest.approx(2.0, abs=0.0 if kind in LOSSLESS else 0.1)
    assert (known["sample_rate"], known["channels"], known["bytes"]) == (RATE, 2, file.stat().st_size)
    last = kind.split(".")[-1]
    assert known["format"] == {"m4a": "mp4", "mka": "mkv", "opus": "ogg"}.get(last, last)


def test_facts_of_the_others(tmp_path: Path) -> None:
    file = write_picture(tmp_path / "a.jpg", picture(40, 30))
    size = file.stat().st_size
    assert decode.facts(Media("image", path=str(file))) == {"width": 40, "height": 30, "format": "jpeg", "bytes": size}
    file = write_video(tmp_path / "a.mp4", 2.0, fps=25, samples=signal(2.0, channels=2))
    assert decode.facts(Media("video", path=str(file))) == {
        "duration": 2.0, "width": 64, "height": 48, "fps": 25.0, "sample_rate": RATE, "channels": 2,
        "format": "mp4", "bytes": file.stat().st_size,
    }  # fmt: skip
    assert decode.facts(Media("text", data="zwölf\nBoxer\n".encode())) == {"characters": 12, "lines": 2, "bytes": 13}
    assert decode.facts(Media("audio", array=np.zeros(8000, np.float32), rate=16000)) == {
        "duration": 0.5, "sample_rate": 16000, "channels": 1
    }  # fmt: skip


# -- damage of every kind


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return build(tmp_path_factory.mktemp("damaged"), 300, seed=0)


def test_the_builder(damaged: dict[str, str], tmp_path: Path) -> None:
    assert len(damaged) == 300 == len(os.listdir(Path(next(iter(damaged))).parent))
    regular = [path for path in damaged if os.path.isfile(path) and os.path.getsize(path)]
    assert len({Path(path).read_bytes() for path in regular}) == len(regular)
    again = build(tmp_path, 300, seed=0)
    assert list(again.values()) == list(damaged.values())


@pytest.mark.timeout(120)
def test_no_damaged_file_passes_for_whole(
    damaged: dict[str, str], capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    slowest = 0.0
    for path, kind in damaged.items():
        for modality in modalities_of(path):
            if (modality, Path(path).suffix) == ("video", ".webm"):
                continue  # the builder's webm files hold sound only
            started = time.monotonic()
            _, error = until_damage(
                Media(modality, path=path), audio=AudioInput(16000, 1.0), video=VideoInput(4, 1.0, rate=16000)
            )
            slowest = max(slowest, time.monotonic() - started)
            assert error.name == path and "\n" not in str(error) and len(error.reason) > 7, kind
            try:
                known = decode.facts(Media(modality, path=path))
            except MediaError:
                continue
            assert all(isinstance(value, str) or math.isfinite(value) for value in known.values())
    assert slowest < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000  # KiB
    captured = capfd.readouterr()
    assert captured.err == captured.out == "" and not recwarn.list


@pytest.mark.timeout(120)
def test_random_damage_never_crashes(tmp_path: Path) -> None:
    """Bytes changed anywhere, where nothing need notice: whatever comes out is finite or a MediaError."""
    rng = np.random.default_rng(0)
    files = [write_audio(tmp_path / f"a.{kind}", signal(0.5)) for kind in ("wav", "flac", "ogg", "mp3", "m4a", "webm")]
    files += [write_video(tmp_path / "a.mkv", 0.5), write_picture(tmp_path / "a.tiff", picture())]
    files += [write_picture(tmp_path / f"a.{suffix}", picture()) for suffix in ("jpg", "gif", "webp")]
    for file in files:
        modality = modalities_of(file)[-1] if file.suffix == ".mkv" else (modalities_of(file) or ("audio",))[0]
        content = np.frombuffer(file.read_bytes(), np.uint8)
        for _ in range(12):
            damaged = content.copy()
            damaged[rng.integers(0, len(content), 5)] = rng.integers(0, 256, 5)
            try:
                media = Media(modality, data=damaged.tobytes())
                for part in decode.parts(media, audio=AudioInput(16000, 1.0), video=VideoInput(2)):
                    assert part.array is not None and np.isfinite(part.array).all()
            except MediaError as error:
                assert "\n" not in error.reason


# -- real recordings


def test_real_files_are_whole(shared: Path) -> None:
    """Every twentieth of the real recordings, in full, against libsndfile alone."""
    files = sorted(
        [*(shared / "data/esc10").rglob("*.ogg"), *(shared / "data/sonic-pi").rglob("*.flac"),
         *(shared / "data/fsdd").rglob("*.wav"), *(shared / "data/recordings").rglob("*.ogg")]
    )[::20]  # fmt: skip
    assert len(files) > 100
    for file in files:
        samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
        (part,) = sound(file, AudioInput(rate, None))
        assert part.array is not None
        np.testing.assert_allclose(part.array, samples.mean(axis=1), atol=1e-6)
