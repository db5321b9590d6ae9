"""Encoders in other threads and processes: pickled by name, forked and spawned, with turns that are kept."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import embed
from embed import Encoder, Media
from embed.errors import EncoderError, SpaceMismatch
from embed.inputs import encode
from embed.models import MODELS, shared, turn
from embed.wrapped import wrap
from tests.embed.encoders import tiny_sentence, tiny_words

TEXTS = ["a dog", "rain tin roof", "king queen"]
WAIT = 120


def letters(texts: Sequence[str]) -> npt.NDArray[np.float64]:
    return np.array([[1.0, *(text.count(letter) for letter in "abcde ")] for text in texts])


def worked(encoder: Any) -> tuple[npt.NDArray[np.float32], Any]:
    vectors = encode(encoder, TEXTS)
    return vectors.array, vectors.space


@pytest.fixture
def encoders(tmp_path: Path) -> list[Encoder]:
    (tmp_path / "sentence").mkdir()
    (tmp_path / "words").mkdir()
    (tmp_path / "named.toml").write_text('family = "toy"\nmodel = "5"\n')
    names: list[Any] = [
        tiny_sentence.build(tmp_path / "sentence"),
        tiny_words.build(tmp_path / "words"),
        {"family": "toy", "window": 2.0},
        tmp_path / "named.toml",
    ]
    return [*(embed.load(name) for name in names), wrap(letters, name="letters", revision="1")]


def test_they_pickle_by_name_and_are_loaded_once(encoders: list[Encoder]) -> None:
    for encoder in encoders:
        before = pickle.dumps(encoder)
        rows, space = worked(encoder)  # with weights loaded, and a turn taken
        after = pickle.dumps(encoder)
        assert len(after) < 2000
        for again in (pickle.loads(before), pickle.loads(after)):
            found = worked(again)
            assert np.array_equal(found[0], rows) and found[1] == space
            assert again.space.model == encoder.space.model
    assert pickle.loads(pickle.dumps(encoders[0])) is pickle.loads(pickle.dumps(encoders[0])) is not encoders[0]


def test_a_model_that_became_another_is_refused(tmp_path: Path) -> None:
    name = tiny_words.build(tmp_path)
    kept = pickle.dumps(embed.load(name))
    tiny_words.save(tmp_path / "vectors.bin", tiny_words.WORDS, -tiny_words.vectors(), "binary")
    with pytest.raises(SpaceMismatch):
        pickle.loads(kept)


def test_what_is_known_to_this_process_alone_is_refused() -> None:
    class Own(Encoder):
        space = embed.Space("own", "w", "p", 2)
        modalities = frozenset({"text"})

        def encode_batch(self, batch: Sequence[Media]) -> npt.NDArray[np.float64]:
            return np.ones((len(batch), 2))

    with pytest.raises(EncoderError, match="own was made by hand, and is known to this process alone") as caught:
        pickle.dumps(Own())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_in_a_new_process(encoders: list[Encoder], method: str) -> None:
    if method == "forkserver":
        encoders = encoders[1:]  # one torch is slow enough
    with multiprocessing.get_context(method).Pool(1) as pool:
        found = pool.map_async(worked, encoders).get(WAIT)
    for encoder, (rows, space) in zip(encoders, found, strict=True):
        assert np.abs(rows - worked(encoder)[0]).max() < 1e-6 and space == encoder.space


def by_its_name(encoder: Any) -> Any:
    return worked(shared(dict(encoder.table)))


def test_in_a_forked_process_after_torch_had_threads(encoders: list[Encoder]) -> None:
    """torch waits for ever for threads that a fork left behind, and so does whoever wants a lock that was held."""
    import torch

    many = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        expected = [worked(encoder) for encoder in encoders]
        known = [shared(dict(encoder.table or {})) for encoder in encoders[:4]]
        ours = [
            thing for encoder in encoders for thing in (encoder, *vars(encoder).values()) if hasattr(thing, "_lock")
        ]
        own = [thing._lock for thing in ours]
        assert len(own) == 2  # of the tokenizer, and of the words
        torch.mm(torch.ones(600, 600), torch.ones(600, 600))
        holding, done = threading.Event(), threading.Event()

        def hold() -> None:
            with MODELS._changed:
                locks = [*own, *(turn(encoder) for encoder in (*known, *encoders))]
                for lock in locks:
                    lock.acquire()
                holding.set()
                done.wait(WAIT)
                for lock in locks:
                    lock.release()

        thread = threading.Thread(target=hold)
        thread.start()
        holding.wait(WAIT)
        pool = multiprocessing.get_context("fork").Pool(2)  # while another thread holds every lock
        done.set()
        thread.join()
        with pool:
            found = pool.map_async(worked, encoders).get(WAIT)
            found += pool.map_async(by_its_name, known).get(WAIT)
            (product,) = pool.map_async(_multiplied, [600]).get(WAIT)
    finally:
        torch.set_num_threads(many)
    assert product == 600.0
    for (rows, space), (expect, theirs) in zip(found, [*expected, *expected[:4]], strict=True):
        assert np.abs(rows - expect).max() < 1e-6 and space == theirs


def heard(encoder: Any) -> npt.NDArray[np.float32]:
    sounds = [(0.1 * np.sin(np.arange(16000 * seconds) / 7)).astype(np.float32) for seconds in (1, 3)]
    return encode(encoder, sounds, rate=16000).array


def test_in_a_forked_process_after_a_network_had_threads() -> None:
    """The starter's network runs in threads of its own, which a fork leaves behind."""
    encoder, expected = embed.load("starter"), heard("starter")
    assert np.array_equal(heard(encoder), expected) and "_workers" in vars(encoder)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map_async(heard, ["starter", "starter"]).get(WAIT)
    global HELD
    HELD = encoder
    with multiprocessing.get_context("fork").Pool(1) as pool:
        found += pool.map_async(_heard_by_what_is_held, [0]).get(WAIT)
    assert all(np.abs(rows - expected).max() < 1e-6 for rows in found)
    assert "_workers" in vars(encoder), "this process has its threads still"


HELD: Any = None


def _heard_by_what_is_held(_: int) -> npt.NDArray[np.float32]:
    return heard(HELD)


def _multiplied(size: int) -> float:
    import torch

    return float(torch.mm(torch.ones(size, size), torch.ones(size, size))[0, 0])


def test_threads_take_turns() -> None:
    inside, most = 0, 0
    lock = threading.Lock()

    def watched(texts: Sequence[str]) -> npt.NDArray[np.float64]:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        threading.Event().wait(0.01)
        with lock:
            inside -= 1
        return letters(texts)

    encoder = wrap(watched, name="watched", revision="1")
    given = [[f"{'abcde'[i % 5] * (i + 1)} {j}" for j in range(5)] for i in range(16)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda texts: encode(encoder, texts).array, given))
    assert most == 1
    for texts, rows in zip(given, found, strict=True):
        assert np.array_equal(rows, embed.space.unit(letters(texts)))


def test_threads_share_what_is_named(tmp_path: Path) -> None:
    name = tiny_sentence.build(tmp_path)
    expected = embed.encode(embed.load(name), [Media.from_text(text) for text in TEXTS]).array
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: encode(name, TEXTS).array, range(16)))
    assert all(np.abs(rows - expected).max() < 1e-6 for rows in found)
