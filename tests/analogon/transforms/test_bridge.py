"""Bridges against scikit-learn, SciPy and plain loops; what they carry, keep, and refuse."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy.linalg import orthogonal_procrustes
from sklearn.linear_model import Ridge

import analogon
from analogon.transforms import bridge
from analogon.transforms.bridge import ASIF_POWER, NEAREST, SHARPNESS, Bridge, HeldOut
from analogon.vectors.geometry import unit
from analogon.vectors.measure import wilson
from embed import Media, Space, encode, load
from embed.errors import SpaceMismatch, UnsupportedModality, UsageError
from tests import sounds
from tests.command_line import exit_code, family

Rows = npt.NDArray[np.float32]
HERE, THERE = Space("here", "h", "none", 12), Space("there", "t", "none", 12)
NOTHING = HeldOut(0, 0.0, 0.0, wilson(0, 0))


def rows(count: int, dim: int = 12, seed: int = 0) -> Rows:
    return unit(np.random.default_rng(seed).normal(size=(count, dim)))


def built(method: str, x: Rows, y: Rows, means: dict[tuple[str, str], Rows] | None = None) -> Bridge:
    arrays, penalty = bridge.solve(method, x, y)
    whole = {("source", "text"): x.mean(axis=0), ("target", "text"): y.mean(axis=0), **(means or {})}
    return Bridge("b", HERE, THERE, method, ({}, {}), len(x), "", NOTHING, whole, arrays, penalty)


def test_ridge_is_scikit_learns() -> None:
    x, y = rows(80, 12, 1), rows(80, 7, 2)
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    expected = Ridge(alpha=0.7, fit_intercept=False).fit(x.astype(float), y.astype(float)).coef_.T
    assert bridge.ridge(x, y, 0.7) == pytest.approx(expected, abs=1e-5)


def test_procrustes_is_scipys() -> None:
    x, y = rows(80, 12, 1), rows(80, 12, 2)
    expected, _ = orthogonal_procrustes(x.astype(float), y.astype(float))
    assert bridge.procrustes(x, y) == pytest.approx(expected, abs=1e-5)
    wide = bridge.procrustes(x, rows(80, 20, 3))
    assert wide @ wide.T == pytest.approx(np.eye(12), abs=1e-5)
    narrow = bridge.procrustes(x, rows(80, 5, 3))
    assert narrow.T @ narrow == pytest.approx(np.eye(5), abs=1e-5)


def test_two_hops_in_a_loop() -> None:
    x, y, asked = rows(60, 12, 1), rows(60, 12, 2), rows(4, 12, 3)
    made = built("two-hops", x, y)
    near = unit(x - x.mean(axis=0)).astype(float)
    for query, carried in zip(asked, made.apply(asked, "text"), strict=True):
        centred = query - x.mean(axis=0)
        cosines = near @ (centred / np.linalg.norm(centred))
        best = sorted(range(60), key=lambda i: -cosines[i])[:NEAREST]
        weights = [np.exp(SHARPNESS * cosines[i]) for i in best]
        expected = sum(w * (y[i] - y.mean(axis=0)) for w, i in zip(weights, best, strict=True)) / sum(weights)
        far = np.sqrt(
            np.mean([np.sum((row - y.mean(axis=0)) ** 2) for row in y])
        )  # as far as texts are from their mean
        expected = far * expected / np.linalg.norm(expected) + y.mean(axis=0)
        assert carried == pytest.approx(expected / np.linalg.norm(expected), abs=1e-5)


@pytest.mark.parametrize("power", [ASIF_POWER, 8])
def test_asif_in_a_loop(monkeypatch: pytest.MonkeyPatch, power: int) -> None:
    monkeypatch.setattr(bridge, "ASIF_KEPT", 9)
    monkeypatch.setattr(bridge, "BLOCK", 80)  # two rows of forty cosines
    x, y, asked, targets = rows(40, 12, 1), rows(40, 12, 2), rows(3, 12, 3), rows(5, 12, 4)

    def relative(row: Rows, anchors: Rows) -> npt.NDArray[np.float64]:
        cosines = np.array([max(0.0, float(row.astype(float) @ anchor)) for anchor in anchors])
        cut = sorted(cosines)[-9]
        kept = np.array([c**power if c >= cut else 0.0 for c in cosines])
        return kept / np.linalg.norm(kept)

    expected = [[relative(q, x) @ relative(t, y) for t in targets] for q in asked]
    assert bridge.asif_scores(asked, x, targets, y, power) == pytest.approx(np.array(expected), abs=1e-5)


def test_asifs_vector_gives_its_scores_where_the_target_side_is_left_as_it_is() -> None:
    x, y, asked, targets = rows(40, 12, 1), rows(40, 12, 2), rows(3, 12, 3), rows(5, 12, 4)
    made = built("asif", x, y)
    nothing = np.zeros(12, np.float32)
    scores = made.apply(asked, "text", source_mean=nothing, target_mean=nothing) @ targets.T
    weights = np.maximum(asked @ made.arrays["x"].T, 0.0) ** ASIF_POWER
    expected = weights @ (targets @ (y - y.mean(axis=0)).T).T
    for row, exact in zip(scores, expected, strict=True):
        assert np.corrcoef(row, exact)[0, 1] > 0.99999


@pytest.mark.parametrize("method", bridge.METHODS)
def test_a_turned_space_is_crossed_without_loss(method: str) -> None:
    turn, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(12, 12)))
    x = rows(400, 12, 6)
    y = unit(x @ turn)
    made = built(method, x[:300], y[:300])
    scores = made.scores(x[300:], "text", y[300:], "text")
    first = (scores.argmax(axis=1) == np.arange(100)).mean()
    assert first == 1.0 if method in ("ridge", "procrustes") else first > 0.5  # chance is 0.01


def test_a_modality_that_lies_apart_wants_its_own_means() -> None:
    turn, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(12, 12)))
    x = rows(300, 12, 6)
    y = unit(x @ turn)
    gap_here, gap_there = 2 * rows(2, 12, 7)
    meant = rows(200, 12, 8)
    pictures, heard = unit(meant + gap_here), unit(meant @ turn + gap_there)
    noise = 0.05 * np.random.default_rng(9).normal(size=(200, 12))
    pictures = unit(pictures + noise)

    def first(made: Bridge) -> float:
        return float((made.scores(pictures, "image", heard, "audio").argmax(axis=1) == np.arange(200)).mean())

    means = {("source", "image"): pictures.mean(axis=0), ("target", "audio"): heard.mean(axis=0)}
    plain, centred = built("ridge", x, y), built("ridge", x, y, means)
    assert first(centred) > 0.6 > 2 * first(plain)
    given = plain.apply(pictures, "image", "audio", source_mean=pictures.mean(axis=0), target_mean=heard.mean(axis=0))
    assert given == pytest.approx(centred.apply(pictures, "image", "audio"), abs=1e-6)


def test_a_map_that_shrinks_is_not_drowned_by_the_mean() -> None:
    x, y, asked = rows(60, 12, 1), unit(rows(60, 12, 2) + 0.2), rows(4, 12, 3)
    made = built("ridge", x, y)
    shrunk = replace(made, arrays={"map": made.arrays["map"] / 100})
    assert shrunk.apply(asked, "text") == pytest.approx(made.apply(asked, "text"), abs=1e-6)
    # Before it is normalised, what arrives is as far from the mean as texts are, in the root mean square.
    middle = y.mean(axis=0, dtype=float)
    step = (asked - x.mean(axis=0)) @ made.arrays["map"]
    far = np.sqrt(((y - middle) ** 2).sum(axis=1).mean())
    whole = far * step / np.linalg.norm(step, axis=1, keepdims=True) + middle
    assert made.apply(asked, "text") == pytest.approx(whole / np.linalg.norm(whole, axis=1, keepdims=True), abs=1e-5)


def test_texts_never_change_sides_and_count_once() -> None:
    texts = [f"caption number {i}" for i in range(1000)]
    learnt, asked = bridge.split(texts, 0.1)
    assert sorted(learnt + asked) == sorted(texts) and 60 < len(asked) < 140
    again, held = bridge.split([*texts[:500], "  CAPTION   number 7 ", "", "another"], 0.1)
    assert set(held) - {"another"} <= set(asked) and set(again) - {"another"} <= set(learnt)
    assert sum(text.casefold()[-8:] == "number 7" for text in again + held) == 1


WORDS = ("rain", "wind", "dog", "bell", "car", "sea", "fire", "bird", "door", "train", "drum", "voice")


def captions(count: int = 260) -> list[str]:
    random = np.random.default_rng(3)
    return [" ".join(random.choice(WORDS, 3, replace=False)) for _ in range(count)]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANALOGON_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def fitted(source: str, target: str, method: str = "ridge", name: str = "b") -> Bridge:
    sides = [(load(one), {"family": one.split(":")[0], "model": one.split(":")[1]}) for one in (source, target)]
    return bridge.fit(name, sides[0], sides[1], captions(), method=method)


@pytest.mark.parametrize("method", bridge.METHODS)
def test_what_is_kept_comes_back(home: Path, method: str) -> None:
    made = fitted("toy:8", "toy:24", method)
    assert made.held_out.n > 10 and made.held_out.recall_at_10 > 2 * made.held_out.chance_at_10
    made.save()
    back = bridge.load("b")
    assert (back.source, back.target, back.method, back.texts) == (made.source, made.target, method, made.texts)
    assert (back.digest, back.held_out, back.penalty) == (made.digest, made.held_out, made.penalty)
    asked = rows(3, 8)
    assert back.apply(asked, "image", "audio").tolist() == made.apply(asked, "image", "audio").tolist()
    assert [one.name for one in bridge.leading_to(made.target)] == ["b"]
    assert bridge.leading_to(made.source) == []
    bridge.remove("b")
    with pytest.raises(UsageError, match="no bridge called 'b'"):
        bridge.load("b")


def test_held_out_recall_is_that_of_the_texts_held_out(home: Path) -> None:
    made = fitted("toy:8", "toy:24")
    _, asked = bridge.split(captions(), 0.1)
    x, y = (encode(load(one), [Media.from_text(text) for text in asked]).array for one in ("toy:8", "toy:24"))
    scores = made.apply(x, "text") @ y.T
    places = [int((row > row[i]).sum()) for i, row in enumerate(scores)]
    assert made.held_out.n == len(asked)
    assert made.held_out.recall_at_10 == pytest.approx(np.mean([place < 10 for place in places]), abs=1 / len(asked))


@pytest.mark.parametrize("method", bridge.METHODS)
def test_nothing_is_learnt_from_texts_held_out(home: Path, method: str) -> None:
    learnt, asked = bridge.split(captions(), 0.1)
    sides = [(load(one), {"family": "toy"}) for one in ("toy:8", "toy:24")]
    # Held-out texts come again in other clothes: they are the same texts, and are still held out.
    whole = bridge.fit("b", sides[0], sides[1], [*captions(), *(f" {text.upper()} " for text in asked)], method=method)
    without = bridge.fit("b", sides[0], sides[1], learnt, method=method)
    assert (whole.texts, whole.digest, whole.penalty) == (without.texts, without.digest, without.penalty)
    assert whole.held_out.n == len(asked) and without.held_out.n == 0
    assert all(np.array_equal(array, without.arrays[key]) for key, array in whole.arrays.items())
    assert all(np.array_equal(mean, without.means[key]) for key, mean in whole.means.items())


def test_no_more_is_measured_than_needed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge, "MEASURED", 7)
    assert fitted("toy:8", "toy:24").held_out.n == 7


def test_what_cannot_be_fitted(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="are one space"):
        fitted("toy:8", "toy:8")
    with pytest.raises(UsageError, match="no method 'best'"):
        fitted("toy:8", "toy:24", "best")
    deaf = family(monkeypatch, tmp_path / "plugins", "deaf", {"audio"}, model="24")
    with pytest.raises(UsageError, match="takes no texts"):
        bridge.fit("b", (load("toy:8"), {}), (load(deaf), {}), captions())
    with pytest.raises(UsageError, match="are too few"):
        bridge.fit("b", (load("toy:8"), {}), (load("toy:24"), {}), captions()[:10])


def test_real_words_are_found_in_another_space(home: Path, shared: Path) -> None:
    with (shared / "data" / "prompts" / "parti-prompts.tsv").open(encoding="utf-8", newline="") as file:
        prompts = [row["Prompt"] for row in csv.DictReader(file, delimiter="\t")][:500]
    tables = [f"static:{shared / 'models' / 'potion-base-4m-int8'}", f"words:{shared / 'models' / 'word2vec-8k'}"]
    here, there = ((load(table), {"family": table.partition(":")[0]}) for table in tables)
    skipped: dict[str, str] = {}
    made = bridge.fit("b", here, there, prompts, held_out=0.2, skipped=skipped.__setitem__)
    learnt, asked = bridge.split(prompts, 0.2)
    assert skipped["molecule"] == "no word of it is in the vocabulary"
    assert made.texts == len(set(learnt) - set(skipped)) and made.held_out.n == len(set(asked) - set(skipped))
    assert made.held_out.interval_at_10.low > 4 * made.held_out.chance_at_10


# -- through the search ----------------------------------------------------------------------------------------------


@pytest.fixture
def library(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> analogon.Library:
    """Sounds in a space whose encoder takes no pictures."""
    family(monkeypatch, tmp_path / "plugins", "hears", {"audio", "text"}, model="24")
    made = analogon.open(tmp_path / "heard", create=True)
    made.index(sounds.folder(tmp_path / "s", 8), encoders=["hears"])
    return made


def picture(folder: Path) -> Path:
    from PIL import Image

    path = folder / "photo.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (20, 30, 3), dtype=np.uint8)).save(path)
    return path


def test_a_picture_asks_sounds_over_a_bridge(library: analogon.Library, tmp_path: Path) -> None:
    photo = picture(tmp_path)
    with pytest.raises(UnsupportedModality, match="cannot be asked with image"):
        library.search(photo, to="audio")
    made = fitted("toy:8", "toy:24", name="seen-heard")
    made.save()
    hits = library.search(photo, to="audio", k=3)
    assert len(hits.notes) == 1 and hits.notes[0].startswith("through the bridge seen-heard from toy:8 to toy:24")
    seen = encode(load("toy:8"), [Media.from_path(photo)]).array
    carried = made.apply(seen, "image", "audio")[0]
    expected = [
        max(float(carried @ library.collection.vector(THERE_TOY, item)) for item in items)
        for items in by_content(library).values()
    ]
    assert [hit.score for hit in hits] == pytest.approx(sorted(expected)[::-1][:3], abs=1e-5)
    # Words need no bridge, and none is crossed for them beside the picture.
    both = library.search(f"rain + {photo}", to="audio", k=1)[0]
    direction = encode(load("toy:24"), [Media.from_text("rain")], query=True).array[0].astype(float) + carried
    best = library.collection.vector(THERE_TOY, both.id)
    assert both.score == pytest.approx(float(best @ direction / np.linalg.norm(direction)), abs=1e-5)
    assert not any("bridge" in note for note in library.search("rain", to="audio", by="content").notes)


THERE_TOY = load("toy:24").space


def by_content(library: analogon.Library) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for item in library.collection.catalog.all_items():
        found.setdefault(item.content, []).append(item.id)
    return found


def test_a_bridge_from_another_model_is_refused(library: analogon.Library, tmp_path: Path) -> None:
    made = fitted("toy:8", "toy:24", name="old")
    replace(made, source=Space("toy:8", "other weights", "none", 8)).save()
    with pytest.raises(SpaceMismatch, match="the bridge old was fitted from toy:8 .*another model now"):
        library.search(picture(tmp_path), to="audio")


def test_the_commands(
    library: analogon.Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = tmp_path / "captions.txt"
    texts.write_text("\n".join([*captions(), "", "rain"]))
    options = ("--from", "toy:8", "--to", "hears", "--texts", str(texts), "--name", "seen-heard")
    assert exit_code(monkeypatch, "bridge", "fit", *options, "-c", str(tmp_path / "heard")) == 0
    told = capsys.readouterr()
    assert "recall@10" in told.out and "means of modalities: target audio" in told.out
    assert "texts are few for a bridge" in told.err
    assert exit_code(monkeypatch, "bridge", "list") == 0
    assert "seen-heard" in capsys.readouterr().out
    assert exit_code(monkeypatch, "search", str(picture(tmp_path)), "--to", "audio", "-c", str(tmp_path / "heard")) == 0
    assert "through the bridge seen-heard" in capsys.readouterr().err
    assert exit_code(monkeypatch, "bridge", "rm", "seen-heard") == 0
    assert exit_code(monkeypatch, "bridge", "show", "seen-heard") == 2
    assert "there is no bridge called 'seen-heard'" in capsys.readouterr().err


def test_of_several_bridges_the_one_that_carries_most_is_taken(library: analogon.Library, tmp_path: Path) -> None:
    made = fitted("toy:8", "toy:24", name="poor")
    for name, recall in (("a-poor", 0.2), ("m-good", 0.9), ("z-poor", 0.5)):
        replace(made, name=name, held_out=replace(made.held_out, recall_at_10=recall)).save()
    photo = picture(tmp_path)
    assert "bridge m-good" in library.search(photo, to="audio").notes[0]
    assert "bridge z-poor" in library.search(photo, to="audio", bridge="z-poor").notes[0]
    fitted("toy:8", "toy:16", name="elsewhere").save()
    with pytest.raises(UnsupportedModality, match="cannot be asked with image"):
        library.search(photo, to="audio", bridge="elsewhere")


def test_a_damaged_bridge_does_not_stop_the_others(
    library: analogon.Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fitted("toy:8", "toy:24", name="whole").save()
    bridge.SHELF.path("broken").write_bytes(b"cut short")
    damaged, crossed = library.search(picture(tmp_path), to="audio").notes
    assert "broken.safetensors: not a readable bridge" in damaged and "through the bridge whole" in crossed
    assert exit_code(monkeypatch, "bridge", "list") == 0
    told = capsys.readouterr()
    assert "whole" in told.out and "broken.safetensors: not a readable bridge" in told.err


def test_a_bridge_of_names_is_the_one_of_encoders(home: Path) -> None:
    texts = [f"{thing} number {number}" for number in range(40) for thing in ("rain", "a dog")]
    here, there = load("toy:16"), load("toy:8")
    mean = np.linspace(0, 0.1, 16, dtype=np.float32)
    means = {("source", "image"): mean}
    tables = ({"family": "toy", "model": "16"}, {"family": "toy", "model": "8"})
    given = {("source", "image"): mean.tolist()}
    made = analogon.bridge("one", "toy:16", there, iter(texts), method="procrustes", means=given)
    expected = bridge.fit("one", (here, tables[0]), (there, tables[1]), texts, method="procrustes", means=means)
    asked = rows(5, 16)
    assert made.apply(asked, "image") == pytest.approx(expected.apply(asked, "image"), abs=1e-6)
    assert (made.texts, made.digest, made.held_out) == (expected.texts, expected.digest, expected.held_out)
    assert tuple(dict(table) for table in made.encoders) == tables
    made.save()
    assert Bridge.load("one").apply(asked, "text") == pytest.approx(made.apply(asked, "text"), abs=1e-6)
    with pytest.raises(UsageError, match=r"of \('source' or 'target', a modality\), not of \('there', 'image'\)"):
        analogon.bridge("one", "toy:16", "toy:8", texts, means={("there", "image"): mean})
    with pytest.raises(UsageError, match=r"the mean of target audio is \(16,\), not 8 finite numbers"):
        analogon.bridge("one", "toy:16", "toy:8", texts, means={("target", "audio"): mean})
    with pytest.raises(UsageError, match="an int does not encode"):
        analogon.bridge("one", 3, "toy:8", texts)
