"""Draw the rooms of ``analogon`` and the arrows between them, from the imports that the code has.

    python docs/rooms.py            writes docs/rooms.svg, and the lists of docs/architecture.md
    python docs/rooms.py --check    exits with 1 where the lists are not those of the code

A room is a package below ``analogon``; floors are those of the contract in ``pyproject.toml``, which holds the code to
them. An arrow means that some module of one room imports one of another, types included.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]
PAGE, PICTURE = ROOT / "docs" / "architecture.md", ROOT / "docs" / "rooms.svg"
BEGIN, END = "<!-- made by docs/rooms.py -->", "<!-- end -->"


def floors() -> list[list[str]]:
    """The rooms of each floor, the highest first, as the contract has them."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    (contract,) = [one for one in tool["contracts"] if one.get("containers") == ["analogon"]]
    return [[room.strip() for room in floor.split("|")] for floor in contract["layers"]]


def arrows() -> dict[tuple[str, str], int]:
    """How many imports lead from one room to another."""
    graph = grimp.build_graph("analogon", "indexes", "embed", cache_dir=None)
    counts: dict[tuple[str, str], int] = {}
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            pair = (_room(importer), _room(imported))
            if pair[0] != pair[1] and pair[0] not in ("analogon", "embed", "indexes"):
                counts[pair] = counts.get(pair, 0) + 1
    return {pair: count for pair, count in counts.items() if pair[1] not in ("analogon",)}


def _room(module: str) -> str:
    parts = module.split(".")
    if parts[0] != "analogon":
        return parts[0]
    rooms = {room for floor in floors() for room in floor}
    return parts[1] if len(parts) > 1 and parts[1] in rooms else "analogon"


def lines(room: str) -> tuple[int, int]:
    """Files and lines of code of a room, which may be a single file."""
    files = list((ROOT / "analogon" / room).rglob("*.py")) or [ROOT / "analogon" / f"{room}.py"]
    return len(files), sum(len(path.read_text("utf-8").splitlines()) for path in files)


def table() -> str:
    """The floors, and which rooms each room knows, as Markdown."""
    known = arrows()
    rows = ["| room | what is in it | knows, within `analogon` |", "|---|---|---|"]
    for floor in floors():
        for room in floor:
            folder = ROOT / "analogon" / room
            opening = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
            about = opening.read_text("utf-8").split('"""')[1].split("\n\n")[0]
            below = sorted(to for start, to in known if start == room and to not in ("embed", "indexes"))
            rows.append(f"| `{room}` | {' '.join(about.split())} | {', '.join(below)} |")
    return "\n".join(rows)


def draw() -> None:
    """The picture: a row for each floor; the thicker an arrow, the more imports it stands for."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt
    from matplotlib.patches import FancyBboxPatch

    plt.rcParams["svg.hashsalt"] = "rooms"
    plan = [*floors(), ["indexes"], ["embed"]]
    known = arrows()
    figure, axes = plt.subplots(figsize=(12, 11))
    places: dict[str, tuple[float, float]] = {}
    for row, floor in enumerate(plan):
        for column, room in enumerate(floor):
            # Rooms that stand alone on their floors step to the side, so that arrows do not run through them.
            shift = 0.0 if len(floor) > 1 else (0.4, 3.6, -3.6, -0.4)[row % 4]
            places[room] = ((column - (len(floor) - 1) / 2) * 3.0 + shift, -1.25 * row)
    for (start, end), count in sorted(known.items()):
        if end in ("embed", "indexes") and start != "search":
            continue  # nearly every room knows these two
        (x0, y0), (x1, y1) = places[start], places[end]
        axes.annotate(
            "",
            xy=(x1 + 0.25 * (x0 - x1) / max(1.0, abs(y0 - y1)), y1 + 0.3),
            xytext=(x0, y0 - 0.3),
            arrowprops={
                "arrowstyle": "-|>",
                "color": "#4a6fa5",
                "alpha": 0.55,
                "linewidth": min(3.0, 0.5 + 0.2 * count),
                "connectionstyle": f"arc3,rad={0.12 if x1 >= x0 else -0.12}",
                "shrinkA": 0,
                "shrinkB": 0,
            },
        )
    for room, (x, y) in places.items():
        box = FancyBboxPatch(
            (x - 1.0, y - 0.3), 2.0, 0.6, boxstyle="round,pad=0.02", facecolor="#f4f1ea", edgecolor="#333333", zorder=3
        )
        axes.add_patch(box)
        about = room
        if room not in ("embed", "indexes"):
            files, code = lines(room)
            about += f"\n{files} file{'s' if files != 1 else ''}, {round(code, -1):,} lines"
        axes.text(x, y, about, ha="center", va="center", fontsize=9, zorder=4)
    axes.set_xlim(-6.5, 6.5)
    axes.set_ylim(-1.25 * len(plan) + 0.7, 0.6)
    axes.axis("off")
    figure.tight_layout()
    figure.savefig(PICTURE, metadata={"Date": None})
    plt.close(figure)


def page(text: str) -> str:
    """The architecture page with its lists as the code has them."""
    return re.sub(f"{BEGIN}.*?{END}", lambda _: f"{BEGIN}\n{table()}\n{END}", text, flags=re.DOTALL)


def main(arguments: list[str]) -> int:
    text = PAGE.read_text("utf-8")
    if arguments == ["--check"]:
        if page(text) == text:
            return 0
        print("docs/architecture.md lists other rooms or arrows than the code has: python docs/rooms.py")
        return 1
    PAGE.write_text(page(text), "utf-8")
    draw()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
