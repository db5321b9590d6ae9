"""analogon as parts of scikit-learn's pipelines: an encoder as a transformer, and a collection's nearest neighbours.

::

    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from analogon.sklearn import Embedder

    model = make_pipeline(Embedder("starter"), LogisticRegression())
    model.fit(texts, labels)
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from analogon.search.library import Library
from analogon.search.records import SpaceView, known_space
from analogon.settings.config import collection_path
from analogon.vectors.geometry import unit
from embed.errors import UsageError
from embed.inputs import encode, encoder_of
from embed.space import Space
from indexes.index import ExactIndex

__all__ = ["Embedder", "NearestItems"]

Rows = npt.NDArray[np.float32]


class Embedder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Encodes texts, files, sounds or pictures as unit vectors, float32 ``(n, dim)``: what ``analogon.encode`` does.

    ``model`` is the name of an encoder, an ``Encoder`` or what ``analogon.wrap`` takes. ``column`` chooses one of a
    data frame's columns. ``rate`` is that of samples in Hz, ``query`` encodes texts as questions, ``batch_size`` is how
    many go through the network together. There is nothing to fit: no label and no other row changes a vector.
    """

    def __init__(
        self,
        model: Any = "starter",
        *,
        column: str | None = None,
        rate: int | None = None,
        query: bool = False,
        batch_size: int | None = None,
    ) -> None:
        self.model = model
        self.column = column
        self.rate = rate
        self.query = query
        self.batch_size = batch_size

    def fit(self, X: Any, y: Any = None) -> Embedder:
        """Load the encoder; ``X`` is not looked at."""
        encoder = encoder_of(self.model)
        self.space_: Space = encoder.space
        self.n_features_out_: int = encoder.space.dim
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Embedder:
        """As ``fit``."""
        return self.fit(X, y)

    def transform(self, X: Any) -> Rows:
        """The vector of each item, float32 ``(n, dim)``. Raises ``UsageError`` and ``MediaError``."""
        encoder = encoder_of(self.model)
        if hasattr(self, "space_"):  # there is nothing that a fit would have learnt
            self.space_.check(encoder.space)
        return encode(
            encoder, _items(X, self.column), rate=self.rate, query=self.query, batch_size=self.batch_size
        ).array

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """``embedder0``, ``embedder1``, ...: components have no names."""
        check_is_fitted(self)
        return np.array([f"embedder{number}" for number in range(self.n_features_out_)], dtype=object)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.no_validation = True  # what is an item, the encoder says
        tags.requires_fit = False
        return tags


class NearestItems(BaseEstimator):  # type: ignore[misc]
    """The nearest items of a collection, as scikit-learn's ``NearestNeighbors`` gives them; distances are 1 - cosine.

    ``collection`` is the name or the folder of one, or an open ``Library``; None takes the rows that ``fit`` is given
    in its place. All rows are scanned, exactly. ``space`` and ``modality`` choose where there are several. After
    ``fit``, ``ids_`` int64 ``(n,)`` are the items' and ``X_`` float32 ``(n, dim)`` their unit rows, as of that moment.
    """

    def __init__(
        self,
        collection: str | os.PathLike[str] | Library | None = None,
        *,
        space: str | None = None,
        modality: str | None = None,
        n_neighbors: int = 5,
    ) -> None:
        self.collection = collection
        self.space = space
        self.modality = modality
        self.n_neighbors = n_neighbors

    def fit(self, X: Any = None, y: Any = None) -> NearestItems:
        """Open the collection; ``X`` are the rows where there is none, of any length but zero."""
        if self.collection is None:
            rows = validate_data(self, X, dtype=np.float64)
            self.X_ = unit(rows)
            self.ids_ = np.arange(len(rows), dtype=np.int64)
        else:
            given = self.collection if isinstance(self.collection, Library) else None
            library = given or Library.open(collection_path(self.collection))  # type: ignore[arg-type]
            try:
                view = SpaceView(library.collection, known_space(library.collection, self.space))
                held = view.modalities
                if self.modality is None and len(held) != 1:
                    raise UsageError(
                        f"{library.collection.name} holds {' and '.join(held) or 'nothing'}: choose with `modality`"
                    )
                side = view[self.modality or held[0]]
                self.X_, self.ids_ = side.array, side.ids
            finally:
                if given is None:
                    library.close()
            self.n_features_in_ = self.X_.shape[1]
        return self

    def kneighbors(
        self, X: Any = None, n_neighbors: int | None = None, return_distance: bool = True
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]] | npt.NDArray[np.int64]:
        """The nearest rows of each row of ``X`` ``(m, dim)``: distances float64 and indices int64, ``(m, k)`` each.

        Without ``X`` each row's own neighbours, itself left out. Indices are those of ``X_``: ``ids_[indices]`` are the
        items.
        """
        check_is_fitted(self)
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
            raise ValueError(f"n_neighbors is a whole number from 1, not {k!r}")
        own = X is None
        rows = self.X_ if own else unit(validate_data(self, X, reset=False, dtype=np.float64))
        most = len(self.X_) - own
        if k > most:
            raise ValueError(f"expected n_neighbors <= n_samples_fit, but n_neighbors = {k}, n_samples_fit = {most}")
        found = ExactIndex(np.ascontiguousarray(self.X_)).search(np.ascontiguousarray(rows), int(k) + own)
        indices, scores = found.rows, found.scores
        if own:
            indices, scores = _without_self(indices, scores)
        if not return_distance:
            return indices
        return np.maximum(0.0, 1.0 - scores.astype(np.float64)), indices


def _without_self(indices: npt.NDArray[np.int64], scores: Rows) -> tuple[npt.NDArray[np.int64], Rows]:
    """Each row's neighbours without the row itself; of equal ones it may be none of the first."""
    itself = indices == np.arange(len(indices))[:, None]
    itself[~itself.any(axis=1), -1] = True
    shape = (len(indices), indices.shape[1] - 1)
    return indices[~itself].reshape(shape), scores[~itself].reshape(shape)


def _items(X: Any, column: str | None) -> Any:
    """A data frame's column, or the items as they are; scikit-learn gives a column of texts as ``(n, 1)`` too."""
    columns = list(X.column_names if hasattr(X, "column_names") else getattr(X, "columns", ()))
    if column is not None:
        if column not in columns:
            have = f"has the columns {', '.join(map(str, columns))}" if columns else f"is {type(X).__name__}"
            raise UsageError(f"`column` {column!r} is one of a data frame's, and what was given {have}")
        X = X[column]
    elif columns:
        if len(columns) != 1:
            raise UsageError(f"the data frame has {len(columns)} columns: choose one with `column`")
        X = X[columns[0]]
    for listed in ("to_list", "to_pylist"):
        if hasattr(X, listed):
            return getattr(X, listed)()
    if isinstance(X, np.ndarray) and X.dtype.kind in "OUS":
        return X.reshape(-1).tolist()
    return X
