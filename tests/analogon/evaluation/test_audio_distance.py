"""FAD and KAD against their definitions written out, closed forms, and their intervals' coverage."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import scipy.linalg
from rich.console import Console
from scipy.stats import t

from analogon.evaluation.audio_distance import (
    Recordings,
    compare,
    encode_recordings,
    fad,
    fad_infinity,
    jackknife,
    kad,
    median_distance,
    recordings_in,
)
from embed.encoder import load
from embed.errors import SpaceMismatch, UnsupportedModality, UsageError
from embed.space import Space
from tests.command_line import exit_code
from tests.sounds import folder, write

Floats = npt.NDArray[np.float64]


def fad_written_out(x: Floats, y: Floats) -> float:
    root = scipy.linalg.sqrtm(np.cov(x, rowvar=False) @ np.cov(y, rowvar=False)).real
    spread = np.trace(np.cov(x, rowvar=False) + np.cov(y, rowvar=False) - 2 * root)
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + spread)


def kad_written_out(x: Floats, y: Floats, sigma: float) -> float:
    def k(a: Floats, b: Floats) -> float:
        return math.exp(-sum((a - b) ** 2) / (2 * sigma**2))

    n, m = len(x), len(y)
    xx = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    xy = sum(k(a, b) for a in x for b in y) / (n * m)
    return 100 * (xx + yy - 2 * xy)


def recordings(rows: Floats, windows: int = 1, name: str = "r", dim_name: str = "w") -> Recordings:
    count = len(rows) // windows
    space = Space("toy", dim_name, "none", rows.shape[1])
    return Recordings(space, rows, np.repeat(np.arange(count), windows), tuple(f"{name}{i}.wav" for i in range(count)))


# -- the distances -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "m", "dim"), [(40, 30, 5), (300, 70, 20)])
def test_fad_is_its_definition(n: int, m: int, dim: int) -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(n, dim)), random.normal(size=(m, dim)) @ random.normal(size=(dim, dim)) + 0.3
    assert fad(x, y) == pytest.approx(fad_written_out(x, y), rel=1e-10)
    assert fad(y, x) == pytest.approx(fad(x, y), rel=1e-12)


def test_fad_stays_exact_where_covariances_have_not_full_rank() -> None:
    # Both sets in the same 3 of 50 dimensions, and 10 rows in 50: the distance is that of the 3 dimensions.
    random = np.random.default_rng(1)
    x, y = random.normal(size=(20, 3)), random.normal(size=(10, 3)) * 2 + 1
    turn = np.linalg.qr(random.normal(size=(50, 50)))[0][:3]
    assert fad(x @ turn, y @ turn) == pytest.approx(fad_written_out(x, y), rel=1e-10)
    assert fad(x @ turn, x @ turn) == pytest.approx(0.0, abs=1e-12)


def test_fad_of_gaussians_comes_to_the_closed_form_and_extrapolation_sooner() -> None:
    # N(0, 1) and N(mu, 1.5^2) in 20 dimensions: |mu|^2 + 20 * 0.5^2.
    truth = 20 * 0.2**2 + 20 * 0.5**2
    random = np.random.default_rng(2)
    plain, extrapolated = [], []
    for _ in range(12):
        x, y = random.normal(size=(150, 20)), random.normal(size=(150, 20)) * 1.5 + 0.2
        plain.append(fad(x, y))
        found = fad_infinity(x, y)
        assert found is not None
        extrapolated.append(found)
    assert np.mean(plain) > truth + 0.7  # biased
    assert np.mean(extrapolated) == pytest.approx(truth, abs=0.25)
    assert fad_infinity(random.normal(size=(41, 20)), random.normal(size=(400, 20))) is None


def test_extrapolation_draws_recordings_where_windows_resemble_each_other() -> None:
    """Windows of a recording are no samples of their own: drawn by the row they hide a part of the bias."""
    random = np.random.default_rng(13)
    owners = np.repeat(np.arange(60), 3)

    def drawn(at: float, spread: float) -> Floats:
        rows = math.sqrt(0.7) * random.normal(size=(60, 1, 10)) + math.sqrt(0.3) * random.normal(size=(60, 3, 10))
        return (rows * spread + at).reshape(-1, 10)

    by_recording, by_row = [], []
    for _ in range(12):
        x, y = drawn(0.0, 1.0), drawn(0.2, 1.5)
        by_recording.append(fad_infinity(x, y, owners=(owners, owners)) or math.nan)
        by_row.append(fad_infinity(x, y) or math.nan)
    truth = 10 * 0.2**2 + 10 * 0.5**2
    error = np.std(by_recording) / math.sqrt(12)
    assert np.mean(by_recording) == pytest.approx(truth, abs=3 * error) and error < 0.25
    assert np.mean(by_row) - np.mean(by_recording) > 0.4


@pytest.mark.parametrize(("n", "m"), [(7, 12), (12, 3)])
def test_kad_is_its_definition(n: int, m: int) -> None:
    random = np.random.default_rng(3)
    x, y = random.normal(size=(n, 4)), random.normal(size=(m, 4)) + 0.5
    distances = [float(np.linalg.norm(x[i] - x[j])) for i in range(n) for j in range(i)]
    assert median_distance(x) == pytest.approx(float(np.median(distances)), rel=1e-12)
    assert kad(x, y) == pytest.approx(kad_written_out(x, y, float(np.median(distances))), rel=1e-10)
    assert kad(x, y, bandwidth=0.7) == pytest.approx(kad_written_out(x, y, 0.7), rel=1e-10)


def test_kad_in_blocks_is_the_same() -> None:
    random = np.random.default_rng(4)
    x, y = random.normal(size=(1500, 3)), random.normal(size=(1100, 3)) + 0.2
    gaps = {
        "xx": scipy.spatial.distance.cdist(x, x) ** 2,
        "yy": scipy.spatial.distance.cdist(y, y) ** 2,
        "xy": scipy.spatial.distance.cdist(x, y) ** 2,
    }
    kernels = {name: np.exp(-gap / 2) for name, gap in gaps.items()}
    written_out = (
        (kernels["xx"].sum() - 1500) / (1500 * 1499)
        + (kernels["yy"].sum() - 1100) / (1100 * 1099)
        - 2 * kernels["xy"].mean()
    )
    assert kad(x, y, bandwidth=1.0) == pytest.approx(100 * written_out, rel=1e-9)


def closed_form_kad(shift: Floats, spread: float, sigma: float) -> float:
    """100 MMD^2 of N(0, 1) and N(shift, spread^2): the kernel's mean is that of a normal difference."""
    dim = len(shift)

    def mean_kernel(variance: float, gap: float) -> float:
        return float((sigma**2 / (sigma**2 + variance)) ** (dim / 2) * math.exp(-gap / (2 * (sigma**2 + variance))))

    gap = float(shift @ shift)
    return 100 * (mean_kernel(2, 0) + mean_kernel(2 * spread**2, 0) - 2 * mean_kernel(1 + spread**2, gap))


@pytest.mark.parametrize(("shift", "spread"), [(0.0, 1.0), (0.4, 1.3)])
def test_kad_is_unbiased_and_zero_on_average_without_a_difference(shift: float, spread: float) -> None:
    random = np.random.default_rng(5)
    found = np.array(
        [
            kad(random.normal(size=(12, 3)), random.normal(size=(9, 3)) * spread + shift, bandwidth=2.0)
            for _ in range(1500)
        ]
    )
    error = found.std() / math.sqrt(len(found))
    assert found.mean() == pytest.approx(closed_form_kad(np.full(3, shift), spread, 2.0), abs=3.5 * error)
    assert error < 0.25


def test_what_cannot_be_a_set_is_refused() -> None:
    with pytest.raises(ValueError, match="n > 1"):
        fad([[1.0, 2.0]], [[1.0, 2.0], [2.0, 1.0]])
    with pytest.raises(UsageError, match="KAD's bandwidth is 0"):
        kad(np.ones((4, 2)), np.eye(2))


# -- intervals ---------------------------------------------------------------------------------------------------------


def test_the_jackknife_of_a_mean_is_students_interval() -> None:
    values = np.random.default_rng(6).normal(size=15)
    left_out = [np.delete(values, i).mean() for i in range(15)]
    interval = jackknife(values.mean(), left_out)
    half = t.ppf(0.975, 14) * values.std(ddof=1) / math.sqrt(15)
    assert (interval.low, interval.high) == pytest.approx((values.mean() - half, values.mean() + half), rel=1e-9)


def test_the_jackknife_of_a_difference_is_welchs_interval() -> None:
    random = np.random.default_rng(7)
    x, y = random.normal(size=12), random.normal(size=7) * 3
    value = x.mean() - y.mean()
    interval = jackknife(
        value,
        [np.delete(x, i).mean() - y.mean() for i in range(12)],
        [x.mean() - np.delete(y, i).mean() for i in range(7)],
    )
    welch = scipy.stats.ttest_ind(x, y, equal_var=False).confidence_interval(0.95)
    assert (interval.low, interval.high) == pytest.approx((welch.low, welch.high), rel=1e-9)


def test_intervals_are_those_of_leaving_each_recording_out_with_all_its_windows() -> None:
    random = np.random.default_rng(8)
    x, y = random.normal(size=(15, 4)), random.normal(size=(8, 4)) + 1
    found = compare(recordings(x, 3, "x"), recordings(y, 2, "y"))
    sigma = median_distance(x)
    assert found.bandwidth == sigma
    for distance, of in (
        (found.kad, lambda a, b: kad_written_out(a, b, sigma)),
        (found.fad, fad_written_out),
    ):
        assert distance.value == pytest.approx(of(x, y), rel=1e-9)
        interval = jackknife(
            of(x, y),
            [of(np.delete(x, range(3 * i, 3 * i + 3), axis=0), y) for i in range(5)],
            [of(x, np.delete(y, range(2 * i, 2 * i + 2), axis=0)) for i in range(4)],
        )
        assert distance.interval.to_json() == pytest.approx(interval.to_json(), rel=1e-6)


@pytest.mark.parametrize(("shift", "windows"), [(0.0, 1), (0.5, 3)])
def test_intervals_hold_what_they_are_about_in_95_of_100_simulations(shift: float, windows: int) -> None:
    """KAD's interval holds the true distance; FAD's the mean over such samples, which is above the true distance."""
    random = np.random.default_rng(9)

    def drawn(count: int, at: float) -> Recordings:
        own, of_window = random.normal(size=(count, 1, 3)), random.normal(size=(count, windows, 3))
        rows = math.sqrt(0.7) * own + math.sqrt(0.3) * of_window
        return recordings(rows.reshape(-1, 3) + at, windows)

    found = [compare(drawn(25, 0.0), drawn(20, shift), splits=1) for _ in range(60)]
    mean = float(np.mean([one.fad.value for one in found]))
    holds_fad = np.mean([one.fad.interval.low <= mean <= one.fad.interval.high for one in found])
    truths = [closed_form_kad(np.full(3, shift), 1.0, one.bandwidth) for one in found]
    holds_kad = np.mean(
        [one.kad.interval.low <= truth <= one.kad.interval.high for one, truth in zip(found, truths, strict=True)]
    )
    # 60 simulations: a true coverage of 0.95 gives at least 0.87 in 99 of 100.
    assert 0.87 <= holds_kad <= 1.0
    assert 0.87 <= holds_fad <= 1.0
    for distances in ([one.kad for one in found], [one.fad for one in found]):
        spread = np.std([one.value for one in distances])
        widths = [one.interval.high - one.interval.low for one in distances]
        assert 3.5 < np.mean(widths) / spread < 7  # no interval without end: 3.9 for a known normal distribution


def test_halves_of_the_reference_are_what_chance_gives() -> None:
    random = np.random.default_rng(10)
    x = random.normal(size=(40, 3))
    found = compare(recordings(x, 2, "x"), recordings(random.normal(size=(40, 3)) + 3, 2, "y"))
    assert found.kad.halves.low < 0 < found.kad.halves.high < found.kad.interval.low
    assert 0 < found.fad.halves.low < found.fad.halves.high < found.fad.interval.low
    again = compare(recordings(x, 2, "x"), recordings(random.normal(size=(40, 3)), 2, "y"))
    assert again.kad.halves == found.kad.halves  # of the reference alone
    # 95 % of the distances: of two the range reaches from 0.025 to 0.975 of the way between them.
    one, two = (compare(recordings(x, 2, "x"), recordings(x + 3, 2, "y"), splits=count) for count in (1, 2))
    for single, pair in ((one.kad.halves, two.kad.halves), (one.fad.halves, two.fad.halves)):
        margin = (pair.high - pair.low) * 0.025 / 0.95
        assert single.low == single.high
        assert min(abs(single.low - (pair.low - margin)), abs(single.low - (pair.high + margin))) < 1e-12


def test_what_to_know_is_told() -> None:
    random = np.random.default_rng(11)
    x = recordings(random.normal(size=(30, 40)), 3, "x")
    found = compare(x, recordings(random.normal(size=(50, 40)), 1, "x"))
    assert found.fad_infinity is None
    assert [remark.split(":")[0] for remark in found.remarks] == [
        "30 reference vectors in 40 dimensions give no covariance of full rank",
        "reference recordings have 3 windows on average, which resemble each other",
        "10 recordings are in both sets, which makes both distances too small",
    ]


def test_too_few_and_two_spaces_are_refused_in_one_line() -> None:
    rows = np.random.default_rng(12).normal(size=(6, 3))
    with pytest.raises(
        UsageError, match="2 evaluated recordings could be encoded; a distance with an interval needs 3"
    ):
        compare(recordings(rows), recordings(rows[:2]))
    with pytest.raises(UsageError, match="3 reference recordings could be encoded; .* needs 4"):
        compare(recordings(rows[:3]), recordings(rows))
    with pytest.raises(SpaceMismatch):
        compare(recordings(rows), recordings(rows, dim_name="other"))


# -- recordings --------------------------------------------------------------------------------------------------------


def test_windows_and_whole_recordings_belong_to_their_files(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", 1, 2.6)
    write(tmp_path / "b.wav", 2, 0.4)
    (tmp_path / "a.wav.json").write_text("{}")
    (tmp_path / "bad.wav").write_text("no sound")
    told: list[str] = []
    files = recordings_in([tmp_path], told.append)
    assert [Path(name).name for name in files] == ["a.wav", "b.wav", "bad.wav"]
    made = encode_recordings(load("toy"), files, skipped=told.append)
    assert [Path(path).name for path in made.paths] == ["a.wav", "b.wav"]
    assert made.owners.tolist() == [0, 0, 0, 1]
    assert len(told) == 1 and "bad.wav" in told[0]
    whole = encode_recordings(load("toy"), files, whole=True, skipped=told.append)
    mean = made.rows[:3].mean(axis=0)
    np.testing.assert_allclose(whole.rows, [mean / np.linalg.norm(mean), made.rows[3]], atol=1e-7)
    with pytest.raises(UnsupportedModality, match="a distance of recordings wants audio"):
        encode_recordings(load("words:" + str(word_vectors(tmp_path))), files, skipped=told.append)


def word_vectors(where: Path) -> Path:
    (where / "words.txt").write_text("king\nqueen\n")
    np.save(where / "vectors.npy", np.eye(2, dtype=np.float32))
    return where


def test_the_command_prints_figures_and_passes_over_what_is_no_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder(tmp_path / "reference", 8)
    for number in range(20, 25):
        write(tmp_path / "out" / f"{number}.wav", number)
        (tmp_path / "out" / f"{number}.wav.json").write_text("{}")
    (tmp_path / "out" / "bad.wav").write_text("no sound")
    arguments = ["eval", "audio", str(tmp_path / "out"), "--reference", str(tmp_path / "reference")]
    assert exit_code(monkeypatch, *arguments, "-e", "toy", "-e", "toy:4", "-f", "json") == 0
    out, err = capsys.readouterr()
    assert err.count("skipped") == 1 and "bad.wav" in err and "Traceback" not in err
    first, second = map(json.loads, out.splitlines())
    assert (first["encoder"], second["encoder"]) == ("toy:8", "toy:4")
    assert first["recordings"] == {"evaluated": 5, "reference": 8}
    encoder = load("toy")
    sets = [
        encode_recordings(encoder, recordings_in([tmp_path / name], print), skipped=lambda line: None)
        for name in ("reference", "out")
    ]
    assert first["kad"]["value"] == pytest.approx(kad(sets[0].rows, sets[1].rows), rel=1e-12)
    assert first["fad"]["value"] == pytest.approx(fad(sets[0].rows, sets[1].rows), rel=1e-12)
    assert exit_code(monkeypatch, *arguments, "-e", "toy", "--whole") == 0
    assert "8 whole recordings" in capsys.readouterr().out
    # At a terminal of 80 columns no figure is cut.
    monkeypatch.setattr("analogon.cli.evaluate.stdout", lambda: Console(width=80))
    assert exit_code(monkeypatch, *arguments, "-e", "toy") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:3]]
    for row, name in zip(rows, ("kad", "fad"), strict=True):
        told = first[name]
        figures = [told["value"], *told["interval"], *told["halves"]]
        assert row[:2] == ["toy", name.upper()] or row[:2] == ["toy:8", name.upper()]
        assert [cell for cell in row[2:] if cell != "to"] == [f"{figure:.4g}" for figure in figures]


@pytest.mark.parametrize(
    ("evaluated", "said"),
    [("none", "no such file or folder"), ("empty", "there are no recordings"), ("few", "2 evaluated recordings")],
)
def test_the_command_refuses_too_little_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], evaluated: str, said: str
) -> None:
    folder(tmp_path / "reference", 6)
    folder(tmp_path / "few", 2)
    (tmp_path / "empty").mkdir()
    reference = str(tmp_path / "reference")
    assert (
        exit_code(monkeypatch, "eval", "audio", str(tmp_path / evaluated), "--reference", reference, "-e", "toy") == 2
    )
    out, err = capsys.readouterr()
    assert said in err and len(err.splitlines()) == 1 and not out
