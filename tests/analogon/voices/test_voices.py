"""Kept voices against numpy written out: fits and odd takes; and that they come back from disk."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from analogon.voices import (
    SHELF,
    Recording,
    Voice,
    enroll,
)
from embed.errors import SpaceMismatch, UsageError
from tests.analogon.voices.rows import FLAT, OTHER, files, random_voice, units, voice_of_rows


def test_fits_are_cosines_with_the_mean_of_the_others() -> None:
    one = random_voice("narrator", 0, 5)
    rows = one.rows[FLAT].astype(np.float64)
    by_hand = []
    for i in range(5):
        others = sum(rows[j] for j in range(5) if j != i) / 4
        by_hand.append(rows[i] @ others / np.linalg.norm(others))
    assert one.fits(FLAT) == pytest.approx(by_hand, abs=1e-6)
    assert one.consistency(FLAT) == pytest.approx(np.mean(by_hand), abs=1e-6)


def test_one_take_fits_nothing() -> None:
    one = voice_of_rows("narrator", [[1, 0, 0, 0]])
    assert np.isnan(one.fits(FLAT)).all()
    assert one.consistency(FLAT) is None
    assert one.odd(FLAT) == []


def test_a_take_that_a_space_did_not_hear_takes_no_part() -> None:
    rows = units([[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]])
    rows[1] = 0
    one = Voice.of("narrator", [Recording(f"/{i}", str(i), 1.0) for i in range(3)], {FLAT: rows})
    assert one.vector(FLAT) == pytest.approx(units([2, 1, 0, 1]), abs=1e-6)
    assert one.fits(FLAT) == pytest.approx([0.5, np.nan, 0.5], abs=1e-6, nan_ok=True)


def test_takes_are_odd_beyond_three_scaled_median_deviations() -> None:
    from scipy.stats import median_abs_deviation

    tight = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        rows = np.array([2.0, 0, 0, 0]) + random.standard_t(2, size=(12, 4)) * 0.5
        one = voice_of_rows("narrator", rows.tolist())
        fits = one.fits(FLAT)
        apart = np.median(fits) - fits
        spread = median_abs_deviation(fits, scale="normal")
        assert one.odd(FLAT) == np.flatnonzero(apart > max(3 * spread, 0.1)).tolist()
        tight += int(((apart > max(2 * spread, 0.1)) & (apart <= 3 * spread)).sum())
    assert tight > 5  # takes that a smaller deviation would have named


def test_a_stranger_among_the_takes_is_named() -> None:
    near = [[1, 0.1, 0, 0], [1, 0, 0.1, 0], [1, 0, 0, 0.1], [1, 0.1, 0.1, 0]]
    one = voice_of_rows("narrator", [*near[:2], [1, 4, 0, 0], *near[2:]])
    assert one.odd(FLAT) == [2]
    fits = one.fits(FLAT)
    rest = np.mean([fits[i] for i in (0, 1, 3, 4)])
    (line,) = one.oddities()
    assert line.startswith(f"/narrator2.wav is unlike the others ({fits[2]:.2f}; the others {rest:.2f}; flat:4)")
    assert voice_of_rows("narrator", near).odd(FLAT) == []
    assert voice_of_rows("narrator", [near[0], [0, 0, 0, 1]]).odd(FLAT) == []  # of two, which?


def test_there_and_back(tmp_path: Path) -> None:
    one = enroll("narrator", files(tmp_path, 2), ["toy:8", "toy:5"]).voice
    one.save()
    two = Voice.load("narrator")
    assert (two.name, two.takes, two.mixed, two.created) == (one.name, one.takes, one.mixed, one.created)
    assert two.encoders == one.encoders
    assert list(two.vectors) == list(one.vectors)
    for space, vector in one.vectors.items():
        assert (two.vectors[space] == vector).all() and (two.rows[space] == one.rows[space]).all()
    Voice.remove("narrator")
    assert Voice.listing() == []
    with pytest.raises(
        UsageError,
        match=r"no voice called 'narrator'; there are: none yet; `analogon.*AddVoice\(...\).run\(\)` makes one",
    ):
        Voice.load("narrator")


def test_a_path_that_is_no_text_comes_back(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path / "x") + b"\xff.wav"
    Path(files(tmp_path, 1)[0]).rename(os.fsdecode(name))
    enroll("narrator", [os.fsdecode(name)], ["toy:8"]).voice.save()
    assert os.fsencode(Voice.load("narrator").takes[0].path) == name


def test_a_damaged_file_is_one_line_and_the_others_are_listed(home: Path) -> None:
    for name in ("anna", "bert", "carl", "dora"):
        random_voice(name, 1, 2).save()
    (home / "voices" / "bert.safetensors").write_bytes(b"\x10")
    SHELF.put("carl", {"spaces": [{"space": FLAT.to_json(), "encoder": None}]}, {"vector 0": np.ones(3, "f4")})
    SHELF.put("cora", {"spaces": [], "takes": [], "mixed": [], "created": ""}, {"vector 0": np.ones(3, "f4")})
    SHELF.put("cyd", {}, {})
    lines: list[str] = []
    assert [one.name for one in Voice.listing(lines.append)] == ["anna", "dora"]
    assert [Path(line.split(": ")[0]).stem for line in lines] == ["bert", "carl", "cora", "cyd"]
    assert all("not a readable voice" in line and line.endswith("add it again") for line in lines)


@pytest.mark.parametrize("vector", [np.ones(4, np.float32), np.zeros(4, np.float32), np.full(4, np.nan, np.float32)])
def test_a_vector_that_is_not_of_length_one_is_refused(vector: np.ndarray) -> None:
    with pytest.raises(ValueError, match="not of length 1"):
        Voice("narrator", {FLAT: vector})


def test_a_space_that_a_voice_has_not() -> None:
    with pytest.raises(SpaceMismatch, match="narrator is kept in flat:4, not in other:4"):
        random_voice("narrator", 0, 2).vector(OTHER)


def around(centre: list[float], seed: int, count: int, spread: float = 0.15) -> np.ndarray:
    return units(np.asarray(centre) + spread * np.random.default_rng(seed).normal(size=(count, 4)))


@pytest.mark.parametrize(("first", "second"), [(2, 2), (3, 2), (9, 4)])
def test_takes_of_two_people_are_told_apart(first: int, second: int) -> None:
    one, other = around([1, 0, 0, 0], 1, first), around([0.6, 0.8, 0, 0], 2, second)
    voice = voice_of_rows("narrator", np.concatenate([one, other]))
    order = np.random.default_rng(3).permutation(first + second)
    mingled = voice_of_rows("narrator", np.concatenate([one, other])[order])
    assert voice.groups(FLAT) == (list(range(first)), list(range(first, first + second)))
    found = mingled.groups(FLAT)
    assert found is not None
    assert {frozenset(order[group].tolist()) for group in found} == {
        frozenset(range(first)),
        frozenset(range(first, first + second)),
    }
    inside = [float(a @ b) for rows in (one, other) for i, a in enumerate(rows) for b in rows[i + 1 :]]
    between = [float(a @ b) for a in one for b in other]
    line = voice.oddities()[0]
    assert line.startswith("narrator: its takes are of two kinds that are unlike each other ")
    assert f"({np.mean(inside):.2f} inside of each, {np.mean(between):.2f} between them; flat:4)" in line
    more = f" and {second - 3} more" if second > 3 else ""
    names = ", ".join(f"/narrator{first + i}.wav" for i in range(min(second, 3)))
    assert line.endswith(f": are {names}{more} the voice of another person?")


def test_takes_of_one_person_are_no_two_groups() -> None:
    for seed in range(20):
        assert voice_of_rows("narrator", around([1, 0, 0, 0], seed, 8)).groups(FLAT) is None
    near = np.concatenate([around([1, 0, 0, 0], 1, 4, 0.01), around([1, 0.4, 0, 0], 2, 4, 0.01)])
    assert voice_of_rows("narrator", near).groups(FLAT) is None  # clear groups, but no further apart than one's takes
    stranger = np.concatenate([around([1, 0, 0, 0], 1, 5), around([0, 0, 0, 1], 2, 1)])
    assert voice_of_rows("narrator", stranger).groups(FLAT) is None  # one take is odd, no group
    assert voice_of_rows("narrator", stranger).odd(FLAT) == [5]
    assert voice_of_rows("narrator", around([1, 0, 0, 0], 1, 3)).groups(FLAT) is None
