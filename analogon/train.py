"""``analogon train``: make small encoders from large ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

__all__ = ["app"]

app = typer.Typer(help="Make a small encoder from a large one.", no_args_is_help=True)


@app.callback()
def train() -> None:
    """Make a small encoder from a large one."""


@app.command()
def static(
    teacher: Annotated[str, typer.Option(help="An encoder of texts, such as sentence:PATH.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The new encoder's folder.")],
    dim: Annotated[int, typer.Option(help="Dimensions of the table.")] = 256,
    sif: Annotated[float, typer.Option(help="How little frequent words count: a in a / (a + p).")] = 5e-4,
    flatten: Annotated[float, typer.Option(help="0 keeps the components' variances, 1 makes them equal.")] = 0.3,
    template: Annotated[
        list[str] | None, typer.Option(help="A text around each word, with {} for it; may be repeated.")
    ] = None,
) -> None:
    """Distil a table with a vector for each token from a sentence encoder: texts without torch, at once."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from embed.encoder import load
    from embed.training.output import new_folder
    from embed.training.static import agreement, distil, save

    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    with new_folder(output) as folder:
        large = load(teacher)
        with bars:
            task = bars.add_task("tokens", total=None)
            table = distil(
                large,
                dim=dim,
                sif=sif,
                flatten=flatten,
                templates=template or ["{}"],
                progress=lambda done, total: bars.update(task, completed=done, total=total),
            )
        save(table, folder)
    console = Console(highlight=False, soft_wrap=True)
    size = sum(path.stat().st_size for path in output.iterdir())
    console.print(
        f"{output}: {len(table.rows):,} tokens in {dim} dimensions, {size / 1e6:.1f} MB, "
        f"{table.kept:.1%} of the teacher's variance",
        markup=False,
    )
    found = agreement(large, load(f"static:{output}"))
    console.print(f"cosines of {found.texts} phrases, ranked as the teacher does: Spearman {found.spearman:.2f}")
    console.print(f"use it: analogon index FOLDER -e static:{output}", markup=False)
    console.print(f"        analogon search QUERY -e static:{output}", markup=False)
