"""Pictures of relations: what the axes are, labels that keep apart, files of every kind."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.decomposition import PCA

from analogon.analogies import plot
from analogon.analogies.plot import draw, flatten
from analogon.transforms.relation import Pair, Relation
from analogon.vectors.geometry import unit
from embed.errors import MissingPackage, UsageError
from embed.space import Space
from tests.command_line import exit_code

Rows = np.ndarray


def rows(count: int, dim: int = 10) -> tuple[Rows, Rows]:
    random = np.random.default_rng(count)
    starts = random.normal(size=(count, dim))
    return unit(starts), unit(starts + 2 * random.normal(size=dim))


PAIRS = [Pair(f"start {i}", f"the end {i}") for i in range(12)]


def test_pca_is_scikit_learns_up_to_signs() -> None:
    starts, ends = rows(9)
    flat = flatten(starts, ends)
    model = PCA(2).fit(np.concatenate([starts, ends]))
    wanted = model.transform(np.concatenate([starts, ends]))
    np.testing.assert_allclose(np.abs(np.concatenate([flat.starts, flat.ends])), np.abs(wanted), atol=1e-5)
    np.testing.assert_allclose(flat.kept, model.explained_variance_ratio_, atol=1e-6)
    assert (flat.ends.mean(axis=0) >= flat.starts.mean(axis=0)).all()


def test_the_axis_of_the_relation() -> None:
    starts, ends = rows(9)
    flat = flatten(starts, ends, "relation")
    step = (ends - starts).mean(axis=0)
    across = flat.ends[:, 0] - flat.starts[:, 0]
    np.testing.assert_allclose(across, (ends - starts) @ (step / np.linalg.norm(step)), atol=1e-5)
    middle = np.concatenate([starts, ends]) - np.concatenate([starts, ends]).mean(axis=0)
    rest = middle - np.outer(middle @ step, step) / (step @ step)
    wanted = PCA(1).fit_transform(rest)[:, 0]
    np.testing.assert_allclose(np.abs(np.concatenate([flat.starts, flat.ends])[:, 1]), np.abs(wanted), atol=1e-5)


def overlaps(boxes: Rows, centres: Rows) -> int:
    apart = np.abs(centres[:, None] - centres[None])
    lap = (apart < (boxes[:, None] + boxes[None]) / 2).all(axis=2)
    return int(np.triu(lap, 1).sum())


def test_labels_keep_apart() -> None:
    random = np.random.default_rng(0)
    points = random.uniform(100, 900, size=(30, 2))
    boxes = np.stack([random.uniform(40, 120, 30), np.full(30, 24.0)], axis=1)
    arrows = points.reshape(15, 2, 2)
    above = points + np.array([0, 20.0])
    placed = plot._spread(points, boxes, arrows, np.array([0.0, 0.0, 1000.0, 1000.0]), gap=12.0)
    assert overlaps(boxes, above) > 0 and overlaps(boxes, placed) == 0
    assert (placed - boxes / 2 >= -1).all() and (placed + boxes / 2 <= 1001).all()
    covered = (np.abs(placed[:, None] - points[None]) < boxes[:, None] / 2).all(axis=2)
    assert not covered.any()
    assert np.linalg.norm(placed - points, axis=1).max() < 160


def test_a_notebook_shows_the_figure_by_itself() -> None:
    """IPython knows how to show figures of pyplot alone, and this one is none of those."""
    import io
    import pickle

    from IPython.core.formatters import DisplayFormatter

    starts, ends = rows(4)
    figure = plot.picture(PAIRS[:4], starts, ends)
    shown, _ = DisplayFormatter().format(figure)
    width, height = figure.get_size_inches() * 150
    assert Image.open(io.BytesIO(shown["image/png"])).size == (int(width), int(height))
    assert type(pickle.loads(pickle.dumps(figure))) is type(figure)


def test_files(tmp_path: Path) -> None:
    starts, ends = rows(12)
    for suffix, beginning in ((".png", b"\x89PNG"), (".svg", b"<?xml"), (".PDF", b"%PDF")):
        path = tmp_path / f"a{suffix}"
        draw(path, PAIRS, starts, ends, title="starts to ends, n = 12", note="of nothing", answered=[11])
        assert path.read_bytes().startswith(beginning)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width == round(plot.WIDTH * plot.DOTS)
        colours = np.array(picture.convert("RGB")).reshape(-1, 3)
    for colour in (plot.START, plot.END, plot.ARROW):
        wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (colours == wanted).all(axis=1).sum() > 20
    text = (tmp_path / "a.svg").read_text()
    for said in ("starts to ends, n = 12", "of nothing", "the end 11", "first principal component (", "% of variance)"):
        assert said in text


def test_labels_are_not_read_as_mathematics(tmp_path: Path) -> None:
    starts, ends = rows(2)
    draw(tmp_path / "a.svg", [Pair("$5", "New_York"), Pair("$x^$", "b" * 50)], starts, ends, title="a $ and a $")
    text = (tmp_path / "a.svg").read_text()
    assert "New York" in text and "b" * 33 + "..." in text and "a $ and a $" in text and "$x^$" in text


def test_one_pair_and_many(tmp_path: Path) -> None:
    draw(tmp_path / "one.png", PAIRS[:1], *rows(1), title="one")
    many = [Pair(f"s{i}", f"e{i}") for i in range(60)]
    draw(tmp_path / "many.svg", many, *rows(60), title="many", answered=[59])
    text = (tmp_path / "many.svg").read_text()
    assert f"the first {plot.NAMED} of 60 pairs are named" in text
    assert ">s59<" in text and ">s0<" in text and ">s40<" not in text  # what was found is named first


def test_wrong_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starts, ends = rows(2)
    for path, projection, message in (
        (tmp_path / "a.gif", "pca", r"a picture is a .png, .svg, .pdf file, not .gif"),
        (tmp_path / "a", "pca", "not one without"),
        (tmp_path / "none" / "a.png", "pca", "there is no folder"),
        (tmp_path / "a.png", "tsne", "there is no projection 'tsne'; there are: pca, relation"),
    ):
        with pytest.raises(UsageError, match=message):
            draw(path, PAIRS[:2], starts, ends, title="", projection=projection)
    (tmp_path / "b.png").mkdir()
    with pytest.raises(UsageError, match="cannot be written"):
        draw(tmp_path / "b.png", PAIRS[:2], starts, ends, title="")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.delitem(sys.modules, "analogon.analogies.figure")  # as where neither was imported before
    with pytest.raises(MissingPackage, match=r"a picture needs .* matplotlib: pip install 'analogon\[notebook\]'"):
        draw(tmp_path / "a.png", PAIRS[:2], starts, ends, title="")


def test_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("ANALOGON_HOME", str(tmp_path / "home"))
    starts, ends = rows(4)
    Relation("step", Space("toy:10", "none", "none", 10), tuple(PAIRS[:4]), starts, ends).save()
    picture = tmp_path / "show.svg"
    assert exit_code(monkeypatch, "relation", "show", "step", "--plot", str(picture), "--projection", "relation") == 0
    assert "drawn: " in capsys.readouterr().err
    ocs = Relation.load("step").ocs
    assert f"step: toy:10, n = 4, OCS {ocs:.2f}" in picture.read_text()
    assert "mean offset (" in picture.read_text()
    names, vectors = ["man", "king", "woman", "queen"], [(0, 0, 4), (3, 0, 4), (0, 3, 4), (3, 3, 4)]
    lines = [f"{name} {' '.join(map(str, row))}" for name, row in zip(names, vectors, strict=True)]
    (tmp_path / "toy.vec").write_text("4 3\n" + "\n".join(lines) + "\n")
    answered = tmp_path / "answer.svg"
    asked = ["analogy", "man", "king", "woman", "--words", str(tmp_path / "toy.vec"), "--plot", str(answered)]
    assert exit_code(monkeypatch, *asked) == 0
    text = answered.read_text()
    assert "man : king :: woman : queen?" in text and "dashed: the first answer" in text
    assert text.count("stroke-dasharray") == 2  # the shaft and the head of one arrow
    assert "stroke-dasharray" not in picture.read_text()
