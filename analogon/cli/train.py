"""``analogon train``: make small encoders from large ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from analogon.cli.streams import EscapingConsole
from analogon.cli.terminal import Commands, bars, families

__all__ = ["app"]

app = Commands(help="Make a small encoder from a large one.", no_args_is_help=True)


@app.callback()
def train() -> None:
    """Make a small encoder from a large one."""


@app.command()
def static(
    teacher: Annotated[str, typer.Option(help="An encoder of texts, such as sentence:PATH.", autocompletion=families)],
    output: Annotated[Path, typer.Option("-o", "--output", help="The new encoder's folder.")],
    dim: Annotated[int, typer.Option(help="Dimensions of the table.")] = 256,
    sif: Annotated[float, typer.Option(help="How little frequent words count: a in a / (a + p).")] = 5e-4,
    flatten: Annotated[float, typer.Option(help="0 keeps the components' variances, 1 makes them equal.")] = 0.3,
    template: Annotated[
        list[str] | None, typer.Option(help="A text around each word, with {} for it; may be repeated.")
    ] = None,
) -> None:
    """Distil a table with a vector for each token from a sentence encoder: texts without torch, at once."""
    from analogon.cli.progress import Screen
    from analogon.service.training import DistilTable

    request = DistilTable(
        teacher=teacher,
        output=output,
        dim=dim,
        sif=sif,
        flatten=flatten,
        templates=tuple(template or ["{}"]),
    )
    with bars() as shown:
        made = request.run(Screen(shown.console, shown))
    console = EscapingConsole(highlight=False, soft_wrap=True)
    console.print(
        f"{made.output}: {made.tokens:,} tokens in {made.dim} dimensions, {made.bytes / 1e6:.1f} MB, "
        f"{made.variance:.1%} of the teacher's variance",
        markup=False,
    )
    console.print(f"cosines of {made.texts} phrases, ranked as the teacher does: Spearman {made.spearman:.2f}")
    console.print(f"use it: analogon index FOLDER -e static:{made.output}", markup=False)
    console.print(f"        analogon search QUERY --space static:{made.output}", markup=False)


@app.command()
def student(
    teacher: Annotated[
        str,
        typer.Option(help="An encoder of sounds and texts, such as clap, or a TOML file.", autocompletion=families),
    ],
    media: Annotated[Path, typer.Option(help="A folder of sounds to learn on; texts and descriptions are not needed.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The new encoder's folder.")],
    mixtures: Annotated[int, typer.Option(help="How many mixtures of the sounds the teacher hears.")] = 12_000,
    steps: Annotated[int, typer.Option(help="How many batches of 32 mixtures the student learns from.")] = 3_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same student.")] = 0,
) -> None:
    """Teach a small audio network what a large encoder says of your own sounds. A run that was stopped goes on."""
    from analogon.cli.progress import Screen
    from analogon.service.training import TeachStudent

    request = TeachStudent(teacher=teacher, media=media, output=output, mixtures=mixtures, steps=steps, seed=seed)
    with bars() as shown:
        made = request.run(Screen(shown.console, shown))
    console = EscapingConsole(highlight=False, soft_wrap=True)
    console.print(
        f"{made.output}: {made.bytes / 1e6:.1f} MB, {made.faster:.1f} times as fast as its teacher", markup=False
    )
    console.print(
        f"{made.files} sounds that were held out: cosine to the teacher {made.cosine:.2f}; "
        f"{made.first:.0%} find their own teacher vector first (chance {1 / made.files:.0%})"
    )
    console.print(f"use it: analogon index {media} --encoder student:{made.output}", markup=False)
