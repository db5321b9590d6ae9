"""A picture of a relation: its pairs as arrows in two dimensions, fit for a column of a paper."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from analogon.transforms.relation import Pair, Relation
from analogon.vectors.geometry import direction, unit
from embed.errors import MissingPackage, UsageError, one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PROJECTIONS", "Flat", "check_plot", "draw", "flatten", "picture", "plot"]

Rows = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
PROJECTIONS: Final = ("pca", "relation")
SUFFIXES: Final = (".png", ".svg", ".pdf")
WIDTH: Final = 3.4  # inches: a column of a two-column page
DOTS: Final = 300
# Okabe and Ito's blue and vermilion (2008), darkened for small type: told apart with any colour blindness, and
# in black and white by the marks, hollow rings and full triangles.
START: Final = "#005A8F"
END: Final = "#B24E00"
ARROW: Final = "#8A8A8A"
ROUNDS: Final = 30
BEGINNINGS: Final = 12
STEPS: Final = 60  # points of an arrow that a label may cover
FAR: Final = 1.4  # rings around a point from which a line leads to its label
LABEL: Final = 36  # characters of a label that are shown
NAMED: Final = 24  # pairs that a column has room to name


@dataclass(frozen=True, slots=True, eq=False)
class Flat:
    """Starts and ends in two dimensions, float64 ``(n, 2)`` each, and what the axes are.

    ``kept`` are the shares of the variance of all points that the axes show.
    """

    starts: Floats
    ends: Floats
    axes: tuple[str, str]
    kept: tuple[float, float]


def flatten(starts: Rows, ends: Rows, projection: str = "pca") -> Flat:
    """Pairs of unit rows ``(n, dim)`` in the plane.

    "pca" takes the two first principal components of all starts and ends, centred: no axis knows what belongs
    together. "relation" takes the mean offset's direction across, and up the first principal component of what is left:
    every arrow's length along the relation is true to scale, but the axis was chosen to show it.
    """
    points = np.concatenate([starts, ends]).astype(np.float64)
    points -= points.mean(axis=0)
    if projection == "pca":
        axes = np.linalg.svd(points, full_matrices=False)[2][:2]
        names = ("first principal component", "second")
    else:
        along = unit(direction(starts, ends)).astype(np.float64)
        rest = points - np.outer(points @ along, along)
        axes = np.stack([along, np.linalg.svd(rest, full_matrices=False)[2][0]])
        names = ("along these pairs' mean offset", "first principal component of the rest")
    if len(axes) < 2:
        axes = np.concatenate([axes, np.zeros((2 - len(axes), points.shape[1]))])
    # Components have no sign of their own: starts lie to the left or below, as one reads.
    flat = points @ axes.T
    step = flat[len(starts) :].mean(axis=0) - flat[: len(starts)].mean(axis=0)
    flat *= np.where(step < 0, -1, 1)
    total = float((points**2).sum()) or 1.0
    kept = (flat**2).sum(axis=0) / total
    return Flat(flat[: len(starts)], flat[len(starts) :], names, (float(kept[0]), float(kept[1])))


def check_plot(path: Path, projection: str = "pca") -> None:
    """Raise ``UsageError`` for a picture that ``draw`` would not draw."""
    if projection not in PROJECTIONS:
        raise UsageError(f"there is no projection {projection!r}; there are: {', '.join(PROJECTIONS)}")
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path}: a picture is a {', '.join(SUFFIXES)} file, not {path.suffix or 'one without'}")
    if not path.parent.is_dir():
        raise UsageError(f"{path}: there is no folder {path.parent}")


def draw(
    path: Path,
    pairs: Sequence[Pair],
    starts: Rows,
    ends: Rows,
    *,
    title: str,
    note: str = "",
    projection: str = "pca",
    answered: Sequence[int] = (),
) -> None:
    """Write a picture of pairs of unit rows ``(n, dim)`` to a .png, .svg or .pdf file, replacing it.

    ``title`` and ``note`` stand above and below. Pairs numbered ``answered`` were not known but found: their arrows
    are dashed. Raises ``MissingPackage`` without matplotlib, ``UsageError`` for another suffix, or a path that cannot
    be written.
    """
    check_plot(path, projection)
    figure = picture(pairs, starts, ends, title=title, note=note, projection=projection, answered=answered)
    import matplotlib

    try:
        # Text stays text in SVG and PDF, so that it can be searched and restyled.
        with matplotlib.rc_context({"svg.fonttype": "none", "pdf.fonttype": 42}):
            figure.savefig(path, dpi=DOTS, metadata=_without_date(path))
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {one_line(error)}") from None


def _without_date(path: Path) -> dict[str, Any]:
    """The same pairs give the same file."""
    return {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower(), {})


def picture(
    pairs: Sequence[Pair],
    starts: Rows,
    ends: Rows,
    *,
    title: str = "",
    note: str = "",
    projection: str = "pca",
    answered: Sequence[int] = (),
    axes: Axes | None = None,
) -> Figure:
    """Pairs of unit rows ``(n, dim)`` as a matplotlib figure, which notebooks show: of its own, or drawn on ``axes``.

    As ``draw``, which writes it to a file. Raises ``MissingPackage`` without matplotlib, ``UsageError`` for another
    projection.
    """
    if projection not in PROJECTIONS:
        raise UsageError(f"there is no projection {projection!r}; there are: {', '.join(PROJECTIONS)}")
    try:
        from analogon.analogies.figure import ShownFigure
    except ImportError:
        raise MissingPackage("matplotlib", "notebook", "a picture") from None
    flat = flatten(starts, ends, projection)
    if axes is not None:
        figure = axes.get_figure(root=True)
        assert figure is not None
        _fill(figure, axes, pairs, flat, title, note, frozenset(answered))
        return figure
    height = float(np.interp(len(pairs), [3, 12, 30], [2.6, 3.3, 4.4]))
    figure = ShownFigure(figsize=(WIDTH, height), dpi=DOTS, layout="constrained")
    _fill(figure, figure.add_subplot(), pairs, flat, title, note, frozenset(answered), own=True)
    return figure


def plot(
    relation: Relation, *, axes: Axes | None = None, title: str | None = None, note: str = "", projection: str = "pca"
) -> Figure:
    """The pairs of a relation as a matplotlib figure, or on ``axes`` of one; as ``picture``, titled by its name.

    "pca" shows what the two components of largest variance show, "relation" how far each pair goes along the mean.
    """
    shown = relation.name if title is None else title
    pairs, starts, ends = relation.pairs, relation.starts, relation.ends
    return picture(pairs, starts, ends, title=shown, note=note, projection=projection, axes=axes)


def _fill(
    figure: Figure,
    axes: Axes,
    pairs: Sequence[Pair],
    flat: Flat,
    title: str,
    note: str,
    answered: frozenset[int],
    *,
    own: bool = False,
) -> None:
    """Draw on axes; a figure of our ``own`` has its note below, and is laid out once and for all."""
    size = float(np.interp(len(pairs), [4, 12, 30], [7.0, 6.2, 5.0]))
    thin = float(np.interp(len(pairs), [15, 60, 200], [1.0, 0.6, 0.3]))
    for number, (start, end) in enumerate(zip(flat.starts, flat.ends, strict=True)):
        style = (0, (3, 2)) if number in answered else "-"
        arrow = {"arrowstyle": "-|>", "color": ARROW, "linewidth": 0.7 * thin, "shrinkA": 2.5, "shrinkB": 2.5}
        axes.annotate("", end, start, arrowprops={**arrow, "linestyle": style, "mutation_scale": 6}, zorder=1)
    axes.scatter(
        flat.starts[:, 0],
        flat.starts[:, 1],
        s=9 * thin,
        color="white",
        edgecolors=START,
        linewidths=0.9 * thin,
        zorder=2,
    )
    axes.scatter(flat.ends[:, 0], flat.ends[:, 1], s=13 * thin, color=END, marker="^", linewidths=0, zorder=2)
    axes.margins(0.16, 0.08)
    axes.set_aspect("equal", adjustable="datalim")  # an angle of the picture is one of the plane
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set(color=ARROW, linewidth=0.5)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel(f"{flat.axes[0]} ({flat.kept[0]:.0%} of variance)", fontsize=6, color="#444444")
    axes.set_ylabel(f"{flat.axes[1]} ({flat.kept[1]:.0%})", fontsize=6, color="#444444")
    axes.set_title(textwrap.fill(title, 58), fontsize=7.5, loc="left")
    if len(pairs) > NAMED:
        note = f"the first {NAMED} of {len(pairs)} pairs are named" + (f"; {note}" if note else "")
    if note and own:
        figure.supxlabel(note, fontsize=5.5, color="#444444", x=0.02, ha="left")
    elif note:
        axes.set_xlabel(f"{axes.get_xlabel()}\n{note}", fontsize=6, color="#444444")
    figure.draw_without_rendering()
    if own:
        figure.set_layout_engine("none")  # what follows counts on things staying where they are
    order = sorted(range(len(pairs)), key=lambda number: number not in answered)
    _label(figure, axes, pairs, flat, order, size)


# -- labels that do not overlap --------------------------------------------------------------------------------------


def _label(figure: Figure, axes: Axes, pairs: Sequence[Pair], flat: Flat, order: Sequence[int], size: float) -> None:
    """Write the points' names beside them, pair after pair in an order, where they cover no other name and no point."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    names: dict[tuple[str, str], Floats] = {}
    for number in order[:NAMED]:
        names.setdefault((pairs[number].a, START), flat.starts[number])
        names.setdefault((pairs[number].b, END), flat.ends[number])
    points = axes.transData.transform(np.array(list(names.values())))
    written = [
        axes.text(0, 0, _shown(label), fontsize=size, color=colour, ha="center", va="center", zorder=3)
        for (label, colour) in names
    ]
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    boxes = np.array([(box.width, box.height) for box in (text.get_window_extent(renderer) for text in written)])
    arrows = axes.transData.transform(np.stack([flat.starts, flat.ends], axis=1).reshape(-1, 2)).reshape(-1, 2, 2)
    frame = axes.get_window_extent(renderer)
    places = _spread(points, boxes, arrows, np.array(frame.extents), gap=figure.dpi / 72 * 3)
    away = np.linalg.norm((places - points) / (boxes / 2 + figure.dpi / 72 * 3), axis=1)
    to_data = axes.transData.inverted()
    edges = to_data.transform(np.clip(points, places - boxes / 2, places + boxes / 2))
    for text, place, far, *way in zip(
        written, to_data.transform(places), away, to_data.transform(points), edges, strict=True
    ):
        text.set_position(tuple(place))
        if far > FAR:
            axes.plot(*np.array(way).T, color=ARROW, linewidth=0.3, zorder=1, scalex=False, scaley=False)


def _shown(label: str) -> str:
    label = label.replace("_", " ").replace("$", r"\$")
    return label if len(label) <= LABEL else label[: LABEL - 3] + "..."


def _spread(points: Floats, boxes: Floats, arrows: Floats, frame: Floats, gap: float) -> Floats:
    """Centres for boxes ``(n, 2)`` (width, height), each near its point ``(n, 2)``, so that little is covered.

    Each box chooses among places around its point: what it would cover counts, of other boxes and points much, of
    arrows a little, and so does the way. All is in pixels.
    """
    angles = np.arange(16) * (2 * np.pi / 16)
    around = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rings = (1.0, 1.8, 3.0, 5.0)
    count = max(STEPS // 6, min(STEPS, 20 * STEPS // len(arrows)))
    steps = np.linspace(0.0, 1.0, count)[:, None]
    line_points = np.concatenate([start + steps * (end - start) for start, end in arrows])

    def options(i: int) -> Floats:
        # On an ellipse's tangent the box touches the ring around its point with a side or a corner.
        return np.concatenate([points[i] + around * (boxes[i] / 2 + gap * ring) for ring in rings])

    def own_cost(i: int, centres: Floats) -> Floats:
        """What a place costs whatever the other boxes do."""
        half = boxes[i] / 2
        found = 0.3 * np.linalg.norm((centres - points[i]) / (half + gap), axis=1) ** 2
        inside = (np.abs(centres[:, None] - points) < half + gap * 0.7).all(axis=2)
        found += 4 * inside.sum(axis=1)
        crossed = (np.abs(centres[:, None] - line_points) < half + 1.0).all(axis=2)
        found += np.minimum(0.4 * crossed.reshape(len(centres), len(arrows), count).sum(axis=2), 0.9).sum(axis=1)
        out = np.clip(frame[:2] - (centres - half), 0, None) + np.clip(centres + half - frame[2:], 0, None)
        result: Floats = found + out.sum(axis=1)
        return result

    def covered(i: int, centres: Floats, others: Floats) -> Floats:
        """How much of the other boxes a place covers, in shares of the box."""
        lap = np.clip((boxes[i] + boxes) / 2 + 1.0 - np.abs(centres[:, None] - others), 0, None)
        area = lap.prod(axis=2) / boxes[i].prod()
        area[:, i] = 0
        result: Floats = area.sum(axis=1)
        return result

    places = [options(i) for i in range(len(points))]
    fixed = [own_cost(i, places[i]) for i in range(len(points))]
    random = np.random.default_rng(0)
    found, lowest = np.array([own[0] for own in places]), np.inf
    # Each box moves to where it is cheapest given the others until none does; from several beginnings, for the best.
    for beginning in range(BEGINNINGS):
        chosen = np.array(
            [
                random.integers(len(own)) if beginning else costs.argmin()
                for own, costs in zip(places, fixed, strict=True)
            ]
        )
        centres = np.array([own[at] for own, at in zip(places, chosen, strict=True)])
        for _ in range(ROUNDS):
            before = chosen.copy()
            for i in random.permutation(len(points)):
                costs = fixed[i] + 40 * covered(i, places[i], centres)
                if costs.min() < costs[chosen[i]] - 1e-9:
                    chosen[i] = int(costs.argmin())
                    centres[i] = places[i][chosen[i]]
            if (chosen == before).all():
                break
        total = sum(
            float(fixed[i][chosen[i]]) + 20 * float(covered(i, centres[i : i + 1], centres)[0])
            for i in range(len(points))
        )
        if total < lowest:
            found, lowest = centres, total
    return found
