"""What lies behind a recording, in front of it and within its header, and channels that cancel for a while."""

from __future__ import annotations

import io
import struct

import av
import numpy as np
import pytest
import soundfile

from embed import decode
from embed.encoder import AudioInput
from embed.errors import MediaError
from embed.media import Media
from embed.remarks import Remarks

RATE = 16000
NOISE = (np.random.default_rng(0).standard_normal(2 * RATE) * 0.2).astype("f4")
ID3 = b"ID3\x03\0\0\0\0\x03\x74" + b"TIT2" + struct.pack(">I", 6) + b"\0\0\0title" + bytes(484)
APE_ITEM = struct.pack("<II", 5, 0) + b"Title\0hello"


def read(content: bytes) -> tuple[np.ndarray, list[str], str]:
    """All samples at 16 kHz, what was noted, and why the end was not reached."""
    remarks, reason, pieces = Remarks(), "", [np.zeros(0, "f4")]
    try:
        for part in decode.parts(Media("audio", data=content), audio=AudioInput(RATE, 0.5), remarks=remarks):
            assert part.array is not None and part.span is not None
            new = round(part.span.end * RATE) - sum(map(len, pieces))
            pieces.append(part.array[len(part.array) - new :])
    except MediaError as error:
        reason = error.reason
    return np.concatenate(pieces), remarks.notes, reason


def sound(samples: np.ndarray, form: str, subtype: str = "PCM_16", rate: int = RATE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, subtype=subtype)
    return file.getvalue()


def by_libav(form: str, codec: str, rate: int = RATE) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        if codec == "tta":
            stream.format = "s16"
        for start in range(0, len(NOISE), 1024):
            block = NOISE[start : start + 1024]
            if stream.format.name.startswith("s16"):
                block = (block * 32767).astype("i2")
            frame = av.AudioFrame.from_ndarray(block[None], format=stream.format.name, layout="mono")
            frame.sample_rate, frame.pts = rate, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def alike(samples: np.ndarray, wanted: np.ndarray) -> bool:
    return len(samples) == len(wanted) and float(np.abs(samples - wanted).max()) < 2e-4


# -- behind the end


def behind(one: bytes) -> dict[str, bytes]:
    mp3 = ID3 + sound(NOISE, "MP3", "MPEG_LAYER_III")
    return {"text": b"a few words of trailing text", "a tagged mp3": mp3, "itself": one}


FORMS = {
    "wav": lambda: sound(NOISE, "WAV"),
    "au": lambda: sound(NOISE, "AU"),
    "caf": lambda: sound(NOISE, "CAF"),
    "w64": lambda: sound(NOISE, "W64"),
    "tta": lambda: by_libav("tta", "tta").partition(b"APETAGEX")[0],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("what", ["text", "a tagged mp3", "itself"])
def test_what_lies_behind_a_recording_is_no_part_of_it_and_is_told(form: str, what: str) -> None:
    one = FORMS[form]()
    rest = behind(one)[what]
    samples, notes, reason = read(one + rest)
    if form == "wav" and what == "itself":  # joined WAVs are one
        assert alike(samples, np.tile(NOISE, 2)) and not notes and not reason
        return
    assert alike(samples, NOISE) and not reason
    assert notes == [f"{len(rest):,} bytes behind its end were passed over"]


def test_an_mp4_behind_an_mp4_is_told() -> None:
    one = by_libav("ipod", "aac")
    alone, notes, reason = read(one)
    assert not notes and not reason
    samples, notes, reason = read(one + one)
    assert np.array_equal(samples, alone) and not reason
    assert notes == [f"{len(one):,} bytes behind its end were passed over"]


@pytest.mark.parametrize("form", FORMS)
def test_tags_behind_a_recording_are_no_news(form: str) -> None:
    for tag in (b"TAG" + bytes(125), ID3, ID3 + b"TAG" + bytes(125), bytes(100_000)):
        samples, notes, reason = read(FORMS[form]() + tag)
        assert alike(samples, NOISE) and not notes and not reason


def test_a_tag_behind_ac3_is_not_damage() -> None:
    one = by_libav("ac3", "ac3", 48000)
    alone, notes, reason = read(one)
    assert len(alone) and not notes and not reason
    samples, notes, reason = read(one + b"TAG" + bytes(125))
    assert np.array_equal(samples, alone) and not notes and not reason


def test_a_second_chunk_of_samples_is_told() -> None:
    one = sound(NOISE, "WAV")
    samples, notes, reason = read(one + b"data" + struct.pack("<I", 2000) + bytes(range(1, 201)) * 10)
    assert alike(samples, NOISE) and not reason
    assert notes == ["has another chunk of samples (2,000 bytes), which was passed over"]


@pytest.mark.parametrize("form", ["AU", "CAF", "W64"])
def test_a_recording_cut_short_says_so(form: str) -> None:
    one = sound(NOISE, form)
    samples, _, reason = read(one[: len(one) - RATE])
    assert len(samples) == 1.5 * RATE and alike(samples, NOISE[: len(samples)])
    assert reason == "cut short: 1.5 s could be read"


@pytest.mark.parametrize("form", ["AU", "CAF"])
def test_a_recording_of_unknown_size_goes_to_the_end(form: str) -> None:
    one = sound(NOISE, form)
    at, width = (8, 4) if form == "AU" else (one.find(b"data") + 4, 8)
    samples, notes, reason = read(one[:at] + b"\xff" * width + one[at + width :])
    assert alike(samples, NOISE) and not notes and not reason


# -- in front, and in the header


@pytest.mark.parametrize("form", ["WAV", "FLAC"])
def test_an_ape_tag_in_front_is_passed_over(form: str) -> None:
    def mark(flags: int) -> bytes:
        return b"APETAGEX" + struct.pack("<IIII", 2000, len(APE_ITEM) + 32, 1, flags) + bytes(8)

    tag = mark(0xA0000000) + APE_ITEM + mark(0x80000000)
    samples, notes, reason = read(tag + sound(NOISE, form))
    assert alike(samples, NOISE) and not notes and not reason


def test_an_ape_tag_that_claims_a_header_and_has_none_takes_nothing_of_the_sound() -> None:
    mp3 = sound(NOISE, "MP3", "MPEG_LAYER_III")
    foot = b"APETAGEX" + struct.pack("<IIII", 2000, len(APE_ITEM) + 32, 1, 0x80000000) + bytes(8)
    samples, notes, reason = read(mp3 + APE_ITEM + foot)
    assert np.array_equal(samples, read(mp3)[0]) and not notes and not reason


def test_an_mp4_behind_a_padded_tag_keeps_the_zeros_that_it_begins_with() -> None:
    one = by_libav("ipod", "aac")
    samples, notes, reason = read(ID3 + one)
    assert np.array_equal(samples, read(one)[0]) and not notes and not reason


def test_a_damaged_cover_does_not_hide_a_flac() -> None:
    flac = sound(NOISE, "FLAC")
    cover = b"\x06" + (5000).to_bytes(3, "big") + bytes(5000)  # a picture without a type, of no size
    samples, notes, reason = read(flac[:42] + cover + flac[42:])
    assert alike(samples, NOISE) and not notes and not reason


def test_positions_of_ogg_pages_that_go_back_are_told() -> None:
    from embed.formats.integrity import _ogg_crc

    one = bytearray(sound(np.tile(NOISE, 3), "OGG", "VORBIS"))
    last = one.rfind(b"OggS")
    before = read(bytes(one))[0]
    assert len(before) == 6 * RATE
    struct.pack_into("<q", one, last + 6, 100)
    struct.pack_into("<I", one, last + 22, 0)
    struct.pack_into("<I", one, last + 22, _ogg_crc(bytes(one[last:])))
    samples, _, reason = read(bytes(one))
    assert len(samples) > 2 * RATE and "fail their checks" in reason


# -- channels


def stereo(right: np.ndarray) -> bytes:
    return sound(np.stack([NOISE, right], 1), "WAV", "FLOAT")


def alike_but_for_ramps(samples: np.ndarray, begins: list[float]) -> bool:
    """Whether the samples are the noise, but while a mean that has become silence gives way (32 ms)."""
    known = np.ones(len(NOISE), bool)
    for begin in begins:
        known[int(begin * RATE) :][:512] = begin == 0
    return alike(np.where(known, samples, NOISE), NOISE)


@pytest.mark.parametrize("begin,end", [(0.3, 2.0), (0.0, 0.4), (0.7, 0.9), (1.0, 2.0)])
def test_channels_that_cancel_for_a_part_of_a_block_lose_nothing(begin: float, end: float) -> None:
    right = NOISE.copy()
    right[int(begin * RATE) : int(end * RATE)] *= -1
    samples, notes, reason = read(stereo(right))
    assert not reason and alike_but_for_ramps(samples, [begin])  # both ways of mixing give the left one
    assert notes == [f"its channels cancel each other out for {end - begin:.1f} s: channel 1 alone was taken there"]


def test_channels_that_take_turns_at_cancelling_lose_nothing() -> None:
    right = NOISE.copy()
    for start in range(0, len(right), 6400):
        right[start : start + 3200] *= -1
    samples, notes, _ = read(stereo(right))
    assert alike_but_for_ramps(samples, [0.4, 0.8, 1.2, 1.6])
    assert notes == ["its channels cancel each other out for 1.0 s: channel 1 alone was taken there"]


@pytest.mark.parametrize("correlation", [0.9, 0.0, -0.5, -0.8])
def test_channels_that_are_only_unlike_are_mixed(correlation: float) -> None:
    other = (np.random.default_rng(1).standard_normal(len(NOISE)) * 0.2).astype("f4")
    right = correlation * NOISE + np.float32(np.sqrt(1 - correlation**2)) * other
    samples, notes, _ = read(stereo(right))
    assert alike(samples, (NOISE + right) / 2) and not notes


def test_sound_below_the_least_sample_of_16_bits_is_told() -> None:
    samples, notes, _ = read(sound(NOISE / 32768, "WAV", "FLOAT"))
    assert len(samples) == len(NOISE)
    peak = -20 * np.log10(np.abs(NOISE / 32768).max())
    assert notes == [f"its loudest sample lies {peak:.0f} dB below full scale"]
    assert read(sound(NOISE * 0, "WAV", "FLOAT"))[1] == []
