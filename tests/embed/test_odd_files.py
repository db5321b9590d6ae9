"""Odd pictures, texts and tables: each is read, or refused in a line, in bounded time, and nothing is printed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embed import decode
from embed.errors import AnalogonError, MediaError
from embed.media import Media
from embed.remarks import Remarks
from embed.tables import BadRow, metadata_table, rows, texts
from tests.embed.reading import pixels_of
from tests.odd_files import OddPicture, OddTable, odd_pictures, odd_tables, odd_texts

LONGEST = 5.0  # seconds that a small file may take


def one_line(*said: str) -> None:
    for text in said:
        assert text and "\n" not in text and len(text) < 400 and "Traceback" not in text


def examine_picture(odd: OddPicture) -> None:
    remarks = Remarks()
    try:
        pixels = pixels_of(odd.content, remarks)
    except MediaError as error:
        one_line(error.reason)
        assert odd.refusable, error.reason
        try:
            decode.facts(Media("image", data=odd.content))
        except MediaError as again:
            one_line(again.reason)
        return
    one_line(*remarks.notes)
    assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size
    known = decode.facts(Media("image", data=odd.content))
    assert (known["height"], known["width"]) == pixels.shape[:2]
    if odd.pixels is not None:
        np.testing.assert_array_equal(pixels, odd.pixels)


def examine_text(content: bytes) -> None:
    media = Media("text", data=content)
    try:
        parts = list(decode.parts(media))
    except MediaError as error:
        one_line(error.reason)
        return
    assert all(part.text and part.text.strip() for part in parts)
    assert decode.facts(media)["characters"]
    if content.startswith(b"\xff\xfe\0\0"):
        assert "\0" not in "".join(part.text or "" for part in parts) or content.count(b"\0\0\0\0")


def examine_table(odd: OddTable, folder: Path) -> None:
    path = folder / odd.name
    path.write_bytes(odd.content)
    said: list[str] = []
    for read in (
        lambda: list(rows(path, "text", said.append)),
        lambda: list(metadata_table(path, "file", said.append).items()),
        lambda: list(texts(path, ["file"])),
        lambda: list(texts(path)),
    ):
        try:
            found: list[Any] = read()
        except AnalogonError as error:
            one_line(str(error)[:399])
            continue
        one_line(*(one.reason for one in found if isinstance(one, BadRow)))
    one_line(*said)


def run(items: Iterable[Any], count: int, examine: Callable[[Any], None]) -> None:
    failed = []
    for number, odd in enumerate(islice(items, count)):
        started = time.monotonic()
        try:
            examine(odd)
            assert time.monotonic() - started < LONGEST, "too slow"
        except Exception as error:
            what = getattr(odd, "kind", f"number {number}")
            failed.append(f"{number} {what}: {type(error).__name__} {error}".splitlines()[0])
    assert not failed, f"{len(failed)} of {count}:\n" + "\n".join(failed)


def run_all(seed: int, pictures: int, others: int, folder: Path) -> None:
    run(odd_pictures(seed), pictures, examine_picture)
    run(odd_texts(seed), others, examine_text)
    run(odd_tables(seed), others, lambda odd: examine_table(odd, folder))


def test_odd_files_are_read_or_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    run_all(0, 160, 60, tmp_path)
    assert capfd.readouterr() == ("", "") and not recwarn.list


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 7))
def test_many_odd_files_are_read_or_refused(
    tmp_path: Path, seed: int, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    run_all(seed, 500, 300, tmp_path)
    assert capfd.readouterr() == ("", "") and not recwarn.list
