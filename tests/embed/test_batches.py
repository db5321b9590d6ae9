"""Batches grow on a GPU while it pays, and are what fits."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from embed import Media, encode, load
from embed.batches import Batches
from embed.space import unit


def encoder(device: str, most: int | None = None) -> Any:
    tower = SimpleNamespace(loaded=True, device=SimpleNamespace(type=device), most=most)
    return SimpleNamespace(batch_size=16, towers={"sound": tower})


def sizes(batches: Batches, rate: Any, held: int = 1000, rounds: int = 14) -> list[int]:
    """The size of each of so many batches; ``rate`` gives items a second by size, ``held`` are bytes of a part."""
    seen = []
    for _ in range(rounds):
        seen.append(batches.size)
        batches.took(batches.size, batches.size * held, batches.size / rate(batches.size))
    return seen


def test_on_a_gpu_they_double_while_a_tenth_more_goes_through() -> None:
    seen = sizes(Batches(encoder("cuda")), lambda size: min(size, 128))
    assert seen == [16, 16, 32, 32, 64, 64, 128, 128, 256, 256, 128, 128, 128, 128]


def test_they_wait_for_no_more_bytes_than_a_quarter_of_a_gigabyte() -> None:
    assert max(sizes(Batches(encoder("cuda")), lambda size: size, held=2 << 20)) == 128


@pytest.mark.parametrize(("made", "size"), [(encoder("cpu"), None), (encoder("cuda"), 16)])
def test_on_a_cpu_and_where_the_size_is_named_they_stay(made: Any, size: int | None) -> None:
    assert set(sizes(Batches(made, size), lambda size: size)) == {16}


def test_they_are_what_fits() -> None:
    made = encoder("cuda")
    batches = Batches(made)
    assert sizes(batches, lambda size: size, rounds=5) == [16, 16, 32, 32, 64]
    made.towers["sound"].most = 40
    assert sizes(batches, lambda size: size, rounds=3) == [64, 40, 40]


def test_what_is_left_over_at_the_end_tells_nothing() -> None:
    batches = Batches(encoder("cuda"))
    for _ in range(5):
        batches.took(3, 3000, 0.001)
    assert batches.size == 16


def test_texts_of_like_length_go_through_together_and_come_back_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = load("toy")
    asked: list[list[int]] = []
    real = toy.encode_batch

    def counting(batch: Sequence[Media]) -> Any:
        asked.append([len(media.text or "") for media in batch])
        return real(batch)

    monkeypatch.setattr(toy, "encode_batch", counting)
    texts = [f"text{'x' * (37 * number % 100)} {number}" for number in range(100)]
    found = encode(toy, [Media.from_text(text) for text in texts], batch_size=10).array
    expected = unit(np.concatenate([real([Media.from_text(text)]) for text in texts]))
    np.testing.assert_array_equal(found, expected)
    padded, needed = sum(len(batch) * max(batch) for batch in asked), sum(map(len, texts))
    unsorted = sum(10 * max(map(len, texts[start : start + 10])) for start in range(0, 100, 10))
    assert all(len(batch) <= 10 for batch in asked) and needed <= padded < 0.7 * unsorted
