"""``analogon bridge``: maps between spaces that share texts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analogon.cli.terminal import (
    CollectionOption,
    FormatOption,
    bars,
    check_format,
    collection_folder,
    complain,
    model_name,
    stdout,
)
from embed.errors import UsageError

if TYPE_CHECKING:
    from analogon.transforms.bridge import Bridge

__all__ = ["app"]

app = typer.Typer(help="Carry queries from one space into another that shares texts with it.", no_args_is_help=True)
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
    from analogon.transforms import bridge as bridges
    from embed.encoder import resolve
    from embed.models import shared
    from indexes.collection import Collection

    if not 0 < held_out < 1:
        raise UsageError(f"--held-out {held_out}: a share between 0 and 1")
    sides = [(shared(table), table) for table in (resolve(source), resolve(target))]
    captions = _captions(texts, column)
    means: dict[tuple[str, str], Any] = {}
    if collection:
        with Collection.open(collection_folder(collection)) as opened:
            for side, (encoder, _) in zip(("source", "target"), sides, strict=True):
                for modality in opened.modalities(encoder.space):
                    if modality != "text":
                        means[side, modality] = opened.vectors(encoder.space, modality).mean(axis=0)
        if not means:
            raise UsageError(f"{collection} was indexed with neither {source} nor {target}")
    reasons: list[str] = []
    with bars() as shown:
        task = shown.add_task("texts", total=None)
        made = bridges.fit(
            name or "--".join(_short(encoder.space.model) for encoder, _ in sides),
            sides[0],
            sides[1],
            captions,
            method=method,
            held_out=held_out,
            means=means,
            skipped=lambda text, reason: reasons.append(f"skipped {text[:60]!r}: {reason}"),
            progress=lambda done, total: shown.update(task, completed=done, total=total),
        )
    for line in reasons[:SKIPPED_SHOWN]:
        complain(line)
    if len(reasons) > SKIPPED_SHOWN:
        complain(f"and {len(reasons) - SKIPPED_SHOWN} more texts that could not be encoded")
    if made.texts < bridges.FEW:
        complain(f"{made.texts} texts are few for a bridge: with thousands, from many subjects, it carries more")
    made.save()
    _print(made)


@app.command(name="list")
def list_(form: FormatOption = "table") -> None:
    """The bridges that there are."""
    from rich.table import Table

    from analogon.transforms import bridge as bridges

    check_format(form)
    found = list(bridges.SHELF.each(bridges.load, complain))
    if form == "json":
        for one in found:
            sys.stdout.write(json.dumps(_record(one), ensure_ascii=False) + "\n")
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
    from analogon.transforms import bridge as bridges

    check_format(form)
    one = bridges.load(name)
    if form == "json":
        sys.stdout.write(json.dumps(_record(one), ensure_ascii=False) + "\n")
        return
    _print(one, whole=True)


@app.command()
def rm(name: str) -> None:
    """Forget a bridge."""
    from analogon.transforms import bridge as bridges

    bridges.remove(name)
    stdout().print(f"{name} forgotten", markup=False)


def _captions(path: Path, column: str) -> list[str]:
    """The texts of a file: its lines, or a column of its rows. What is wrong with a row is said; the others stay."""
    from embed import tables

    if path.suffix.lower() == ".txt":
        return tables.lines(path)
    found = []
    for row in tables.texts(path, [column]):
        if isinstance(row, tables.BadRow):
            complain(f"skipped {path}, row {row.row + 1}: {row.reason}")
        else:
            found.append(row[0])
    return found


def _short(model: str) -> str:
    """A model's name as part of a file's name."""
    kept = "".join(letter if letter.isalnum() or letter in "._" else "-" for letter in Path(model).name)
    return kept.strip("-._") or "space"


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


def _record(one: Bridge) -> dict[str, Any]:
    out = one.held_out
    return {
        "name": one.name,
        "from": one.source.model,
        "to": one.target.model,
        "method": one.method,
        "penalty": one.penalty,
        "texts": one.texts,
        "digest": one.digest,
        "held_out": out.n,
        "recall_at_1": out.recall_at_1,
        "recall_at_10": out.recall_at_10,
        "interval_at_10": out.interval_at_10.to_json(),
        "chance_at_10": out.chance_at_10,
        "means": [f"{side} {modality}" for side, modality in sorted(one.means)],
        "created": one.created,
    }
