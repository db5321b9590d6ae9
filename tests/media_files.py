"""Small real files in every format, made from a known signal or a known picture."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import soundfile
from PIL import Image

RATE = 48000

# suffix: (container, codec, sample format), for what libsndfile does not write
ENCODED = {
    "m4a": ("ipod", "aac", "fltp"),
    "aac": ("adts", "aac", "fltp"),
    "mka": ("matroska", "aac", "fltp"),
    "webm": ("webm", "libopus", "flt"),
    "wma": ("asf", "wmav2", "fltp"),
    "alac.m4a": ("ipod", "alac", "s16p"),
    "av.mp3": ("mp3", "libmp3lame", "fltp"),
    "opus": ("ogg", "libopus", "flt"),
    "av.flac": ("flac", "flac", "s16"),
}
# suffix: (format, subtype) of libsndfile
WRITTEN = {
    "wav": ("WAV", "PCM_16"),
    "float.wav": ("WAV", "FLOAT"),
    "double.wav": ("WAV", "DOUBLE"),
    "24.wav": ("WAV", "PCM_24"),
    "32.wav": ("WAV", "PCM_32"),
    "u8.wav": ("WAV", "PCM_U8"),
    "rf64.wav": ("RF64", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "24.flac": ("FLAC", "PCM_24"),
    "aiff": ("AIFF", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "mp3": ("MP3", None),
}
LOSSLESS = {  # the largest error that the sample format's own steps allow
    "wav": 2**-15, "float.wav": 0.0, "double.wav": 0.0, "24.wav": 2**-23, "32.wav": 2**-24, "u8.wav": 2**-7,
    "rf64.wav": 2**-15, "flac": 2**-15, "24.flac": 2**-23, "aiff": 2**-15, "caf": 2**-15, "alac.m4a": 2**-15,
    "av.flac": 2**-15,
}  # fmt: skip
LOSSY = ("ogg", "opus", "mp3", "m4a", "aac", "mka", "webm", "wma", "av.mp3")


def signal(seconds: float = 2.0, rate: int = RATE, channels: int = 1, seed: int = 0) -> npt.NDArray[np.float32]:
    """A rising tone with noise under it, float32 (n, channels) within ±0.7: every moment of it is unlike the others."""
    t = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(seed).normal(0, 0.01, (len(t), channels))
    tone = 0.5 * np.sin(2 * np.pi * (300 * t + 150 * t**2))[:, None] / (1 + np.arange(channels))
    return (tone + noise).astype(np.float32)


def write_audio(path: Path, samples: npt.NDArray[np.float32], rate: int = RATE, kind: str | None = None) -> Path:
    """Samples (n, channels) as a file of ``kind`` (a key above), which the name gives where it is not given."""
    kind = kind or path.name.split(".", 1)[1]
    if kind in WRITTEN:
        form, subtype = WRITTEN[kind]
        soundfile.write(path, samples, rate, format=form, subtype=subtype)
        return path
    form, codec, sample_format = ENCODED[kind]
    with av.open(str(path), "w", format=form) as container:
        encode_audio(container, audio_stream(container, codec, sample_format, samples.shape[1], rate), samples)
    return path


def audio_stream(container: Any, codec: str, sample_format: str, channels: int, rate: int) -> Any:
    """A new stream of a container; all streams must exist before the first is encoded."""
    stream = container.add_stream(codec, rate=rate, layout="mono" if channels == 1 else "stereo", format=sample_format)
    stream.bit_rate = 0 if codec == "alac" else 128_000
    return stream


def encode_audio(container: Any, stream: Any, samples: npt.NDArray[np.float32]) -> None:
    """Encode samples (n, channels) into a stream."""
    context = stream.codec_context
    sample_format, rate, channels = context.format.name, context.sample_rate, samples.shape[1]
    planar = sample_format.endswith("p")
    values: npt.NDArray[Any] = np.ascontiguousarray(samples.T) if planar else samples.reshape(1, -1)
    if sample_format.startswith("s16"):
        values = np.clip(np.rint(values * 32768), -32768, 32767).astype(np.int16)
    step = 1152 if context.name == "libmp3lame" else 1024
    each = 1 if planar else channels
    for at in range(0, values.shape[1], step * each):
        block = np.ascontiguousarray(values[:, at : at + step * each])
        frame = av.AudioFrame.from_ndarray(block, format=sample_format, layout=context.layout.name)
        frame.sample_rate = rate
        frame.time_base = Fraction(1, rate)
        frame.pts = at // each
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def picture(width: int = 48, height: int = 32, seed: int = 0) -> npt.NDArray[np.uint8]:
    """uint8 (height, width, 3) of noise: no two pixels are alike, so any turn or shift shows."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth_picture(width: int = 96, height: int = 64) -> npt.NDArray[np.uint8]:
    """uint8 (height, width, 3) of gradients, which lossy codecs keep within a few steps."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // (width - 1), y * 255 // (height - 1), 255 - x * 255 // (width - 1)], -1).astype(
        np.uint8
    )


def write_picture(path: Path, pixels: npt.NDArray[Any], **options: Any) -> Path:
    """Pixels as a file in the format of its suffix; ``options`` are Pillow's."""
    if path.suffix in (".heic", ".heif"):
        import pillow_heif

        pillow_heif.from_bytes("RGB", pixels.shape[1::-1], pixels.tobytes()).save(path, quality=90)
    else:
        Image.fromarray(pixels).save(path, **options)
    return path


def frame_shade(number: int) -> int:
    """The grey of picture ``number`` of ``write_video``'s files."""
    return 16 + 8 * (number % 26)


def write_video(
    path: Path,
    seconds: float = 2.0,
    fps: int = 10,
    size: tuple[int, int] = (64, 48),
    samples: npt.NDArray[np.float32] | None = None,
    faststart: bool = False,
    dark_left: bool = False,
) -> Path:
    """Grey pictures, each of its own shade, with ``samples`` at ``RATE`` as sound; ``dark_left`` blackens a half."""
    form, codec = {"mp4": ("mp4", "libx264"), "mov": ("mov", "mpeg4"), "mkv": ("matroska", "libx264"),
                   "webm": ("webm", "libvpx-vp9"), "avi": ("avi", "mpeg4")}[path.suffix[1:]]  # fmt: skip
    options = {"movflags": "faststart"} if faststart and form != "matroska" else {}
    with av.open(str(path), "w", format=form, options=options) as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "10", "g": "10", "qscale": "2"}
        if samples is not None:
            codec, sample_format = ("libopus", "flt") if form == "webm" else ("aac", "fltp")
            sound = audio_stream(container, codec, sample_format, samples.shape[1], RATE)
        for number in range(round(seconds * fps)):
            grey = np.full((size[1], size[0], 3), frame_shade(number), dtype=np.uint8)
            if dark_left:
                grey[:, : size[0] // 2] = 0
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            frame.pts = number
            frame.time_base = Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if samples is not None:
            encode_audio(container, sound, samples)
    return path


def wav_bytes(body: bytes, *, rate: int = 16000, channels: int = 1, bits: int = 16, tag: int = 1,
              promised: int | None = None) -> bytes:  # fmt: skip
    """A WAV file by hand, whose header may promise more than ``body`` holds."""
    size = len(body) if promised is None else promised
    align = max(1, channels * bits // 8)
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * align, align, bits)
    return (
        b"RIFF" + struct.pack("<I", min(36 + size, 0xFFFFFFF0)) + b"WAVEfmt " + struct.pack("<I", 16) + fmt
        + b"data" + struct.pack("<I", size) + body
    )  # fmt: skip


def image_bytes(pixels: npt.NDArray[Any], form: str, **options: Any) -> bytes:
    """Pixels as the bytes of a picture file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()
