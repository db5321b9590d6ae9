"""The parts for scikit-learn: its own checks, and the same neighbours and vectors as without it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas
import pyarrow
import pytest
from sklearn.neighbors import NearestNeighbors
from sklearn.utils.estimator_checks import check_estimator

import analogon
from analogon.sklearn import Embedder, NearestItems
from embed.errors import UsageError

TEXTS = ["rain on a roof", "a dog", "thunder", "a cat", "bells"]
SKIPPED = {
    # The array API is asked for by an environment variable of scipy's, which nobody set.
    "check_array_api_input": "SCIPY_ARRAY_API",
}


def test_neighbours_pass_all_of_scikit_learns_checks() -> None:
    results = check_estimator(NearestItems(), on_skip=None)
    skipped = {one["check_name"]: str(one["exception"]) for one in results if one["status"] == "skipped"}
    assert skipped.keys() <= SKIPPED.keys()
    assert all(SKIPPED[name] in reason for name, reason in skipped.items())
    assert sum(one["status"] == "passed" for one in results) >= 40


def test_the_embedder_passes_the_checks_of_an_estimator_that_takes_no_numbers() -> None:
    # What an item is, the encoder says (``no_validation``), so scikit-learn has few checks that fit.
    results = check_estimator(Embedder("toy"), on_skip=None)
    assert results and all(one["status"] == "passed" for one in results)


def test_neighbours_are_scikit_learns_own_by_cosine() -> None:
    random = np.random.default_rng(0)
    rows, asked = random.normal(size=(60, 12)), random.normal(size=(9, 12))
    ours, theirs = NearestItems(n_neighbors=4).fit(rows), NearestNeighbors(n_neighbors=4, metric="cosine").fit(rows)
    for question in (asked, None):
        distances, found = ours.kneighbors(question)
        expected, places = theirs.kneighbors(question)
        np.testing.assert_array_equal(found, places)
        np.testing.assert_allclose(distances, expected, atol=1e-6)
    with pytest.raises(ValueError, match="n_samples_fit = 59"):
        ours.kneighbors(n_neighbors=60)


def test_neighbours_of_a_collection(tmp_path: Path) -> None:
    with analogon.open(tmp_path / "kept", create=True) as library:
        library.add(TEXTS, ids=range(5), encoders="toy")
        vectors = library.space()["text"].array.copy()
        nearest = NearestItems(library, n_neighbors=1).fit()
        assert library.get(2).items[0] == int(nearest.ids_[nearest.kneighbors(vectors[2:3])[1][0, 0]])
    again = NearestItems(tmp_path / "kept", n_neighbors=1).fit()
    np.testing.assert_array_equal(again.X_, vectors)


def test_vectors_are_those_of_encode() -> None:
    expected = analogon.encode("toy", TEXTS).array
    np.testing.assert_array_equal(Embedder("toy").fit_transform(TEXTS), expected)
    np.testing.assert_array_equal(Embedder("toy").fit_transform(np.array(TEXTS)[:, None]), expected)
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"words": TEXTS, "n": range(5)})
    np.testing.assert_array_equal(Embedder("toy", column="words").fit_transform(frame), expected)
    with pytest.raises(UsageError, match="2 columns"):
        Embedder("toy").fit_transform(frame)
    assert Embedder("toy").fit(TEXTS).get_feature_names_out()[-1] == "embedder7"


def test_any_kind_of_frame_and_no_fit() -> None:
    texts = ["rain on a roof", "a dog"]
    expected = analogon.encode("toy", texts).array
    frame = pandas.DataFrame({"text": texts, "n": [1, 2]})
    for given in (frame, pyarrow.table({"text": texts, "n": [1, 2]})):
        np.testing.assert_array_equal(Embedder("toy", column="text").transform(given), expected)
    np.testing.assert_array_equal(Embedder("toy").transform(pyarrow.table({"text": texts})), expected)
    for wrong, column in ((frame, "txt"), (texts, "text"), (np.array(texts)[:, None], 0)):
        with pytest.raises(UsageError, match="`column`"):
            Embedder("toy", column=column).transform(wrong)
