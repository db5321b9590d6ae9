"""The space a vector lives in, and arrays of vectors that know theirs."""

from __future__ import annotations

import functools
import hashlib
import json
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
import numpy.typing as npt

from embed.errors import SpaceMismatch, spelled_out
from embed.media import Span

__all__ = ["Space", "Vectors", "unit"]

T = TypeVar("T")


@functools.cache
def _id(weights: str, preprocessing: str, dim: int) -> str:
    key = json.dumps([weights, preprocessing, dim])
    return hashlib.blake2b(key.encode(), digest_size=6).hexdigest()


@dataclass(frozen=True, slots=True)
class Space:
    """One embedding space; equality means "vectors are comparable".

    ``model`` is what a person typed (``clap:laion/clap-htsat-unfused``) and takes no part in equality: the same
    weights in another folder are the same space. ``weights`` is a hash of the weights' bytes, ``preprocessing``
    says all that happens between a file and the model, ``dim`` is the number of components.
    """

    model: str = field(compare=False)
    weights: str
    preprocessing: str
    dim: int

    @property
    def id(self) -> str:
        """Twelve hex digits that stand for this space in file names and catalogs."""
        return _id(self.weights, self.preprocessing, self.dim)

    @property
    def name(self) -> str:
        """The model without the folders that it lies in, as results name it: ``clap:clap-htsat-unfused``."""
        family, colon, model = self.model.partition(":")
        return family + colon + (Path(model).name if colon else "")

    def __str__(self) -> str:
        return f"{self.model} ({self.dim}-d, weights {self.weights[:8]}, {self.preprocessing})"

    def beside(self, other: Space) -> tuple[str, str]:
        """What to call this space and another where both are named: the models, if these tell them apart."""
        return (str(self), str(other)) if self.model == other.model else (self.model, other.model)

    def to_json(self) -> dict[str, Any]:
        """The fields, for a manifest."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Space:
        """The inverse of ``to_json``."""
        return cls(**{key: fields[key] for key in ("model", "weights", "preprocessing", "dim")})

    def check(self, other: Space) -> None:
        """Raise ``SpaceMismatch``, naming both, unless ``other`` is this space."""
        if self != other:
            raise SpaceMismatch(f"two spaces cannot be compared: {self} and {other}")


def unit(array: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Rows scaled to length 1, as float32; a row of zeros stays zero.

    >>> unit([[3.0, 4.0], [0.0, 0.0]]).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    rows = np.asarray(array, dtype=np.float64)
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    return (rows / np.where(norms == 0.0, 1.0, norms)).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Vectors:
    """Unit rows, float32 ``(n, space.dim)``, and the space that they live in: an array that knows what it means.

    ``np.asarray(vectors)`` is ``array`` itself, without a copy; ``vectors[3]`` is a row, float32 ``(dim,)``, and a
    slice, a mask or a list of numbers gives ``Vectors``. Where windows of long media were kept, row ``i`` is of item
    number ``owners[i]``, called ``names[i]``, of which it covers ``spans[i]`` (None: all of it).

    >>> three = Vectors(Space("toy:2", "", "", 2), unit([[3, 4], [1, 0], [0, 1]]))
    >>> three, three[1].tolist(), three[[0, 2]].shape
    (<Vectors (3, 2) of toy:2>, [1.0, 0.0], (2, 2))
    """

    space: Space
    array: npt.NDArray[np.float32]
    names: tuple[str, ...] | None = None
    spans: tuple[Span | None, ...] | None = None
    owners: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        array = self.array
        if not isinstance(array, np.ndarray):
            raise ValueError(f"Vectors wants a numpy array of float32 (n, {self.space.dim}), not {_kind(array)}")
        if array.ndim != 2 or array.shape[1] != self.space.dim or array.dtype != np.float32:
            raise ValueError(f"Vectors wants float32 (n, {self.space.dim}), not {array.dtype} {array.shape}")
        for what, values in (("names", self.names), ("spans", self.spans), ("owners", self.owners)):
            if values is not None and len(values) != len(array):
                raise ValueError(f"Vectors wants {what} of each of its {len(array)} rows, not {len(values)}")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and components: ``(n, dim)``."""
        return len(self.array), self.space.dim

    @property
    def dim(self) -> int:
        """Components of each row."""
        return self.space.dim

    @property
    def ndim(self) -> int:
        """2, as an array of rows has it."""
        return 2

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """float32."""
        return self.array.dtype

    def __len__(self) -> int:
        return len(self.array)

    def __iter__(self) -> Iterator[npt.NDArray[np.float32]]:
        return iter(self.array)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """``array``, or a copy of it where another ``dtype`` or a copy is asked for.

        As numpy 2 asks it, ``copy=False`` raises ``ValueError`` where it cannot do without one.
        """
        changes = dtype is not None and np.dtype(dtype) != self.array.dtype
        if changes and copy is False:
            raise ValueError(f"Vectors are float32: as {np.dtype(dtype)} they cannot be had without a copy")
        if changes or copy:
            return self.array.astype(dtype if dtype is not None else np.float32)
        return self.array

    @overload
    def __getitem__(self, at: int | np.integer[Any]) -> npt.NDArray[np.float32]: ...
    @overload
    def __getitem__(self, at: slice | Sequence[int] | Sequence[bool] | npt.NDArray[Any]) -> Vectors: ...
    def __getitem__(self, at: Any) -> npt.NDArray[np.float32] | Vectors:
        if isinstance(at, slice):
            return self._rows(at)
        if hasattr(at, "__index__") and not isinstance(at, bool | np.bool_ | np.ndarray):
            try:
                row: npt.NDArray[np.float32] = self.array[operator.index(at)]
            except IndexError:
                raise IndexError(f"there is no row {at} in {self!r}") from None
            return row
        wanted = "rows are chosen by a number, a slice, a list of numbers or a mask of booleans"
        if not isinstance(at, list | range | np.ndarray) and not hasattr(at, "__array__"):
            raise TypeError(f"{wanted}, not by {_kind(at)}; np.asarray(vectors) has all that numpy does")
        index = np.asarray(at)
        if not index.size and index.ndim == 1 and index.dtype != np.bool_:
            index = index.astype(np.int64)
        if index.ndim != 1 or index.dtype.kind not in "iub":
            raise TypeError(
                f"{wanted}, not by {index.dtype} {index.shape}; np.asarray(vectors) has all that numpy does"
            )
        if index.dtype == np.bool_ and len(index) != len(self):
            raise IndexError(f"a mask for {self!r} has {len(self)} booleans, not {len(index)}")
        return self._rows(index)

    def _rows(self, at: slice | npt.NDArray[Any]) -> Vectors:
        try:
            array = self.array[at]
        except IndexError as error:
            raise IndexError(f"{self!r}: {error}") from None
        numbers = np.arange(len(self))[at]

        def taken(values: Sequence[T] | None) -> tuple[T, ...] | None:
            return None if values is None else tuple(values[number] for number in numbers)

        owners = None if self.owners is None else self.owners[at]
        return Vectors(self.space, array, taken(self.names), taken(self.spans), owners)

    def __matmul__(self, other: Vectors) -> npt.NDArray[np.float32]:
        """Cosines of every row with every row of ``other``: ``(len(self), len(other))``."""
        if not isinstance(other, Vectors):
            raise TypeError(
                f"Vectors @ wants Vectors, whose space it can check, not {_kind(other)}; "
                "np.asarray(vectors) @ x multiplies numbers alone"
            )
        self.space.check(other.space)
        product: npt.NDArray[np.float32] = self.array @ other.array.T
        return product

    def to_arrow(self) -> Any:
        """The rows as a ``pyarrow`` array of ``fixed_size_list<float>[dim]``, without a copy.

        Where windows were kept, a table with them: ``item`` (int64), ``name`` (string), ``start`` and ``end`` (float64,
        null for a whole item) and ``vector``.
        """
        import pyarrow as pa

        flat = np.ascontiguousarray(self.array).reshape(-1)
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(flat), self.dim)
        columns: dict[str, Any] = {}
        if self.owners is not None:
            columns["item"] = pa.array(self.owners, pa.int64())
        if self.names is not None:
            columns["name"] = pa.array(map(spelled_out, self.names), pa.string())
        if self.spans is not None:
            columns["start"] = pa.array((None if one is None else one.start for one in self.spans), pa.float64())
            columns["end"] = pa.array((None if one is None else one.end for one in self.spans), pa.float64())
        return pa.table(columns | {"vector": vectors}) if columns else vectors

    def __repr__(self) -> str:
        return f"<Vectors {self.shape} of {self.space.name}>"


def _kind(thing: object) -> str:
    """What something is, for a message."""
    shape = getattr(thing, "shape", None)
    return f"{type(thing).__name__} {tuple(shape)}" if shape else f"a {type(thing).__name__}"
