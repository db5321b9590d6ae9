"""``analogon bridge``: maps between spaces that share texts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analogon.cli.terminal import (
    CollectionOption,
    Commands,
    FormatOption,
    check_format,
    complain,
    model_name,
    stdout,
    write_json,
)

if TYPE_CHECKING:
    from analogon.transforms.bridge import Bridge

__all__ = ["app"]

app = Commands(help="Carry queries from one space into another that shares texts with it.", no_args_is_help=True)
SKIPPED_SHOWN = 5


@app.callback()
def bridge() -> None:
    """Carry queries from one space into another that shares texts with it."""


@app.command()
def fit(
    source: Annotated[str, typer.Option("--from", help="The encoder that takes the queries: family:model or TOML.")],
    target: Annotated[str, typer.Option("--to", help="The encoder whose vectors are asked.")],
    texts: Annotated[Path, typer.Option(help="Captions: a .txt with one a line, or a csv, tsv or jsonl table.")],
    column: Annotated[str, typer.Option(help="The table's column.")] = "text",
    method: Annotated[str, typer.Option(help="ridge, procrustes, two-hops or asif.")] = "ridge",
    name: Annotated[str | None, typer.Option(help="What to call it; else FROM--TO.")] = None,
    held_out: Annotated[float, typer.Option(help="The share of the texts to measure on.")] = 0.1,
    collection: CollectionOption = None,
) -> None:
    """Fit a bridge through texts that both encoders take, and measure it on some that are held out.

    -c takes each modality's mean from a collection that was indexed with one of the two encoders, or both.
    """
    from analogon.cli.progress import late_progress
    from analogon.service.bridges import FitBridge

    request = FitBridge(
        source=source,
        target=target,
        texts=texts,
        column=column,
        method=method,
        name=name,
        held_out=held_out,
        collection=collection,
    )
    with late_progress() as listener:
        made = request.run(listener=listener)
    for line in made.left_out[:SKIPPED_SHOWN]:
        complain(line)
    if len(made.left_out) > SKIPPED_SHOWN:
        complain(f"and {len(made.left_out) - SKIPPED_SHOWN} more texts that could not be encoded")
    for note in made.notes:
        complain(note)
    _print(made.bridge)


@app.command(name="list")
def list_(form: FormatOption = "table") -> None:
    """The bridges that there are."""
    from rich.table import Table

    from analogon.service.bridges import ListBridges

    check_format(form)
    listing = ListBridges().run()
    for line in listing.damaged:
        complain(line)
    found = listing.entries
    if form == "json":
        write_json(*found)
        return
    if not found:
        complain("there are no bridges yet; analogon bridge fit makes one")
        raise typer.Exit(1)
    table = Table(box=None, pad_edge=False)
    for title in ("name", "from", "to", "method", "texts", "held out", "recall@10", "chance"):
        table.add_column(title)
    for one in found:
        out = one.held_out
        cells = (one.name, one.source.model, one.target.model, one.method, f"{one.texts:,}", f"{out.n:,}")
        table.add_row(*cells, f"{out.recall_at_10:.3f}", f"{out.chance_at_10:.3f}")
    stdout().print(table)


@app.command()
def show(name: str, form: FormatOption = "table") -> None:
    """What a bridge was made of, and how much it carries."""
    from analogon.service.bridges import ShowBridge

    check_format(form)
    one = ShowBridge(name=name).run()
    if form == "json":
        write_json(one)
        return
    _print(one, whole=True)


@app.command()
def rm(name: str) -> None:
    """Forget a bridge."""
    from analogon.service.bridges import RemoveBridge

    stdout().print(f"{RemoveBridge(name=name).run().name} forgotten", markup=False)


def _print(one: Bridge, *, whole: bool = False) -> None:
    """What a bridge is; ``whole`` names its spaces with all that makes them."""
    out = one.held_out
    ways = "" if one.penalty is None else f", penalty {one.penalty:.3g}"
    lines = [
        f"{one.name}: {one.method}{ways}, {one.texts:,} texts ({one.digest[:8]}), {one.created[:10]}",
        *(
            f"  {word} {space}" if whole else f"  {word} {model_name(space.model)}, {space.dim}-d"
            for word, space in (("from", one.source), ("to  ", one.target))
        ),
    ]
    if out.n:
        interval = out.interval_at_10
        lines.append(
            f"  {out.n:,} texts held out find themselves: recall@1 {out.recall_at_1:.3f}, recall@10 "
            f"{out.recall_at_10:.3f} ({interval.low:.3f} to {interval.high:.3f}), chance {out.chance_at_10:.3f}"
        )
    known = [f"{side} {modality}" for side, modality in sorted(one.means) if modality != "text"]
    lines.append(f"  means of modalities: {', '.join(known) or 'texts only; what is searched gives its own'}")
    for line in lines:
        stdout().print(line, markup=False)
