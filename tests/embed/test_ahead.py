"""How far decoding runs ahead of the encoder: in bytes, whatever media are cut into."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from embed import pipeline
from embed.encoder import AudioInput, Encoder
from embed.errors import MediaError
from embed.media import Media
from embed.pipeline import Encoded, Finished, encode_stream
from embed.space import Space

RATE = 8000
PART = 4 * RATE  # bytes of a second


class Counting(Encoder):
    """A row is (1, first sample, seconds); it knows how many bytes of its prepared parts are alive."""

    modalities = frozenset({"text", "audio"})
    audio = AudioInput(RATE, 1.0)
    space = Space("counting", "none", "none", 3)

    def __init__(self, batch_size: int, pause: float = 0.0) -> None:
        self.batch_size, self.pause = batch_size, pause
        self.alive = self.most = self.made = 0
        self.lock = threading.Lock()

    def prepare(self, media: Media) -> Media:
        if media.array is None:
            return media
        array = media.array.copy()
        with self.lock:
            self.made += 1
            self.alive += array.nbytes
            self.most = max(self.most, self.alive)
        weakref.finalize(array, self.gone, array.nbytes)
        return media.but(array=array)

    def gone(self, size: int) -> None:
        self.alive -= size  # without the lock: it may come while that is held, and counts too much at the worst

    def encode_batch(self, batch: Sequence[Media]) -> npt.NDArray[np.float32]:
        time.sleep(self.pause)
        if batch[0].modality == "text":
            return np.ones((len(batch), 3), dtype=np.float32)
        arrays = [media.array for media in batch if media.array is not None]
        return np.array([[1, array[0], len(array) / RATE] for array in arrays], dtype=np.float32)


def recordings(folder: Path, seconds: Sequence[float]) -> list[Media]:
    files = []
    for number, long in enumerate(seconds):
        file = folder / f"{number:03}.wav"
        soundfile.write(file, np.full(round(long * RATE), (number + 1) / 1000), RATE, "FLOAT")
        files.append(Media.from_path(file, "audio"))
    return files


def streamed(encoder: Encoder, media: Sequence[Media], **options: Any) -> list[tuple[int, float]]:
    """The medium and the first sample of each vector, in the order they come; fails after a minute."""
    found: list[tuple[int, float]] = []
    finished: list[int] = []

    def run() -> None:
        for result in encode_stream(encoder, media, **options):
            if isinstance(result, Encoded):
                assert result.part.path is None or result.part.array is None
                found.append((result.index, round(float(result.vector[1] / result.vector[0]), 5)))
            else:
                assert isinstance(result, Finished) and result.error is None, result.error
                finished.append(result.index)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "it waits for ever"
    assert sorted(finished) == list(range(len(media)))
    return found


@pytest.mark.parametrize("seconds", [[60.0], [1.0] * 60, [20.0, 1.0, 1.0, 30.0] + [1.0] * 8])
def test_what_waits_is_bounded_in_bytes(seconds: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit, batch, workers = 12 * PART, 4, 2
    monkeypatch.setattr(pipeline, "BYTES_AHEAD", limit)
    encoder = Counting(batch, pause=0.02)
    found = streamed(encoder, recordings(tmp_path, seconds), workers=workers)
    expected = [(i, (i + 1) / 1000) for i, long in enumerate(seconds) for _ in range(round(long))]
    assert found == expected
    # Beside those that wait there are the batch, the part that comes to it, and before any size was known one a thread.
    assert encoder.most <= limit + (batch + 1 + workers) * PART
    assert encoder.most >= limit  # it does run ahead


def test_parts_larger_than_all_the_room_come_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "BYTES_AHEAD", PART // 2)
    encoder = Counting(1, pause=0.005)
    seconds = [5.0, 1.0, 1.0, 3.0, 1.0, 1.0]
    found = streamed(encoder, recordings(tmp_path, seconds), workers=2)
    assert found == [(i, (i + 1) / 1000) for i, long in enumerate(seconds) for _ in range(round(long))]
    assert encoder.most <= (1 + 1 + 2) * PART  # the batch, one that waits, and before any size was known one a thread


@pytest.mark.parametrize("limit", [0, 1, 3 * PART, 1 << 30])
def test_nothing_waits_for_ever(limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "BYTES_AHEAD", limit)
    random = np.random.default_rng(limit)
    seconds = random.choice([0.01, 0.5, 1.0, 1.5, 7.0], 70)
    media = recordings(tmp_path, list(seconds))
    texts = [Media.from_text(f"{number}") for number in range(20)]
    for workers in (1, 3):
        alone = streamed(Counting(3), media, workers=workers)
        assert [index for index, _ in alone] == sorted(index for index, _ in alone)
        assert {index for index, _ in alone} == set(range(70))
        mixed = streamed(Counting(3), [*texts, *media, *texts], workers=workers)
        assert len(mixed) == len(alone) + 40


def test_samples_in_memory_are_cut_as_they_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour in memory is not copied as a whole before the first window is encoded."""
    monkeypatch.setattr(pipeline, "BYTES_AHEAD", 8 * PART)
    encoder = Counting(2)
    hour = Media("audio", array=np.full(3600 * RATE, 0.25, dtype=np.float32), rate=RATE)
    for number, _ in enumerate(encode_stream(encoder, [hour, hour])):
        if number == 3:
            break
    assert encoder.made <= 4 + 8 + 2 + 2
    assert encoder.most <= (8 + 2 + 2 + 2) * PART


def test_who_stops_early_leaves_no_thread_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "BYTES_AHEAD", 2 * PART)
    before = threading.active_count()
    stream = encode_stream(Counting(1), recordings(tmp_path, [30.0] * 8))
    assert isinstance(next(stream), Encoded)
    stream.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_a_decoder_that_asks_the_program_to_end_is_the_files_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(*_: Any, **__: Any) -> Any:
        raise SystemExit("enough")

    monkeypatch.setattr(pipeline.decode, "parts", leave)
    results = list(encode_stream(Counting(1), recordings(tmp_path, [1.0])))
    assert [type(one) for one in results] == [Finished]
    assert isinstance(results[0], Finished) and isinstance(results[0].error, MediaError)
    assert "SystemExit: enough" in results[0].error.reason
