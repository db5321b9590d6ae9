"""Recordings that are odd but not damaged: joined, tagged, cancelling, out of scale, with sizes that are not."""

from __future__ import annotations

import contextlib
import io
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from embed import decode, encode, load
from embed.encoder import AudioInput, VideoInput
from embed.errors import MediaError
from embed.media import Media, Span, content_hash
from embed.remarks import Remarks
from tests.media_files import RATE, signal, wav_bytes, write_audio, write_video

Samples = npt.NDArray[np.float32]


def heard(
    content: bytes | Path, rate: int = RATE, window: float | None = None, span: Span | None = None
) -> tuple[Samples, Remarks, str | None]:
    """All samples of a recording, what was remarked, and why it is not whole."""
    remarks = Remarks()
    given = {"data": content} if isinstance(content, bytes) else {"path": str(content)}
    found: list[Samples] = []
    try:
        for part in decode.parts(
            Media("audio", span=span, **given),
            audio=AudioInput(rate, window),
            remarks=remarks,  # type: ignore[arg-type]
        ):
            assert part.array is not None
            found.append(part.array)
    except MediaError as error:
        return np.concatenate([np.zeros(0, np.float32), *found]), remarks, error.reason
    return np.concatenate(found), remarks, None


def facts(content: bytes) -> dict[str, Any]:
    return decode.facts(Media("audio", data=content))


def stored(samples: Samples, form: str, subtype: str | None = None, rate: int = RATE) -> bytes:
    """Samples as libsndfile writes them."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=form, subtype=subtype)
    return buffer.getvalue()


def encoded(tmp_path: Path, kind: str, samples: Samples, rate: int = RATE) -> bytes:
    return write_audio(tmp_path / f"part.{kind}", samples, rate).read_bytes()


def syncsafe(length: int) -> bytes:
    return bytes(length >> shift & 127 for shift in (21, 14, 7, 0))


def id3(length: int = 300, footer: bool = False) -> bytes:
    """An ID3v2 tag of so many bytes after its header (id3.org, ID3v2.4.0 section 3)."""
    body = b"ID3\x04\0" + (b"\x10" if footer else b"\0") + syncsafe(length) + bytes(length)
    return body + (b"3DI\x04\0\x10" + syncsafe(length) if footer else b"")


ID3V1 = b"TAG" + b"t" * 125
LYRICS2 = b"LYRICSBEGINLYR00010hello worl000029LYRICS200" + ID3V1
LYRICS1 = b"LYRICSBEGINhello worldLYRICSEND" + ID3V1


def ape(header: bool = True) -> bytes:
    """An APEv2 tag with one item, with or without its header."""
    item = struct.pack("<II", 5, 0) + b"Title\0" + b"hello"
    flags = 1 << 31 if header else 0
    foot = struct.pack("<8sIIII8x", b"APETAGEX", 2000, len(item) + 32, 1, flags)
    head = struct.pack("<8sIIII8x", b"APETAGEX", 2000, len(item) + 32, 1, flags | 1 << 29)
    return (head if header else b"") + item + foot


# -- channels that cancel each other out


def correlated(ours: Samples, theirs: Samples) -> float:
    count = min(len(ours), len(theirs))
    return float(np.corrcoef(ours[:count], theirs[:count])[0, 1])


@pytest.mark.parametrize("kind", ["wav", "float.wav", "flac", "alac.m4a", "ogg", "m4a", "mp3"])
def test_an_inverted_channel_does_not_silence_the_other(tmp_path: Path, kind: str) -> None:
    left = signal(6.0)[:, 0]
    content = encoded(tmp_path, kind, np.stack([left, -left], axis=1))
    mono, remarks, wrong = heard(content)
    assert wrong is None and remarks.notes == ["its channels cancel each other out: channel 1 alone was taken"]
    if kind in ("wav", "float.wav", "flac", "alac.m4a"):
        np.testing.assert_allclose(mono, left, atol=2**-14)
    else:
        expected, _, _ = heard(encoded(tmp_path, kind, left[:, None]))
        assert np.sqrt(np.mean(mono**2)) == pytest.approx(np.sqrt(np.mean(expected**2)), rel=0.05)


def test_the_strongest_channel_of_many_is_taken() -> None:
    voice = signal(3.0, 16000)[:, 0]
    gains = np.array([0.2, -0.4, 1.0, -0.8], np.float32)
    mono, remarks, _ = heard(stored(voice[:, None] * gains, "WAV", "FLOAT", 16000), 16000)
    np.testing.assert_array_equal(mono, voice)
    assert remarks.notes == ["its channels cancel each other out: channel 3 alone was taken"]


def test_a_stretch_that_cancels_is_taken_from_one_channel_without_a_click() -> None:
    rate = 16000
    t = np.arange(40 * rate) / rate
    left = (0.5 * np.sin(2 * np.pi * 220 * t)).astype(np.float32)
    right = left * np.where((t >= 15) & (t < 30), -1, 1).astype(np.float32)
    mono, remarks, _ = heard(stored(np.stack([left, right], axis=1), "WAV", "FLOAT", rate), rate)
    (note,) = remarks.notes
    assert note.startswith("its channels cancel each other out for 1") and note.endswith(
        "channel 1 alone was taken there"
    )
    inside = (t > 20) & (t < 28)
    np.testing.assert_allclose(mono[inside], left[inside], atol=1e-6)
    block = 65536 / rate  # within one of the turn either way some of it is lost, never more
    clear = (np.abs(t - 15) > block) & (np.abs(t - 30) > block)
    np.testing.assert_allclose(mono[clear], left[clear], atol=1e-6)
    edges = [15 * rate, 30 * rate]  # the recording's own edges
    steps = np.abs(np.diff(mono))
    for edge in edges:
        steps[edge - 2 : edge + 2] = 0
    assert steps.max() < 1.5 * np.abs(np.diff(left)).max()


@pytest.mark.parametrize(
    "name", ["independent", "one silent", "delayed", "equal", "offsets", "quiet noise", "wide", "one of eight"]
)
def test_what_does_not_cancel_is_the_mean(name: str) -> None:
    a, b = (np.random.default_rng(seed).normal(0, 0.1, 64000).astype(np.float32) for seed in (1, 2))
    channels = {
        "independent": [a, b],
        "one silent": [a, 0 * a],
        "delayed": [a[:-50], a[50:]],
        "equal": [a, a],
        "offsets": [a + np.float32(0.4), a - np.float32(0.4)],
        "quiet noise": [a * np.float32(1e-4), -a * np.float32(1e-4)],
        "wide": [a + b, b - a * np.float32(1.5)],
        "one of eight": [a, *[0 * a] * 7],
    }[name]
    samples = np.stack(channels, axis=1)
    mono, remarks, _ = heard(stored(samples, "WAV", "FLOAT", 16000), 16000)
    assert remarks.notes == []
    np.testing.assert_array_equal(mono, samples.mean(axis=1, dtype=np.float32))


def test_the_sound_of_a_video_is_mixed_alike(tmp_path: Path) -> None:
    left = signal(2.0)
    file = write_video(tmp_path / "a.mp4", 2.0, samples=np.concatenate([left, -left], axis=1))
    remarks = Remarks()
    (part,) = decode.parts(Media("video", path=str(file)), video=VideoInput(2, None, rate=RATE), remarks=remarks)
    assert part.sound is not None and np.corrcoef(part.sound[2048:90000], left[2048:90000, 0])[0, 1] > 0.99
    assert remarks.notes == ["its channels cancel each other out: channel 1 alone was taken"]


def test_cancelling_samples_in_memory() -> None:
    left = signal(2.0, 16000)[:, 0]
    remarks = Remarks()
    media = Media("audio", array=np.stack([left, -left], axis=1), rate=16000)
    (part,) = decode.parts(media, audio=AudioInput(16000, None), remarks=remarks)
    np.testing.assert_array_equal(part.array, left)
    assert remarks.notes == ["its channels cancel each other out: channel 1 alone was taken"]


# -- floats


@pytest.mark.parametrize(("bits", "form", "subtype"), [
    (7, "WAV", "FLOAT"), (15, "WAV", "FLOAT"), (15, "WAV", "DOUBLE"), (15, "AIFF", "FLOAT"), (15, "CAF", "FLOAT"),
    (15, "W64", "FLOAT"), (15, "AU", "FLOAT"), (23, "WAV", "FLOAT"), (31, "WAV", "DOUBLE"), (31, "WAV", "FLOAT"),
])  # fmt: skip
def test_floats_in_the_range_of_integers_are_divided(bits: int, form: str, subtype: str) -> None:
    samples = signal(3.0, 16000)
    mono, remarks, wrong = heard(stored((samples * 2.0**bits).astype(np.float64), form, subtype, 16000), 16000)
    assert wrong is None
    np.testing.assert_array_equal(mono, samples[:, 0])
    assert remarks.notes == [
        f"its samples reach far beyond full scale, as those of integers do: divided by {2**bits:,}"
    ]


@pytest.mark.parametrize("gain", [0.1, 1.0, 1.9, 5.0])
def test_floats_about_full_scale_are_left_alone(gain: float) -> None:
    samples = signal(1.0, 16000) * np.float32(gain)
    mono, remarks, _ = heard(stored(samples, "WAV", "FLOAT", 16000), 16000)
    np.testing.assert_array_equal(mono, samples[:, 0])
    assert remarks.notes == [] and np.abs(mono).max() < 4.0


def test_a_span_of_floats_is_divided_as_the_whole_is() -> None:
    samples = np.concatenate([signal(5.0, 16000) * 1e-4, signal(5.0, 16000, seed=1)])
    content = stored(samples * 32768, "WAV", "FLOAT", 16000)
    mono, _, _ = heard(content, 16000, span=Span(1.0, 3.0))
    np.testing.assert_allclose(mono, samples[16000:48000, 0], atol=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e38, -1e10])
@pytest.mark.parametrize("form", ["WAV", "AIFF", "CAF"])
def test_samples_that_are_not_finite_are_taken_as_0(bad: float, form: str) -> None:
    samples = signal(5.0, 16000, channels=2)
    samples[100, 0] = samples[70_000, 1] = bad
    content = stored(samples, form, "FLOAT", 16000)
    mono, remarks, wrong = heard(content, 16000)
    samples[100, 0] = samples[70_000, 1] = 0
    assert wrong is None and remarks.notes == [
        "samples that are no finite number, or beyond 2^32, were taken as 0: 2 of them"
    ]
    np.testing.assert_allclose(mono, samples.mean(axis=1), atol=1e-7)


def test_one_sample_far_out_does_not_turn_the_rest_down() -> None:
    samples = signal(5.0, 16000)
    samples[7000] = 1e5
    mono, remarks, wrong = heard(stored(samples, "WAV", "FLOAT", 16000), 16000)
    assert wrong is None and remarks.notes == ["its samples reach 100 dB beyond full scale"]
    np.testing.assert_array_equal(mono, samples[:, 0])


def test_a_beginning_without_a_finite_sample_keeps_its_time() -> None:
    samples = signal(10.0, 16000)
    samples[:100_000] = np.nan
    mono, remarks, wrong = heard(stored(samples, "WAV", "FLOAT", 16000), 16000)
    assert wrong is None and remarks.facts["duration"] == 10.0
    np.testing.assert_array_equal(mono, np.nan_to_num(samples[:, 0]))


def test_nothing_finite_is_refused() -> None:
    for bad in (np.nan, np.inf):
        mono, remarks, wrong = heard(stored(np.full((90_000, 1), bad, np.float32), "WAV", "FLOAT", 16000), 16000)
        assert len(mono) == 0 and wrong == "none of its samples is finite" and remarks.notes == []


# -- recordings that were joined


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@pytest.mark.parametrize(("rate", "channels"), [(48000, 1), (24000, 2)])
def test_every_link_of_a_chained_ogg_is_heard(subtype: str, rate: int, channels: int) -> None:
    first, second = stored(signal(3.0), "OGG", subtype), stored(signal(2.0, rate, channels, 1), "OGG", subtype, rate)
    alone = [heard(one)[0] for one in (first, second)]
    mono, remarks, wrong = heard(first + second)
    assert wrong is None and remarks.notes == []
    np.testing.assert_allclose(mono, np.concatenate(alone), atol=1e-4)
    assert remarks.facts["duration"] == pytest.approx(5.0, abs=0.01) == facts(first + second)["duration"]
    mono, _, wrong = heard(first + second + first)
    assert wrong is None and len(mono) == pytest.approx(8 * RATE, abs=500)
    assert mono[-2 * RATE :] == pytest.approx(alone[0][-2 * RATE :], abs=1e-4)


def test_links_of_other_codings_are_heard(tmp_path: Path) -> None:
    """FLAC in Ogg, by libav; then Opus by another encoder."""
    links = []
    for codec, form in (("flac", "s16"), ("libopus", "flt"), ("flac", "s16")):
        buffer = io.BytesIO()
        with av.open(buffer, "w", format="ogg") as container:
            stream: Any = container.add_stream(codec, rate=RATE, layout="mono", format=form)
            values = signal(2.0).T
            for at in range(0, values.shape[1], 960):
                block = np.ascontiguousarray(values[:, at : at + 960])
                if form == "s16":
                    block = np.rint(block * 32767).astype(np.int16)
                frame = av.AudioFrame.from_ndarray(block, format=form, layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        links.append(buffer.getvalue())
    mono, _, wrong = heard(b"".join(links))
    assert wrong is None and len(mono) == pytest.approx(6 * RATE, abs=2000)
    np.testing.assert_allclose(mono[: 2 * RATE], signal(2.0)[:, 0], atol=1e-4)
    np.testing.assert_allclose(mono[-2 * RATE :], signal(2.0)[:, 0], atol=1e-4)


def test_a_chain_whose_first_link_is_cut_goes_on_and_says_so() -> None:
    first, second = (stored(signal(4.0, seed=seed), "OGG", "VORBIS") for seed in (0, 1))
    mono, remarks, wrong = heard(first[: len(first) * 2 // 3] + second)
    expected, _, _ = heard(second)
    assert wrong is None
    (note,) = remarks.notes
    assert note.startswith("recording 1 of the 2 joined in it is cut short: ")
    np.testing.assert_allclose(mono[-3 * RATE :], expected[-3 * RATE :], atol=1e-4)
    _, _, wrong = heard(first + second[: len(second) * 2 // 3])
    assert wrong is not None and wrong.startswith("cut short: ")


def test_a_link_that_cannot_be_opened_is_named() -> None:
    first, second = (stored(signal(2.0, seed=seed), "OGG", "VORBIS") for seed in (0, 1))
    mono, remarks, wrong = heard(first + second.replace(b"vorbis", b"nobody"))
    assert wrong is not None and wrong.startswith("recording 2 of the 2 joined in it ")
    assert len(mono) == 2 * RATE and remarks.facts["duration"] == 2.0


@pytest.mark.parametrize("between", [b"", id3(), ID3V1 + id3(), ape(), LYRICS2, id3(footer=True), bytes(1000)])
@pytest.mark.parametrize("kind", ["mp3", "av.mp3", "aac"])
def test_joined_streams_of_frames_are_heard_whole(tmp_path: Path, kind: str, between: bytes) -> None:
    first = encoded(tmp_path, kind, signal(3.0))
    second = encoded(tmp_path, kind, signal(2.0, seed=1))
    alone = [heard(one)[0] for one in (first, second)]
    mono, remarks, wrong = heard(first + between + second)
    assert wrong is None and remarks.notes == []
    assert len(mono) == pytest.approx(sum(map(len, alone)), abs=1200)
    np.testing.assert_allclose(mono[-RATE:], alone[1][-RATE:], atol=1e-3)
    np.testing.assert_allclose(mono[: 2 * RATE], alone[0][: 2 * RATE], atol=1e-3)
    assert remarks.facts["duration"] == pytest.approx(len(mono) / RATE)
    assert facts(first + between + second)["duration"] == pytest.approx(len(mono) / RATE, abs=0.15)


def test_a_joined_mp3_of_another_rate_is_brought_to_the_first_one(tmp_path: Path) -> None:
    t = np.arange(3 * 22050) / 22050
    tone = (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)[:, None]
    mono, _, wrong = heard(encoded(tmp_path, "mp3", signal(2.0)) + encoded(tmp_path, "mp3", tone, 22050))
    assert wrong is None and len(mono) == pytest.approx(5 * RATE, abs=4000)
    spectrum = np.abs(np.fft.rfft(mono[-2 * RATE : -RATE]))
    assert int(spectrum.argmax()) == 440


def test_an_mp3_whose_last_frame_was_cut_by_the_next_one(tmp_path: Path) -> None:
    first, second = (encoded(tmp_path, "mp3", signal(3.0, seed=seed)) for seed in (0, 1))
    mono, remarks, wrong = heard(first[:-1000] + id3() + second)
    assert wrong is None and len(mono) == pytest.approx(6 * RATE, abs=6000)
    (note,) = remarks.notes
    assert note.startswith("recording 1 of the 2 joined in it is cut short: 2.9 s")


@pytest.mark.parametrize(("kind", "between"), [("flac", b""), ("flac", id3()), ("wav", b""), ("aiff", b"")])
def test_joined_files_of_other_formats_are_heard_whole(tmp_path: Path, kind: str, between: bytes) -> None:
    first, second = (encoded(tmp_path, kind, signal(2.0, seed=seed)) for seed in (0, 1))
    mono, remarks, wrong = heard(first + between + second)
    assert wrong is None and remarks.notes == []
    np.testing.assert_allclose(mono, np.concatenate([signal(2.0), signal(2.0, seed=1)])[:, 0], atol=2**-14)
    assert facts(first + between + second)["duration"] == pytest.approx(4.0)


# -- tags and bytes around a recording


@pytest.mark.parametrize("kind", ["wav", "aiff", "flac", "ogg", "opus", "mp3", "aac", "av.flac"])
@pytest.mark.parametrize("tag", [id3(), id3(2000) + id3(10), id3() + bytes(500)])
def test_a_tag_in_front_costs_nothing(tmp_path: Path, kind: str, tag: bytes) -> None:
    content = encoded(tmp_path, kind, signal(2.0))
    expected, _, _ = heard(content)
    mono, remarks, wrong = heard(tag + content)
    assert wrong is None and remarks.notes == []
    np.testing.assert_array_equal(mono, expected)
    known, plain = facts(tag + content), facts(content)
    assert known["format"] == plain["format"] and known["duration"] == pytest.approx(plain["duration"], abs=0.1)


TRAILERS = {
    "id3v1": ID3V1,
    "ape": ape(),
    "ape without a header": ape(header=False) + ID3V1,
    "lyrics": LYRICS2,
    "old lyrics": LYRICS1,
    "id3v2 with a footer": id3(footer=True),
    "all": ape() + LYRICS2,
    "zeros": bytes(700),
}


@pytest.mark.parametrize("name", TRAILERS)
@pytest.mark.parametrize("kind", ["mp3", "av.mp3", "aac", "flac", "wav", "ogg", "opus", "aiff"])
def test_a_tag_behind_costs_nothing_and_is_no_complaint(tmp_path: Path, kind: str, name: str) -> None:
    content = encoded(tmp_path, kind, signal(2.0))
    expected, _, _ = heard(content)
    mono, remarks, wrong = heard(content + TRAILERS[name])
    assert wrong is None and remarks.notes == []
    np.testing.assert_array_equal(mono, expected)


@pytest.mark.parametrize(
    "kind", ["mp3", "flac", "av.flac", "wav", "ogg", "aac", "opus", "m4a", "webm", "mka", "wma", "aiff"]
)
@pytest.mark.parametrize("junk", [b"SEFH" + b"\x01" * 60 + b"SEFT", b"\x93\x00junk" * 300, b"\xff" * 50])
def test_bytes_behind_the_end_are_passed_over(tmp_path: Path, kind: str, junk: bytes) -> None:
    content = encoded(tmp_path, kind, signal(2.0))
    expected, _, _ = heard(content)
    mono, remarks, wrong = heard(content + junk)
    assert wrong is None
    np.testing.assert_allclose(mono, expected, atol=1e-6)
    assert remarks.notes in ([], [f"{len(junk):,} bytes behind its end were passed over"])
    if kind in ("mp3", "aac", "wav", "m4a", "ogg", "opus"):
        assert remarks.notes


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm", "avi"])
def test_bytes_behind_a_video_are_passed_over(tmp_path: Path, suffix: str) -> None:
    content = write_video(tmp_path / f"a.{suffix}", 1.0, samples=signal(1.0)).read_bytes()
    wanted = VideoInput(3, None, rate=16000)
    (expected,) = decode.parts(Media("video", data=content), video=wanted)
    remarks = Remarks()
    junk = b"SEFH" + b"\x01" * 60 + b"SEFT"
    (part,) = decode.parts(Media("video", data=content + junk), video=wanted, remarks=remarks)
    assert part.array is not None and expected.array is not None
    np.testing.assert_array_equal(part.array, expected.array)
    np.testing.assert_array_equal(part.sound, expected.sound)
    assert remarks.notes in ([], ["68 bytes behind its end were passed over"])


def test_a_text_that_begins_with_id3_is_a_text(tmp_path: Path) -> None:
    file = tmp_path / "tags.txt"
    file.write_text("ID3 tags hold the title of a song.\n")
    (part,) = decode.parts(Media("text", path=str(file)))
    assert part.text == "ID3 tags hold the title of a song."


# -- sizes in headers


SIZES = [0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0x7FFFFFFC, 0xFFFFFFFF, 0xFFFFFF9B, 0xFFFFFFDB, 0xFFFFFFFE]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_wav_with_the_size_of_a_pipe_is_whole(size: int, channels: int) -> None:
    samples = signal(1.5, 16000, channels)
    plain = stored(samples, "WAV", "PCM_16", 16000)
    at = plain.index(b"data") + 4
    riff = (size + 36) & 0xFFFFFFFF if size else 0
    content = plain[:4] + struct.pack("<I", riff) + plain[8:at] + struct.pack("<I", size) + plain[at + 4 :]
    expected, _, _ = heard(plain, 16000)
    mono, remarks, wrong = heard(content, 16000)
    assert wrong is None and remarks.notes == [] and len(mono) == 24000
    np.testing.assert_array_equal(mono, expected)
    assert facts(content)["duration"] == 1.5


def test_a_wav_that_lacks_samples_is_still_cut_short() -> None:
    for promised in (160000, 0x7FEFF000, 0x90000000):
        _, _, wrong = heard(wav_bytes(bytes(np.arange(32000, dtype="<i2")), promised=promised), 16000)
        assert wrong is not None and wrong.startswith("cut short: 2.0 s of ")


@pytest.mark.parametrize("more", [44, 36])
def test_a_wav_that_counts_its_header_as_samples_is_whole(more: int) -> None:
    body = np.arange(1, 16001, dtype="<i2")
    mono, remarks, wrong = heard(wav_bytes(body.tobytes(), promised=32000 + more), 16000)
    assert wrong is None and remarks.notes == []
    np.testing.assert_array_equal(mono, body / np.float32(32768))


class Pipe:
    """What cannot be gone back in."""

    def __init__(self) -> None:
        self.content = b""

    def write(self, data: bytes) -> int:
        self.content += bytes(data)
        return len(data)


@pytest.mark.parametrize(
    ("form", "codec", "options"),
    [
        ("wav", "pcm_s16le", {}),
        ("wav", "pcm_s16le", {"rf64": "always"}),
        ("w64", "pcm_s16le", {}),
        ("caf", "pcm_s16be", {}),
        ("au", "pcm_s16be", {}),
        ("aiff", "pcm_s16be", {}),
        ("flac", "flac", {}),
        ("matroska", "pcm_s16le", {}),
    ],
)  # fmt: skip
def test_what_was_written_to_a_pipe_is_whole(form: str, codec: str, options: dict[str, str]) -> None:
    """The sizes that libav leaves in each format when it cannot go back."""
    pipe, values = Pipe(), np.rint(signal(1.5, 16000)[:, 0] * 32767).astype(np.int16)
    with av.open(pipe, "w", format=form, options=options) as container:
        stream: Any = container.add_stream(codec, rate=16000, layout="mono", format="s16")
        for at in range(0, len(values), 1000):
            frame = av.AudioFrame.from_ndarray(values[None, at : at + 1000], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, at, Fraction(1, 16000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    mono, remarks, wrong = heard(pipe.content, 16000)
    assert wrong is None and remarks.notes == []
    np.testing.assert_array_equal(mono, values / np.float32(32768))
    assert remarks.facts["duration"] == 1.5


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("where", ["before", "after", "both"])
def test_a_chunk_of_odd_length_with_or_without_its_pad(padded: bool, where: str) -> None:
    samples = (np.arange(16000) % 251 - 125).astype("<i2")
    plain = wav_bytes(samples.tobytes(), rate=16000)
    odd = b"LIST" + struct.pack("<I", 13) + b"INFOISFT\1\0\0\0a" + (b"\0" if padded else b"")
    at = plain.index(b"data")
    content = plain[:at] + (odd if where != "after" else b"") + plain[at:] + (odd if where != "before" else b"")
    content = content[:4] + struct.pack("<I", len(content) - 8) + content[8:]
    mono, remarks, wrong = heard(content, 16000)
    assert wrong is None and remarks.notes == []
    np.testing.assert_array_equal(mono, samples / np.float32(32768))


def test_odd_bytes_of_samples_without_a_pad() -> None:
    body = bytes(range(1, 200)) * 81  # an odd number of 8-bit samples
    plain = wav_bytes(body[:-2], rate=16000, bits=8)
    content = plain + b"LIST" + struct.pack("<I", 4) + b"INFO"
    mono, remarks, wrong = heard(content, 16000)
    assert wrong is None and remarks.notes == [] and len(mono) == len(body) - 2
    np.testing.assert_allclose(mono, (np.frombuffer(body[:-2], np.uint8) - 128.0) / 128)


def test_a_cut_behind_the_samples_costs_none() -> None:
    samples = (np.arange(16000) % 251 - 125).astype("<i2")
    content = wav_bytes(samples.tobytes(), rate=16000) + b"LIST" + struct.pack("<I", 5000) + b"INFO" + bytes(20)
    content = content[:4] + struct.pack("<I", 32000 + 36 + 5008) + content[8:]
    mono, remarks, wrong = heard(content, 16000)
    assert wrong is None and len(mono) == 16000
    assert remarks.notes == ["what stands behind its samples (LIST) is cut short; they are all there"]


# -- what a header says of the duration


def variable(samples: Samples, path: Path) -> bytes:
    """An MP3 of variable rate without a Xing header."""
    with av.open(str(path), "w", format="mp3", options={"write_xing": "0", "id3v2_version": "0"}) as container:
        stream: Any = container.add_stream("libmp3lame", rate=RATE, layout="mono", format="fltp")
        stream.codec_context.options = {"compression_level": "4"}
        stream.codec_context.flags |= 2  # AV_CODEC_FLAG_QSCALE
        stream.codec_context.global_quality = 4 * 118 if hasattr(stream.codec_context, "global_quality") else 0
        for at in range(0, len(samples), 1152):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[at : at + 1152].T), "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path.read_bytes()


@pytest.mark.parametrize("loud_first", [True, False])
def test_the_duration_is_that_of_the_sound(tmp_path: Path, loud_first: bool) -> None:
    noise = np.random.default_rng(0).normal(0, 0.2, (10 * RATE, 1)).astype(np.float32)
    quiet = np.zeros((10 * RATE, 1), np.float32)
    samples = np.concatenate([noise, quiet] if loud_first else [quiet, noise])
    for content in (variable(samples, tmp_path / "a.mp3"), encoded(tmp_path, "aac", samples)):
        mono, remarks, wrong = heard(content)
        assert wrong is None and len(mono) == pytest.approx(20 * RATE, abs=4000)
        assert remarks.facts["duration"] == len(mono) / RATE
        assert facts(content)["duration"] == pytest.approx(20.0, abs=0.1)


def test_the_duration_of_a_video_is_that_of_its_packets(tmp_path: Path) -> None:
    content = write_video(tmp_path / "a.mkv", 2.0, samples=signal(2.0)).read_bytes()
    at = content.index(b"\x44\x89\x88") + 3  # Duration, in milliseconds (RFC 9559, section 5.1.2.10)
    lying = content[:at] + struct.pack(">d", 1e7) + content[at + 8 :]
    assert decode.facts(Media("video", data=lying))["duration"] == 10_000
    for said, expected in ((content, None), (lying, pytest.approx(2.0, abs=0.1))):
        remarks = Remarks()
        parts = list(decode.parts(Media("video", data=said), video=VideoInput(2, 1.0), remarks=remarks))
        assert [part.span for part in parts] == [Span(0.0, 1.0), Span(1.0, 2.0)]
        assert remarks.facts.get("duration") == expected


def test_a_span_says_nothing_of_the_duration(tmp_path: Path) -> None:
    content = encoded(tmp_path, "mp3", signal(4.0))
    _, remarks, _ = heard(content, span=Span(1.0, 2.0))
    assert remarks.facts == {}


# -- samples in memory


def windows(media: Media) -> list[Media]:
    return list(decode.parts(media, audio=AudioInput(16000)))


@pytest.mark.parametrize(
    ("array", "rate", "reason"),
    [
        (np.zeros(1600, np.float32), None, r"without their rate: Media\('audio', array=samples, rate=48000\)"),
        (np.zeros((2, 1600), np.float32), 16000, r"\(2, 1600\) seem to be \(channels, n\): give \(n, channels\)"),
        (np.zeros((1, 1600), np.float32), 16000, r"give \(n, channels\), as array.T is"),
        (np.zeros(1600, np.int64), 16000, "of type int64 have no scale: give floats in -1..1, int16 or int32"),
        (np.zeros(1600, bool), 16000, "of type bool"),
        (np.zeros(1600, complex), 16000, "of type complex128"),
        (np.array(["a"] * 1600), 16000, "of type <U1"),
        (np.zeros(1600, np.uint16), 16000, "of type uint16"),
        (np.zeros(0, np.float32), 16000, "holds no samples"),
        (np.array([0.0, np.nan]), 16000, "not finite"),
        (np.full(1600, 3000.0), 16000, "its samples reach 3000, far beyond the full scale of 1"),
        (np.zeros(1600, np.float32), 44100.5, "a whole number from 50 to 4000000 Hz, not 44100.5"),
        (np.zeros(1600, np.float32), 0, "a sample rate is a whole number"),
        ([0.1] * 1600, 16000, "not a list"),
    ],
)  # fmt: skip
def test_an_array_of_another_form_is_refused_with_the_right_one(array: Any, rate: Any, reason: str) -> None:
    with pytest.raises(MediaError, match=reason):
        windows(Media("audio", array=array, rate=rate))
    with pytest.raises(MediaError, match=reason):
        encode(load("toy"), [Media("audio", array=array, rate=rate)])


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int8, np.uint8, np.float16, np.float64])
def test_arrays_are_scaled_as_soundfile_does(dtype: Any) -> None:
    samples = signal(0.5, 16000)[:, 0] * np.float32(0.9)
    steps = {np.int16: 2**15, np.int32: 2**31, np.int8: 2**7, np.uint8: 2**7}.get(dtype, 0)
    given = samples.astype(dtype) if not steps else np.rint(samples * float(steps) + (128 if dtype == np.uint8 else 0))
    (part,) = windows(Media("audio", array=given.astype(dtype), rate=16000))
    assert part.array is not None and part.array.dtype == np.float32
    np.testing.assert_allclose(part.array, samples, atol=1 / steps if steps else 1e-3)


def test_a_tensor_is_taken_as_torchaudio_has_it() -> None:
    torch = pytest.importorskip("torch")
    samples = signal(0.5, 16000, channels=2)
    for tensor in (torch.from_numpy(samples.T.copy()), torch.from_numpy(samples.T.astype(np.float64)),
                   torch.from_numpy(samples.T.copy()).requires_grad_()):  # fmt: skip
        (part,) = windows(Media("audio", array=tensor, rate=16000))
        np.testing.assert_allclose(part.array, samples.mean(axis=1), atol=1e-7)
    (part,) = windows(Media("audio", array=torch.from_numpy(samples[:, 0].copy()), rate=16000))
    np.testing.assert_array_equal(part.array, samples[:, 0])
    asked = torch.from_numpy(samples.T.copy())
    assert content_hash(Media("audio", array=asked.requires_grad_(), rate=16000)) == content_hash(
        Media("audio", array=samples.T.copy(), rate=16000)
    )
    with pytest.raises(MediaError, match="not finite"):
        windows(Media("audio", array=torch.full((1, 100), float("nan")), rate=16000))


# -- what no library reads


def why_not(content: bytes, modality: Any = "audio") -> str:
    with pytest.raises(MediaError) as caught:
        list(decode.parts(Media(modality, data=content), audio=AudioInput(16000), video=VideoInput(2, rate=16000)))
    return caught.value.reason


def test_what_is_not_read_is_unsupported_and_not_damaged(tmp_path: Path) -> None:
    m4a = encoded(tmp_path, "m4a", signal(1.0))
    for coding in (b"drms", b"enca"):
        assert why_not(m4a.replace(b"mp4a", coding, 1)) == "unsupported: its sound is encrypted (DRM)"
    film = write_video(tmp_path / "a.mp4", 0.5).read_bytes()
    for coding in (b"encv", b"drmi"):
        assert why_not(film.replace(b"avc1", coding), "video") == "unsupported: its pictures are encrypted (DRM)"
    assert "unsupported: its pictures are in a coding" in why_not(film.replace(b"avc1", b"zzzz"), "video")
    assert "unsupported: its sound is in a coding" in why_not(wav_bytes(bytes(3200), tag=0x7A21))
    wma = encoded(tmp_path, "wma", signal(1.0))
    locked = bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e") + struct.pack("<Q", 40) + bytes(16)
    assert why_not(wma[:30] + locked + wma[30:]) == "unsupported: its sound is encrypted (DRM)"
    for head, said in (
        (b"FRM8", "a DSD recording"), (b"wvpk", "a WavPack recording"), (b"MThd", "a MIDI file"),
        (b"MPCK", "a Musepack recording"), (b"ajkg", "a Shorten recording"), (b".RMF\0", "a RealMedia file"),
    ):  # fmt: skip
        for modality in ("audio", "video"):
            assert why_not(head + bytes(200), modality).startswith(f"unsupported: it is {said}")


def test_a_film_whose_sound_is_not_read_is_shown_without_it_and_says_so(tmp_path: Path) -> None:
    film = write_video(tmp_path / "a.mkv", 0.5, samples=signal(0.5)).read_bytes()
    remarks = Remarks()
    media = Media("video", data=film.replace(b"A_AAC", b"A_ZZZ"))
    (part,) = decode.parts(media, video=VideoInput(2, rate=16000), remarks=remarks)
    assert part.array is not None and part.sound is None
    assert remarks.notes == ["its sound is in a coding that is not read here, and was left out"]


def test_no_library_speaks_to_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Whatever libmpg123, libsndfile or libav think of a file: file descriptor 2 stays silent."""
    for kind in ("mp3", "wav", "flac", "ogg", "opus", "m4a", "aac", "aiff", "webm", "wma", "caf", "mp4", "mkv"):
        if kind in ("mp4", "mkv"):
            content = write_video(tmp_path / f"a.{kind}", 0.5, samples=signal(0.5)).read_bytes()
        else:
            content = encoded(tmp_path, kind, signal(1.0))
        middle = len(content) // 2
        zeroed = content[:middle] + bytes(99) + content[middle + 99 :]
        filled = content[:40] + b"\xff" * 400 + content[440:]
        for broken in (content[:middle], content[:60], zeroed, filled, id3() + content[3:], content + content[9:]):
            for modality in ("audio", "video") if kind in ("mp4", "mkv") else ("audio",):
                media = Media(modality, data=broken)  # type: ignore[arg-type]
                with contextlib.suppress(MediaError):
                    decode.facts(media)
                with contextlib.suppress(MediaError):
                    list(decode.parts(media, audio=AudioInput(16000), video=VideoInput(2, rate=16000)))
    assert capfd.readouterr() == ("", "")


def test_a_query_says_what_was_noted_of_its_file(tmp_path: Path) -> None:
    left = signal(1.0, 16000)
    file = tmp_path / "inverted.wav"
    file.write_bytes(stored(np.concatenate([left, -left], axis=1), "WAV", "FLOAT", 16000))
    said: list[str] = []
    encoder = load("toy")
    row = encode(encoder, [Media.from_path(file)], noted=said.append).array
    np.testing.assert_array_equal(row, encode(encoder, [Media("audio", array=left[:, 0], rate=16000)]).array)
    assert said == [f"{file}: its channels cancel each other out: channel 1 alone was taken"]
    cut = tmp_path / "cut.wav"
    cut.write_bytes(wav_bytes(bytes(np.arange(32000, dtype="<i2")), promised=160000))
    encode(encoder, [Media.from_path(cut)], noted=said.append)
    assert said[1:] == [f"{cut}: cut short: 2.0 s of 5.0 s could be read"]
