"""A run that is asked to stop: it ends with Cancelled, what was encoded is kept, and the next run does the rest."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import pytest

from embed import load
from embed.errors import AnalogonError, Cancelled
from embed.listener import Listener as Plain
from indexes.build import Listener, Plan, build
from indexes.collection import Collection
from tests import sounds
from tests.indexes.runs import Counting, contents, oracle, run

FILES = 40


class Stopping(Listener):
    """Asks for the end after so many files of a phase."""

    def __init__(self, phase: str, after: int) -> None:
        self.wanted, self.left, self.now = phase, after, ""

    def phase(self, name: str, total: int | None, seconds: float = 0.0) -> None:
        self.now = name

    def advance(self, count: int = 1, seconds: float = 0.0) -> None:
        if self.now.startswith(self.wanted):
            self.left -= count
            if self.left <= 0:
                self.cancel()


def test_what_was_encoded_before_the_end_is_kept_and_not_encoded_again(tmp_path: Path, collection: Collection) -> None:
    folder = sounds.folder(tmp_path / "sounds", FILES)
    first = Counting()
    plan = Plan((str(folder),))
    with pytest.raises(Cancelled, match="what was committed until then is kept"):
        build(collection, [(first, {"family": "toy", "model": "16"})], plan, Stopping("audio", 20))
    kept = contents(collection)
    expected = oracle(folder)
    assert 20 <= len(kept) < len(expected)
    assert all(expected[key] == vector for key, vector in kept.items())
    second = Counting()
    report = run(collection, folder, encoder=second)
    assert report.vectors == second.calls == len(expected) - len(kept)
    assert contents(collection) == expected


def test_a_scan_that_was_stopped_is_done_by_the_next_run(tmp_path: Path, collection: Collection) -> None:
    folder = sounds.folder(tmp_path / "sounds", FILES)
    encoder = Counting()
    with pytest.raises(Cancelled):
        build(collection, [(encoder, {"family": "toy", "model": "16"})], Plan((str(folder),)), Stopping("scan", 5))
    assert encoder.calls == 0 and not contents(collection)
    run(collection, folder)
    assert contents(collection) == oracle(folder)


def test_the_lock_is_free_after_a_stopped_run(tmp_path: Path, collection: Collection) -> None:
    folder = sounds.folder(tmp_path / "sounds", 5)
    with pytest.raises(Cancelled):
        build(collection, [(load("toy:16"), {"family": "toy", "model": "16"})], Plan((str(folder),)), Stopping("", 1))
    with Collection.open(collection.path) as other:
        assert run(other, folder).found == 5


def test_any_thread_can_ask_for_the_end_and_the_error_is_one_that_doors_show() -> None:
    listener = Plain()
    listener.check()
    thread = Thread(target=listener.cancel)
    thread.start()
    thread.join()
    assert listener.cancelled
    with pytest.raises(AnalogonError):
        listener.check()
    assert not Plain().cancelled
