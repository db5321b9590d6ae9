"""``analogon analogy`` and ``analogon relation``: a : b :: c : ?, and what several pairs have in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from analogon.cli.terminal import (
    CollectionOption,
    Commands,
    EncoderOption,
    FormatOption,
    SpaceOption,
    check_format,
    complain,
    model_name,
    stdout,
    write_json,
)
from analogon.settings.arguments import superseded
from embed.errors import UsageError, printable

if TYPE_CHECKING:
    from analogon.service.analogies import SolvedAnalogy
    from analogon.transforms.relation import Relation

__all__ = ["analogy", "app", "register"]

app = Commands(help="Relations between vectors, learnt from pairs: fit, list, show, apply, rm.", no_args_is_help=True)

WordsOption = Annotated[
    Path | None, typer.Option(help="Word vectors: a word2vec, GloVe or .vec file, or a folder with words.txt.")
]
CandidatesOption = Annotated[
    Path | None, typer.Option("--candidates", help="What can answer: a file with a text a line, or a table.")
]
ToOption = Annotated[str | None, typer.Option("--to", help="What can answer in a collection: audio, image, ...")]
PlotOption = Annotated[Path | None, typer.Option(help="Draw the pairs and their offsets: a .png, .svg or .pdf file.")]
ProjectionOption = Annotated[str, typer.Option(help="The picture's axes: pca, or relation, along the mean offset.")]
ColumnsOption = Annotated[str | None, typer.Option(help="The table's two columns, as in country,capital.")]
KOption = Annotated[int, typer.Option("-k", help="How many answers.")]
WithInputsOption = Annotated[bool, typer.Option("--with-inputs", help="The terms themselves may answer.")]
NameArgument = Annotated[str, typer.Argument(help="The relation's name.", show_default=False)]


def register(main: typer.Typer) -> None:
    """Add the command and the sub-app to an app."""
    main.command()(analogy)
    main.add_typer(app, name="relation")


@app.callback()
def relation() -> None:
    """Relations between vectors, learnt from pairs: male to female, country to capital, dry to reverberant."""


def analogy(
    terms: Annotated[
        list[str],
        typer.Argument(help="A B C, as in: man king woman. With --relation or --pairs C alone.", show_default=False),
    ],
    words: WordsOption = None,
    encoder: EncoderOption = None,
    candidates: CandidatesOption = None,
    collection: CollectionOption = None,
    to: ToOption = None,
    space: SpaceOption = None,
    method: Annotated[
        str | None, typer.Option(help="3cosadd, 3cosmul, pairdirection; with pairs 3cosavg, lrcos.")
    ] = None,
    relation: Annotated[str | None, typer.Option(help="A relation that was fitted stands for A and B.")] = None,
    pairs: Annotated[Path | None, typer.Option(help="A table of pairs stands for A and B.")] = None,
    columns: ColumnsOption = None,
    k: KOption = 10,
    with_inputs: WithInputsOption = False,
    seed: Annotated[int, typer.Option(help="Draws the random candidates that lrcos learns against.")] = 0,
    plot: PlotOption = None,
    projection: ProjectionOption = "pca",
    form: FormatOption = "table",
) -> None:
    """A is to B as C is to what? Over word vectors, the texts of a list, or the items of a collection.

    A, B and C are texts, files (./him.wav) or items (id:12).
    """
    from analogon.service.analogies import SolveAnalogy

    check_format(form)
    request = SolveAnalogy(
        terms=tuple(terms),
        **_where("analogy", words, encoder, collection, to, space),
        candidates=candidates,
        method=method,
        relation=relation,
        pairs=pairs,
        columns=_columns(columns),
        k=k,
        with_inputs=with_inputs,
        seed=seed,
        plot=plot,
        projection=projection,
    )
    _show_answers(request.run(), form)


@app.command()
def fit(
    table: Annotated[
        Path, typer.Argument(help="A csv, tsv or jsonl table: two columns, a and b or the first.", show_default=False)
    ],
    name: Annotated[str, typer.Option(help="What to call the relation.")],
    words: WordsOption = None,
    encoder: EncoderOption = None,
    collection: CollectionOption = None,
    to: ToOption = None,
    space: SpaceOption = None,
    columns: ColumnsOption = None,
) -> None:
    """Learn a relation from pairs of texts, files or items (id:12), and keep it under a name.

    A relation that had the name before is replaced.
    """
    from analogon.service.analogies import FitRelation

    where = _where("relation fit", words, encoder, collection, to, space)
    fitted = FitRelation(table=table, name=name, columns=_columns(columns), **where).run()
    for note in fitted.notes:
        complain(note)
    console = stdout()
    kept = fitted.relation.space
    console.print(_summary(fitted.relation), markup=False)
    console.print(f"  in {model_name(kept.model)}, {kept.dim}-d", markup=False)
    console.print(f"use it: analogon relation apply {name} X, or apply({name}, X) in a search", markup=False)


@app.command(name="list")
def list_(form: FormatOption = "table") -> None:
    """Every relation that is kept, with its measures."""
    from analogon.service.analogies import ListRelations

    check_format(form)
    found = ListRelations().run()
    for line in found.damaged:
        complain(line)
    if form == "json":
        write_json(*found.entries)
    elif not found.entries:
        complain("no relation is kept yet: analogon relation fit PAIRS --name NAME")
    else:
        table = Table(box=None, pad_edge=False, show_edge=False)
        for column in ("name", "pairs", "OCS", "PCS"):
            table.add_column(column, justify="left" if column == "name" else "right")
        for column in ("space", "created"):
            table.add_column(column)
        for one in found.entries:
            measures = [_figure(one.ocs), _figure(one.pcs)]
            table.add_row(
                escape(one.name), str(len(one.pairs)), *measures, escape(model_name(one.space.model)), one.created[:10]
            )
        stdout().print(table)
    if not found.entries:
        raise typer.Exit(1)


@app.command()
def show(
    name: NameArgument, plot: PlotOption = None, projection: ProjectionOption = "pca", form: FormatOption = "table"
) -> None:
    """A relation's pairs, and how well each goes with the others: low ones are odd."""
    from analogon.service.analogies import ShowRelation

    check_format(form)
    found = ShowRelation(name=name, plot=plot, projection=projection).run()
    one = found.relation
    if form == "json":
        write_json(found)
    else:
        console = stdout()
        console.print(_summary(one), markup=False)
        console.print(f"  {one.space}", markup=False)
        table = Table(box=None, pad_edge=False, show_edge=False)
        table.add_column("fit", justify="right")
        table.add_column("pair", overflow="fold")
        for row in (-one.fits).argsort(kind="stable"):
            table.add_row(f"{one.fits[row]:.3f}", escape(str(one.pairs[row])))
        console.print(table)
        console.print("fit: the cosine of a pair's offset with the mean offset of the other pairs", markup=False)
    if found.picture:
        complain(f"drawn: {found.picture}")


@app.command(name="apply")
def apply_(
    name: NameArgument,
    term: Annotated[str, typer.Argument(help="A text, a file (./him.wav) or an item (id:12).", show_default=False)],
    strength: Annotated[float, typer.Option(help="How often to take the offset; -1 goes back.")] = 1.0,
    words: WordsOption = None,
    encoder: EncoderOption = None,
    candidates: CandidatesOption = None,
    collection: CollectionOption = None,
    to: ToOption = None,
    space: SpaceOption = None,
    k: KOption = 10,
    with_inputs: WithInputsOption = False,
    form: FormatOption = "table",
) -> None:
    """What a relation leads to from a text, a recording, a picture or a voice."""
    from analogon.service.analogies import ApplyRelation

    check_format(form)
    request = ApplyRelation(
        name=name,
        term=term,
        strength=strength,
        **_where("relation apply", words, encoder, collection, to, space),
        candidates=candidates,
        k=k,
        with_inputs=with_inputs,
    )
    _show_answers(request.run(), form)


@app.command()
def rm(name: NameArgument) -> None:
    """Forget a relation."""
    from analogon.service.analogies import RemoveRelation

    stdout().print(f"{RemoveRelation(name=name).run().name} is forgotten", markup=False)


# -- what was typed --------------------------------------------------------------------------------------------------


def _where(
    command: str,
    words: Path | None,
    encoder: list[str] | None,
    collection: str | None,
    to: str | None,
    space: list[str] | None,
) -> dict[str, Any]:
    """Where to look, as the requests have it."""
    if encoder and collection is not None:
        raise UsageError(superseded(f"{command} -c COLLECTION --encoder", f"{command} -c COLLECTION --space"))
    if encoder and len(encoder) > 1:
        raise UsageError("an analogy is asked in one space: give one --encoder")
    return {
        "words": None if words is None else str(words),
        "encoder": encoder[0] if encoder else None,
        "collection": collection,
        "to": to,
        "spaces": tuple(space or ()),
    }


def _columns(written: str | None) -> tuple[str, ...]:
    return tuple(column.strip() for column in written.split(",")) if written else ()


# -- what is shown ---------------------------------------------------------------------------------------------------


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _summary(one: Relation) -> str:
    count = "1 pair" if len(one.pairs) == 1 else f"{len(one.pairs)} pairs"
    return f"{one.name}: {count}, OCS {_figure(one.ocs)}, PCS {_figure(one.pcs)} (0.5 is chance), made {one.created}"


def _show_answers(solved: SolvedAnalogy, form: str) -> None:
    from analogon.analogies.methods import NAMES

    found = solved.answers
    for line in (*solved.notes, *found.remarks):
        complain(line)
    if form == "json":
        write_json(found)
    else:
        console = stdout()
        console.print(printable(found.question), markup=False, style="bold")
        console.print(
            f"{NAMES[found.method]} over {found.candidates:,} candidates, {model_name(found.space.model)}", markup=False
        )
        table = Table(box=None, pad_edge=False, show_edge=False)
        with_ids = any(answer.id is not None for answer in found.answers)
        table.add_column("#", justify="right", style="dim")
        table.add_column("score", justify="right")
        if with_ids:
            table.add_column("id", justify="right", style="dim")
        table.add_column("answer", overflow="fold")
        for answer in found.answers:
            ids = [str(answer.id)] if with_ids else []
            table.add_row(str(answer.rank), f"{answer.score:.3f}", *ids, escape(answer.label))
        console.print(table)
        first = f"{found.allowed.label} ({found.allowed.score:.3f})"
        if found.inputs:
            console.print(f"left out: {', '.join(found.inputs)}; with them the first answer is {first}", markup=False)
        else:
            console.print(f"nothing left out; the first answer is {first}", markup=False)
        if found.known:
            console.print(f"the relation was fitted with {found.known}: this answer tests nothing", markup=False)
        if found.nearest:
            nearest = f"{found.nearest.label} (cosine {found.nearest.score:.3f})"
            console.print(
                f"baseline, without the rest of the question: nearest to {found.c} is {nearest}", markup=False
            )
    if solved.picture:
        complain(f"drawn: {solved.picture}")
    if not found.answers:
        raise typer.Exit(1)
