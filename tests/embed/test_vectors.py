"""Vectors as an array: what numpy and Arrow see of them, what choosing rows keeps, and what is refused by name."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from embed import Space, Span, Vectors
from embed.errors import SpaceMismatch
from embed.space import unit

SPACE = Space("toy:3", "weights", "none", 3)
ROWS: npt.NDArray[np.float32] = unit(np.random.default_rng(0).standard_normal((5, 3)))


@pytest.fixture
def vectors() -> Vectors:
    return Vectors(SPACE, ROWS.copy())


@pytest.fixture
def windows() -> Vectors:
    spans = (Span(0, 1), Span(1, 2), None, Span(0, 3), Span(3, 6))
    return Vectors(SPACE, ROWS.copy(), ("a.wav", "a.wav", "b.png", "c.wav", "c.wav"), spans, np.array([0, 0, 1, 2, 2]))


def test_numpy_sees_the_array_itself_and_copies_where_asked(vectors: Vectors) -> None:
    assert np.shares_memory(np.asarray(vectors), vectors.array)
    assert np.shares_memory(np.array(vectors, copy=False), vectors.array)
    for copied in (np.array(vectors), np.asarray(vectors, dtype=np.float64), vectors.__array__(np.float32, copy=True)):
        assert not np.shares_memory(copied, vectors.array)
        assert np.array_equal(copied, ROWS)
    assert np.asarray(vectors, dtype=np.float64).dtype == np.float64
    assert vectors.__array__().dtype == np.float32 and vectors.__array__(np.float64).dtype == np.float64  # as numpy 1
    with pytest.raises(ValueError, match="float64 they cannot be had without a copy"):
        np.array(vectors, dtype=np.float64, copy=False)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(5))
    assert np.concatenate([vectors, vectors]).shape == (10, 3)
    assert (vectors.shape, vectors.dim, vectors.ndim, vectors.dtype, len(vectors)) == ((5, 3), 3, 2, np.float32, 5)
    assert [row.tolist() for row in vectors] == ROWS.tolist()


def test_rows_are_rows_and_parts_are_vectors(vectors: Vectors) -> None:
    for at in (3, -1, np.int64(2), np.uint8(0)):
        assert vectors[at].shape == (3,) and np.array_equal(vectors[at], ROWS[at])
    mask = ROWS[:, 0] > 0
    for part in (slice(1, 4), slice(None, None, -2), [4, 0, 0], np.array([1, 2]), mask, mask.tolist(), range(2)):
        chosen = vectors[part]  # type: ignore[index]
        index = list(part) if isinstance(part, range) else part
        assert isinstance(chosen, Vectors) and chosen.space == SPACE
        assert np.array_equal(chosen.array, ROWS[index])
    assert vectors[[]].shape == (0, 3) and vectors[5:].shape == (0, 3)


def test_parts_keep_whose_they_are(windows: Vectors) -> None:
    part = windows[[4, 2]]
    assert (part.names, part.spans) == (("c.wav", "b.png"), (Span(3, 6), None))
    assert part.owners is not None and part.owners.tolist() == [2, 1]
    assert windows[:0].names == () and windows[:0].spans == ()


@pytest.mark.parametrize(
    ("at", "error", "says"),
    [
        (5, IndexError, r"there is no row 5 in <Vectors \(5, 3\) of toy:3>"),
        (-6, IndexError, "there is no row -6"),
        ([1, 7], IndexError, "index 7 is out of bounds"),
        (np.ones(4, dtype=bool), IndexError, "a mask for .* has 5 booleans, not 4"),
        ("a.wav", TypeError, "a number, a slice, a list of numbers or a mask of booleans, not by a str"),
        (True, TypeError, "not by a bool"),
        (1.0, TypeError, "not by a float"),
        ((0, 1), TypeError, r"not by a tuple; np.asarray\(vectors\) has all"),
        ([0.5], TypeError, "not by float64"),
        ([[0, 1]], TypeError, r"not by int64 \(1, 2\)"),
    ],
)
def test_what_chooses_no_rows_is_told(vectors: Vectors, at: object, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        vectors[at]  # type: ignore[call-overload]
    assert "\n" not in str(caught.value)


def test_arrow(vectors: Vectors, windows: Vectors) -> None:
    array = vectors.to_arrow()
    assert array.type == pa.list_(pa.float32(), 3)
    assert np.array_equal(np.array(array.to_pylist(), dtype=np.float32), ROWS)
    assert array.values.buffers()[1].address == vectors.array.ctypes.data  # not copied
    assert np.array_equal(np.array(vectors[::-2].to_arrow().to_pylist(), dtype=np.float32), ROWS[::-2])
    assert len(vectors[:0].to_arrow()) == 0
    table = windows.to_arrow()
    assert table.column_names == ["item", "name", "start", "end", "vector"]
    assert table.drop(["vector"]).to_pylist()[1:3] == [
        {"item": 0, "name": "a.wav", "start": 1.0, "end": 2.0},
        {"item": 1, "name": "b.png", "start": None, "end": None},
    ]
    assert np.array_equal(np.array(table["vector"].to_pylist(), dtype=np.float32), ROWS)


def test_a_wrong_array_is_told_and_nothing_changes(vectors: Vectors) -> None:
    for wrong, says in (
        (ROWS.astype(np.float64), r"wants float32 \(n, 3\), not float64 \(5, 3\)"),
        (ROWS[0], r"not float32 \(3,\)"),
        (ROWS[:, :2], r"not float32 \(5, 2\)"),
        (ROWS.tolist(), "a numpy array of float32 .*, not a list"),
        (None, "not a NoneType"),
    ):
        with pytest.raises(ValueError, match=says):
            Vectors(SPACE, wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="wants spans of each of its 5 rows, not 1"):
        Vectors(SPACE, ROWS, spans=(None,))
    with pytest.raises(dataclasses.FrozenInstanceError):
        vectors.space = SPACE  # type: ignore[misc]


def test_cosines_are_of_one_space(vectors: Vectors) -> None:
    assert np.allclose(vectors @ vectors, ROWS @ ROWS.T)
    with pytest.raises(SpaceMismatch):
        vectors @ Vectors(Space("other", "w", "p", 3), ROWS)
    with pytest.raises(TypeError, match=r"wants Vectors, .* not ndarray \(5, 3\)"):
        vectors @ ROWS  # type: ignore[operator]


def test_one_line_and_a_pickle(windows: Vectors) -> None:
    assert repr(windows) == "<Vectors (5, 3) of toy:3>"
    again = pickle.loads(pickle.dumps(windows))
    assert again.space == SPACE and np.array_equal(again.array, ROWS)
    assert (again.names, again.spans) == (windows.names, windows.spans)
