"""Whose fault it is when a medium cannot be encoded: its own, the encoder's, or the machine's."""

from __future__ import annotations

import builtins
import errno
import io
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from embed.encoder import AudioInput, Encoder, VideoInput
from embed.errors import EncoderError, MachineError, MediaError
from embed.faults import machine_fault
from embed.media import Media, content_hash
from embed.pipeline import Encoded, Finished, encode, encode_stream
from embed.space import Space

RATE = 16000


class Told(Encoder):
    """Does what it is told before it encodes; a row is (1, level)."""

    modalities = frozenset({"text", "audio", "image", "video"})
    batch_size = 4
    audio = AudioInput(RATE, 1.0)
    video = VideoInput(2, 1.0, rate=RATE)
    space = Space("told", "none", "levels", 2)

    def __init__(
        self,
        encoding: Callable[[Sequence[Media]], Any] = lambda batch: None,
        preparing: Callable[[Media], Any] = lambda media: None,
    ) -> None:
        self.encoding = encoding
        self.preparing = preparing
        self.batches: list[int] = []

    def prepare(self, media: Media) -> Media:
        self.preparing(media)
        return media

    def encode_batch(self, batch: Sequence[Media]) -> Any:
        self.batches.append(len(batch))
        given = self.encoding(batch)
        rows = [[1.0, 0.0 if one.array is None else float(np.abs(one.array).mean())] for one in batch]
        return np.array(rows) if given is None else given


def fails(error: BaseException, on: str = "") -> Callable[[Sequence[Media] | Media], None]:
    """Raise where one of the media is called so, or always."""

    def raising(batch: Sequence[Media] | Media) -> None:
        if any(on in one.name for one in ([batch] if isinstance(batch, Media) else batch)):
            raise error

    return raising


@pytest.fixture
def sounds(tmp_path: Path) -> list[Media]:
    for number in range(6):
        soundfile.write(tmp_path / f"sound{number}.wav", np.full(RATE // 2, 0.1 + 0.1 * number), RATE, subtype="FLOAT")
    return [Media.from_path(tmp_path / f"sound{number}.wav") for number in range(6)]


def finished(encoder: Encoder, media: Sequence[Media], **options: Any) -> list[Any]:
    """What ended each medium, in order."""
    ends = [one for one in encode_stream(encoder, media, **options) if isinstance(one, Finished)]
    return [one.error for one in sorted(ends, key=lambda one: one.index)]


class OutOfMemoryError(RuntimeError):
    """As torch calls its own."""


def too_large() -> MemoryError:
    """What NumPy raises for an array that no machine has room for."""
    with pytest.raises(MemoryError) as raised:
        np.empty(1 << 60, "f4")
    return raised.value


MACHINE = [
    (MemoryError(), "not enough memory"),
    (too_large(), "not enough memory"),
    (OSError(errno.EMFILE, "Too many open files"), "too many files are open in this process"),
    (OSError(errno.ENFILE, "Too many open files in system"), "too many files are open on this machine"),
    (OSError(errno.EIO, "Input/output error"), "the drive or the network does not answer"),
    (OSError(errno.ESTALE, "Stale file handle"), "the drive or the network does not answer"),
    (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "the drive or the network"),
    (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), "the drive or the network does not answer"),
    (TimeoutError("The read operation timed out"), "the drive or the network does not answer"),
    (ConnectionError("no answer"), "the drive or the network does not answer"),
    (BrokenPipeError(errno.EPIPE, "Broken pipe"), "the drive or the network does not answer"),
    (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
    (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk is full"),
    (OSError(errno.ENOMEM, "Cannot allocate memory"), "not enough memory"),
    (OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"), "not enough memory"),
    (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), "not enough memory"),
    (RuntimeError("CUDA error: unspecified launch failure"), "the graphics card failed"),
    (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"), "the graphics card failed"),
    (RuntimeError("std::bad_alloc"), "not enough memory"),
    (RuntimeError("can't start new thread"), "no threads"),
]
OTHERS = [
    ValueError("out of memory is what this text speaks of"),
    RuntimeError("tensors are on cuda:0 and on cpu; heavy metal.wav failed"),
    RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    FileNotFoundError(errno.ENOENT, "No such file or directory"),
    PermissionError(errno.EACCES, "Permission denied"),
    OSError("image file is truncated"),
    KeyError("a"),
]


@pytest.mark.parametrize(("error", "says"), MACHINE, ids=[f"{type(e).__name__} {e}"[:40] for e, _ in MACHINE])
def test_what_is_the_machines(error: Exception, says: str) -> None:
    found = machine_fault(error, "a.wav")
    assert found is not None and str(found).startswith("a.wav: ") and says in str(found) and "\n" not in str(found)


@pytest.mark.parametrize("error", OTHERS, ids=repr)
def test_what_is_not(error: Exception) -> None:
    assert machine_fault(error, "a.wav") is None


def test_a_full_database_is_the_machines_and_a_wrong_statement_is_not() -> None:
    database = sqlite3.connect(":memory:")
    database.execute("PRAGMA max_page_count = 2")
    with pytest.raises(sqlite3.OperationalError) as full:
        database.execute(
            "CREATE TABLE a AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n) SELECT * FROM n"
        )
    assert "the disk is full" in str(machine_fault(full.value, "catalog"))
    with pytest.raises(sqlite3.OperationalError) as wrong:
        database.execute("SELEC 1")
    assert machine_fault(wrong.value, "catalog") is None


def test_damage_that_a_decoder_calls_an_errno_is_the_files() -> None:
    import av

    for code in (errno.EIO, errno.ENOMEM):
        with pytest.raises(av.FFmpegError) as caught:
            av.error.err_check(-code)
        assert machine_fault(caught.value, "a.mp4") is None


def test_what_stands_behind_a_media_error_counts() -> None:
    for first, machine in ((OSError(errno.EIO, "Input/output error"), True), (OSError(errno.ENOENT, "none"), False)):
        with pytest.raises(MediaError) as caught:
            try:
                raise first
            except OSError:
                raise MediaError("a.wav", "cannot be read") from None
        assert (machine_fault(caught.value, "a.wav") is not None) == machine


@pytest.mark.parametrize(("error", "says"), MACHINE[::4])
@pytest.mark.parametrize("where", ["encoding", "preparing"])
def test_one_medium_that_the_machine_failed_costs_only_itself(
    sounds: list[Media], error: Exception, says: str, where: str
) -> None:
    encoder = Told(**{where: fails(error, on="sound1")})
    ends = finished(encoder, sounds, patience=3)
    assert [type(end).__name__ for end in ends] == ["NoneType", "MachineError", *["NoneType"] * 4]
    assert says in str(ends[1]) and "sound1.wav" in str(ends[1])


def test_a_batch_too_large_for_memory_is_tried_one_by_one(sounds: list[Media]) -> None:
    def encoding(batch: Sequence[Media]) -> None:
        if len(batch) > 1:
            raise MemoryError

    encoder = Told(encoding)
    assert finished(encoder, sounds) == [None] * 6
    assert encoder.batches == [4, 1, 1, 1, 1, 2, 1, 1]


def test_three_in_a_row_end_the_stream_when_each_was_told(sounds: list[Media]) -> None:
    encoder = Told(lambda batch: fails(MemoryError(), on="sound1")(batch) or fails(MemoryError(), on="sound3")(batch))
    assert sum(isinstance(end, MachineError) for end in finished(encoder, sounds, patience=2)) == 2  # not in a row
    told: list[Any] = []
    with pytest.raises(MachineError, match="not enough memory"):
        for one in encode_stream(Told(fails(MemoryError())), sounds, patience=3):
            told.append(one)
    assert [(one.index, type(one.error)) for one in told] == [(number, MachineError) for number in range(3)]
    with pytest.raises(MachineError):
        finished(Told(fails(MemoryError())), sounds)


@pytest.mark.parametrize("batch_size", [1, 2, 6])
@pytest.mark.parametrize("where", ["encoding", "preparing"])
def test_an_encoder_that_fails_on_everything_is_to_blame(sounds: list[Media], batch_size: int, where: str) -> None:
    encoder = Told(**{where: fails(RuntimeError("shapes do not fit"))})
    for media in (sounds, sounds[:1], [Media.from_text("dog")]):
        with pytest.raises(EncoderError, match="told cannot .*RuntimeError: shapes do not fit"):
            finished(encoder, media, batch_size=batch_size)


@pytest.mark.parametrize("batch_size", [1, 2, 6])
def test_a_medium_that_an_encoder_fails_on_is_to_blame(sounds: list[Media], batch_size: int) -> None:
    for encoder in (
        Told(fails(RuntimeError("odd"), on="sound2")),
        Told(preparing=fails(RuntimeError("odd"), "sound2")),
    ):
        ends = finished(encoder, sounds, batch_size=batch_size)
        assert [type(end) for end in ends] == [type(None)] * 2 + [MediaError] + [type(None)] * 3
        assert "RuntimeError: odd" in str(ends[2])
    only = finished(Told(fails(RuntimeError("odd"), on="sound")), sounds, batch_size=batch_size)
    assert all(isinstance(end, MediaError) for end in only), "what is bad are these sounds: a plain one goes well"


def test_a_batch_where_all_are_bad_does_not_blame_the_encoder(sounds: list[Media]) -> None:
    encoder = Told(fails(MediaError("sound", "is no sound"), on="sound"))
    assert {str(end) for end in finished(encoder, sounds)} == {"sound: is no sound"}


@pytest.mark.parametrize("batch_size", [1, 3])
def test_vectors_that_are_never_finite(sounds: list[Media], batch_size: int) -> None:
    with pytest.raises(EncoderError, match="told cannot encode any audio: it gives vectors that are not finite"):
        finished(Told(lambda batch: np.full((len(batch), 2), np.nan)), sounds, batch_size=batch_size)

    def sometimes(batch: Sequence[Media]) -> Any:
        return np.array([[np.nan if "sound3" in one.name else 1.0, 1.0] for one in batch])

    ends = finished(Told(sometimes), sounds, batch_size=batch_size)
    assert [end and str(end).rpartition(": ")[2] for end in ends] == [
        *[None] * 3,
        "told gave a vector that is not finite",
        *[None] * 2,
    ]


def test_plain_inputs_of_every_modality(tmp_path: Path) -> None:
    """An encoder of any modality is cleared of the blame by an input that it takes."""
    picture = Media("image", array=np.zeros((3, 5, 3), np.uint8))
    film = Media("video", array=np.zeros((2, 3, 5, 3), np.uint8), sound=np.zeros(RATE, np.float32), rate=RATE)
    tried: list[Media] = []

    def encoding(batch: Sequence[Media]) -> None:
        if not batch[0].name.startswith("plain."):
            raise RuntimeError("odd")
        tried.extend(batch)

    for media in (Media.from_text("dog"), picture, film):
        assert isinstance(finished(Told(encoding), [media])[0], MediaError)
    text, image, video = tried
    assert text.text == "rain" and image.array is not None and video.array is not None and video.sound is not None
    assert (image.array.dtype, image.array.shape) == (np.uint8, (224, 224, 3)) and np.ptp(image.array) == 223
    assert (video.array.dtype, video.array.shape, video.sound.shape) == (np.uint8, (2, 224, 224, 3), (RATE,))


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.ESTALE])
def test_a_drive_that_fails_while_a_file_is_read(
    sounds: list[Media], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    real = builtins.open

    def opening(name: Any, *args: Any, **options: Any) -> Any:
        if str(name).endswith("sound1.wav"):
            raise OSError(number, "as a drive says it")
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "open", opening)
    ends = finished(Told(), sounds, patience=3)
    assert [type(end).__name__ for end in ends] == ["NoneType", "MachineError", *["NoneType"] * 4]
    with pytest.raises(MediaError) as caught:
        content_hash(sounds[1])
    assert machine_fault(caught.value, "x") is not None
    with pytest.raises(MachineError, match="sound1.wav: .*as a drive says it"):
        encode(Told(), sounds)


def test_what_was_encoded_of_a_medium_comes_before_the_machines_fault(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", np.full(3 * RATE, 0.5), RATE)
    seen: list[float] = []

    def encoding(batch: Sequence[Media]) -> None:
        for one in batch:
            assert one.span is not None
            seen.append(one.span.start)
            if one.span.start >= 1.0:
                raise MemoryError

    results = list(encode_stream(Told(encoding), [Media.from_path(tmp_path / "long.wav")], batch_size=1, patience=3))
    assert [type(one) for one in results] == [Encoded, Finished] and isinstance(results[1].error, MachineError)
    assert results[1].parts == 1 and seen == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "png", "jpg", "txt"])
def test_a_drive_that_fails_half_way_through_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = tmp_path / f"half.{suffix}"
    random = np.random.default_rng(0)
    if suffix == "txt":
        path.write_text("rain " * 20_000)
    elif suffix in ("png", "jpg"):
        Image.fromarray(random.integers(0, 255, (400, 400, 3), np.uint8)).save(path)
    else:
        soundfile.write(path, random.uniform(-0.5, 0.5, 20 * RATE), RATE)
    assert finished(Told(), [Media.from_path(path)]) == [None]

    class Failing(io.FileIO):
        def readinto(self, buffer: Any) -> int:
            left = path.stat().st_size // 2 - self.tell()
            if left <= 0:
                raise OSError(errno.EIO, "Input/output error")
            return super().readinto(memoryview(buffer)[:left]) or 0

    real = builtins.open

    def opening(name: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        if str(name) != str(path):
            return real(name, mode, *args, **options)
        file = io.BufferedReader(Failing(str(path)))
        return file if "b" in mode else io.TextIOWrapper(file, "utf-8")

    monkeypatch.setattr(builtins, "open", opening)
    (end,) = finished(Told(), [Media.from_path(path)], patience=3)
    assert isinstance(end, MachineError) and "Input/output error" in str(end)
