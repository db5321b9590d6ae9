"""Odd sound and video files: each is read, in part or whole, or refused in a line, in bounded time."""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from embed import decode
from embed.encoder import AudioInput, VideoInput
from embed.errors import MediaError
from embed.media import Media
from embed.remarks import Remarks
from tests.odd_sounds import OddFile, odd_files

LONGEST = 10.0  # seconds that a file of a second may take


def examine(odd: OddFile) -> None:
    """Everything that must hold of any file."""
    started = time.monotonic()
    for modality in ("audio", "video") if odd.video else ("audio",):
        media = Media(modality, data=odd.content) if odd.content else Media(modality, data=b"")  # type: ignore[arg-type]
        remarks = Remarks()
        end, reason = 0.0, None
        try:
            known = decode.facts(media)
        except MediaError as error:
            known = {}
            reason = error.reason
        assert known.get("duration", 0) >= 0
        try:
            wanted = {"audio": AudioInput(16000, 0.25, 0.2), "video": VideoInput(2, 0.25, rate=16000)}
            for part in decode.parts(media, remarks=remarks, **wanted):  # type: ignore[arg-type]
                assert part.span is not None and part.span.end >= part.span.start >= 0
                end = part.span.end
                if modality == "audio":
                    assert part.array is not None and part.array.dtype == np.float32 and part.array.ndim == 1
                    assert np.isfinite(part.array).all() and 0 < len(part.array) <= 4000
        except MediaError as error:
            reason = error.reason
        for text in (reason or "", *remarks.notes):
            assert "\n" not in text and len(text) < 400 and "Traceback" not in text
        if modality == "audio" and "duration" in remarks.facts:
            assert end <= float(remarks.facts["duration"]) + 1e-3 or reason is not None
        assert end > 0 or reason is not None
        if odd.seconds is not None:
            assert reason is None, reason
            assert end == pytest.approx(odd.seconds, abs=0.16)  # a codec's delay and padding, twice
    assert time.monotonic() - started < LONGEST


def run(folder: Path, seed: int, count: int) -> None:
    failed = []
    for odd in islice(odd_files(folder, seed), count):
        try:
            examine(odd)
        except Exception as error:
            failed.append(f"{odd.kind}: {type(error).__name__} {error}".splitlines()[0])
    assert not failed, f"{len(failed)} of {count}:\n" + "\n".join(failed)


def test_odd_files_are_read_or_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, 0, 150)
    assert capfd.readouterr().err == ""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 9))
def test_many_odd_files_are_read_or_refused(tmp_path: Path, seed: int, capfd: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, seed, 150)
    assert capfd.readouterr().err == ""
