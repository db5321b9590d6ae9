"""``analogon train``: make small encoders from large ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from analogon.cli.terminal import bars

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
    from analogon.cli.progress import Screen
    from embed.encoder import load
    from embed.training.output import new_folder
    from embed.training.static import agreement, distil, save

    with new_folder(output) as folder:
        large = load(teacher)
        with bars() as shown:
            table = distil(
                large,
                dim=dim,
                sif=sif,
                flatten=flatten,
                templates=template or ["{}"],
                listener=Screen(shown.console, shown),
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


@app.command()
def student(
    teacher: Annotated[str, typer.Option(help="An encoder of sounds and texts, such as clap, or a TOML file.")],
    media: Annotated[Path, typer.Option(help="A folder of sounds to learn on; texts and descriptions are not needed.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The new encoder's folder.")],
    mixtures: Annotated[int, typer.Option(help="How many mixtures of the sounds the teacher hears.")] = 12_000,
    steps: Annotated[int, typer.Option(help="How many batches of 32 mixtures the student learns from.")] = 3_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same student.")] = 0,
) -> None:
    """Teach a small audio network what a large encoder says of your own sounds. A run that was stopped goes on."""
    from analogon.cli.progress import Screen
    from embed.errors import UsageError
    from embed.media import modalities_of
    from embed.training.student import Listener, Recipe, learn
    from indexes.scan import files_under

    with bars() as shown:

        class Shown(Screen, Listener):
            def foretold(self, sounds: int, mixing: float, teaching: float) -> None:
                shown.console.print(
                    f"{sounds:,} sounds to learn on: about {_minutes(mixing + teaching)}, of which "
                    f"{_minutes(mixing)} for {mixtures:,} mixtures, {_minutes(teaching)} for {steps:,} steps",
                    highlight=False,
                    soft_wrap=True,
                )

        listener = Shown(shown.console, shown)
        if not media.is_dir():
            raise UsageError(f"{media}: no such folder; it should hold sounds")
        paths = [path for path in files_under(str(media), listener.skipped) if "audio" in modalities_of(path)]
        if not paths:
            raise UsageError(f"{media} holds no sounds")
        found = learn(teacher, media, paths, output, Recipe(mixtures, steps, seed), listener)
    console = Console(highlight=False, soft_wrap=True)
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    console.print(f"{output}: {size / 1e6:.1f} MB, {found.faster:.1f} times as fast as its teacher", markup=False)
    console.print(
        f"{found.files} sounds that were held out: cosine to the teacher {found.cosine:.2f}; "
        f"{found.first:.0%} find their own teacher vector first (chance {1 / found.files:.0%})"
    )
    console.print(f"use it: analogon index {media} --encoder student:{output}", markup=False)


def _minutes(seconds: float) -> str:
    """A rough length of time.

    >>> _minutes(12.3), _minutes(95), _minutes(4000)
    ('12 s', '2 min', '1 h 7 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
