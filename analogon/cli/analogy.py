"""``analogon analogy`` and ``analogon relation``: a : b :: c : ?, and what several pairs have in common."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from analogon.cli.terminal import (
    CollectionOption,
    EncoderOption,
    FormatOption,
    check_format,
    collection_folder,
    complain,
    model_name,
    stdout,
)
from embed.errors import UsageError, printable

if TYPE_CHECKING:
    from analogon.analogies.candidates import Source
    from analogon.analogies.fit import Fitted
    from analogon.analogies.methods import Answers
    from analogon.transforms.relation import Relation

__all__ = ["analogy", "app", "register"]

app = typer.Typer(
    help="Relations between vectors, learnt from pairs: fit, list, show, apply, rm.", no_args_is_help=True
)

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
    from analogon.analogies.methods import solve
    from analogon.transforms.relation import Pair

    check_format(form)
    if relation and pairs:
        raise UsageError("--relation and --pairs both stand for A and B: give one of them")
    _check_plot(plot, projection)
    kept = _kept(relation)
    with _source(words, encoder, candidates, collection, to, kept) as source:
        fitted = _fitted(pairs.stem, source, pairs, columns) if pairs else None
        known = fitted.relation if fitted else kept
        room = source.candidates()
        given = [source.term(term) for term in terms]
        found = solve(room, *given, relation=known, method=method, k=k, with_inputs=with_inputs, seed=seed)
    _print_answers(found, form)
    if plot is not None and found.answers:
        best = found.answers[0]
        row = room.find(best.label) if room.ids is None else room.ids.tolist().index(best.id)
        last = (Pair(given[-1].label, best.label), given[-1].vector, room.vectors.array[row])
        first = (Pair(given[0].label, given[1].label), given[0].vector, given[1].vector) if known is None else None
        _plot_answer(plot, projection, found, known, first, last)
    if not found.answers:
        raise typer.Exit(1)


# -- relations -------------------------------------------------------------------------------------------------------


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
    columns: ColumnsOption = None,
) -> None:
    """Learn a relation from pairs of texts, files or items (id:12), and keep it under a name.

    A relation that had the name before is replaced.
    """
    from analogon.transforms.relation import check_name

    check_name(name)
    with _source(words, encoder, None, collection, to, None) as source:
        fitted = _fitted(name, source, table, columns)
    fitted.relation.save()
    console = stdout()
    space = fitted.relation.space
    console.print(_summary(fitted.relation), markup=False)
    console.print(f"  in {model_name(space.model)}, {space.dim}-d", markup=False)
    console.print(f"use it: analogon relation apply {name} X, or apply({name}, X) in a search", markup=False)


@app.command(name="list")
def list_(form: FormatOption = "table") -> None:
    """Every relation that is kept, with its measures."""
    from analogon.transforms.relation import Relation

    check_format(form)
    found = Relation.listing(complain)
    if form == "json":
        for one in found:
            sys.stdout.write(json.dumps(one.to_json(), ensure_ascii=False) + "\n")
    else:
        table = Table(box=None, pad_edge=False, show_edge=False)
        for column in ("name", "pairs", "OCS", "PCS"):
            table.add_column(column, justify="left" if column == "name" else "right")
        for column in ("space", "created"):
            table.add_column(column)
        for one in found:
            measures = [_figure(one.ocs), _figure(one.pcs)]
            table.add_row(
                escape(one.name), str(len(one.pairs)), *measures, escape(model_name(one.space.model)), one.created[:10]
            )
        if found:
            stdout().print(table)
        else:
            complain("no relation is kept yet: analogon relation fit PAIRS --name NAME")
    if not found:
        raise typer.Exit(1)


@app.command()
def show(
    name: NameArgument, plot: PlotOption = None, projection: ProjectionOption = "pca", form: FormatOption = "table"
) -> None:
    """A relation's pairs, and how well each goes with the others: low ones are odd."""
    from analogon.transforms.relation import Relation

    check_format(form)
    _check_plot(plot, projection)
    one = Relation.load(name)
    if form == "json":
        pairs = [
            {"a": pair.a, "b": pair.b, "fit": round(float(fit), 6)}
            for pair, fit in zip(one.pairs, one.fits, strict=True)
        ]
        sys.stdout.write(json.dumps({**one.to_json(), "items": pairs}, ensure_ascii=False) + "\n")
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
    if plot is not None:
        _draw_relation(plot, projection, one)


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
    k: KOption = 10,
    with_inputs: WithInputsOption = False,
    form: FormatOption = "table",
) -> None:
    """What a relation leads to from a text, a recording, a picture or a voice."""
    from analogon.analogies.methods import solve

    check_format(form)
    kept = _kept(name)
    with _source(words, encoder, candidates, collection, to, kept) as source:
        given = source.term(term)
        found = solve(source.candidates(), given, relation=kept, strength=strength, k=k, with_inputs=with_inputs)
    _print_answers(found, form)
    if not found.answers:
        raise typer.Exit(1)


@app.command()
def rm(name: NameArgument) -> None:
    """Forget a relation."""
    from analogon.transforms.relation import Relation

    Relation.remove(name)
    stdout().print(f"{name} is forgotten", markup=False)


# -- where terms come from -------------------------------------------------------------------------------------------


def _kept(name: str | None) -> Relation | None:
    from analogon.transforms.relation import Relation

    return Relation.load(name) if name else None


@contextmanager
def _source(
    words: Path | None,
    encoder: list[str] | None,
    candidates: Path | None,
    collection: str | None,
    to: str | None,
    kept: Relation | None,
) -> Iterator[Source]:
    """What encodes terms and has candidates, of the options; of a relation its own encoder where they name none."""
    from analogon.analogies.candidates import CollectionSource, EncoderSource
    from indexes.collection import Collection

    if words is not None and (encoder or collection):
        raise UsageError("--words names an encoder of its own: leave out --encoder and -c")
    if collection is not None:
        if candidates is not None:
            raise UsageError("a collection's own items answer: leave out --candidates, or -c")
        with Collection.open(collection_folder(collection)) as opened:
            source: Source = CollectionSource(opened, to, encoder or ())
            if kept is not None:
                kept.within(source.space)
            yield source
        return
    if to is not None:
        raise UsageError("--to chooses among a collection's items: name the collection with -c")
    if encoder and len(encoder) > 1:
        raise UsageError("an analogy is asked in one space: give one --encoder")
    name = f"words:{words}" if words is not None else encoder[0] if encoder else kept.encoder if kept else None
    if name is None:
        raise UsageError("say where to look: --words FILE, --encoder NAME with --candidates LIST, or -c COLLECTION")
    source = EncoderSource(name, candidates)
    if kept is not None:
        kept.within(source.space)
    yield source


def _fitted(name: str, source: Source, table: Path, columns: str | None) -> Fitted:
    """A relation of a table's pairs; what was left out is said on stderr."""
    from analogon.analogies.fit import fit

    named = [column.strip() for column in columns.split(",")] if columns else ()
    fitted = fit(name, source, table, named)
    for note in fitted.notes:
        complain(note)
    return fitted


# -- what is shown ---------------------------------------------------------------------------------------------------


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _summary(one: Relation) -> str:
    count = "1 pair" if len(one.pairs) == 1 else f"{len(one.pairs)} pairs"
    return f"{one.name}: {count}, OCS {_figure(one.ocs)}, PCS {_figure(one.pcs)} (0.5 is chance), made {one.created}"


def _print_answers(found: Answers, form: str) -> None:
    from analogon.analogies.methods import NAMES

    for remark in found.remarks:
        complain(remark)
    if form == "json":
        sys.stdout.write(json.dumps(found.to_json(), ensure_ascii=False) + "\n")
        return
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
        console.print(f"baseline, without the rest of the question: nearest to {found.c} is {nearest}", markup=False)


def _check_plot(plot: Path | None, projection: str) -> None:
    """Complain of a picture that cannot be drawn before anything is encoded."""
    from analogon.analogies.plot import check

    if plot is not None:
        check(plot, projection)


def _draw_relation(plot: Path, projection: str, one: Relation) -> None:
    from analogon.analogies.plot import draw

    draw(plot, one.pairs, one.starts, one.ends, title=_title(one), projection=projection)
    complain(f"drawn: {plot}")


def _title(one: Relation) -> str:
    return f"{one.name}: {model_name(one.space.model)}, n = {len(one.pairs)}, OCS {_figure(one.ocs)}"


def _plot_answer(plot: Path, projection: str, found: Answers, known: Relation | None, first: Any, last: Any) -> None:
    """Draw the known pairs and, dashed, the one that was found."""
    import numpy as np

    from analogon.analogies.plot import draw

    pairs = list(known.pairs) if known else [first[0]]
    starts = known.starts if known else first[1][None]
    ends = known.ends if known else first[2][None]
    draw(
        plot,
        [*pairs, last[0]],
        np.concatenate([starts, last[1][None]]),
        np.concatenate([ends, last[2][None]]),
        title=_title(known) if known else f"{found.question.rstrip('?')}{last[0].b}?  {model_name(found.space.model)}",
        note="dashed: the first answer",
        projection=projection,
        answered=[len(pairs)],
    )
    complain(f"drawn: {plot}")
