"""``analogon prompts`` and ``analogon interrogate``: prompts chosen from a list, and prompts made of phrases."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from analogon.cli.terminal import CollectionOption, check_format, complain, model_name, stderr, stdout, write_json
from embed.errors import UsageError, printable
from embed.media import check_readable

if TYPE_CHECKING:
    from analogon.cli.wording import Wording
    from analogon.prompts.dialects import Composed
    from analogon.prompts.selection import Selection
    from analogon.service.prompting import Interrogated

__all__ = ["interrogate", "prompts", "register"]

FORMATS: Final = ("table", "json", "text")
FLAGS: Final = {
    "min_gain": "--least",
    "dialect": "--for",
    "collection": "-c",
    "encoder": "-e",
    "file": "--list",
    "k": "-k",
    "limit": "-n",
}
PromptFormat = Annotated[str, typer.Option("-f", "--format", help="table, json, or text: the prompts alone.")]
OneEncoder = Annotated[
    str | None, typer.Option("--encoder", "-e", help="family:model, or a TOML file that describes a space.")
]
DialectOption = Annotated[
    str | None,
    typer.Option("--for", help="Print what can be pasted there: musicgen, suno, bark, stable-diffusion, ..."),
]
NegativeOption = Annotated[
    list[str] | None, typer.Option("--negative", help="With --for: what is not wanted; may be repeated.")
]
LyricsOption = Annotated[Path | None, typer.Option("--lyrics", help="With --for: a file with the words to sing.")]


def register(app: typer.Typer) -> None:
    """Add both commands to an app."""
    app.command()(prompts)
    app.command()(interrogate)


# -- prompts of a list -------------------------------------------------------------------------------------------------


def prompts(
    query: Annotated[
        str, typer.Argument(help="A file, a text, or arithmetic: '2:rain + ./roof.wav - traffic'.", show_default=False)
    ],
    collection: CollectionOption = None,
    listed: Annotated[
        Path | None, typer.Option("--list", help="A csv, tsv, jsonl or txt file of prompts, in place of a collection.")
    ] = None,
    text_column: Annotated[str | None, typer.Option(help="The list's column with the prompts.")] = None,
    caption: Annotated[
        str | None, typer.Option(help="Take this column of the nearest recordings and pictures as prompts.")
    ] = None,
    k: Annotated[int | None, typer.Option("-k", help="How many prompts: 5, or 1 with --for.")] = None,
    variety: Annotated[float, typer.Option(help="From 0 to 1: how unlike each other the prompts should be.")] = 0.3,
    where: Annotated[str | None, typer.Option(help="A filter: \"category = 'World Knowledge'\".")] = None,
    bridge: Annotated[str | None, typer.Option(help="The bridge to cross into another space.")] = None,
    encoder: OneEncoder = None,
    dialect: DialectOption = None,
    together: Annotated[bool, typer.Option("--together", help="With --for: all -k prompts as one.")] = False,
    negative: NegativeOption = None,
    lyrics: LyricsOption = None,
    form: PromptFormat = "table",
) -> None:
    """Choose the prompts of a list that say best what a recording, a picture, a text or an expression is like.

    The list is a collection of texts (-c) or a file (--list), which is encoded the first time and kept.
    """
    from analogon.cli.progress import progress
    from analogon.cli.wording import Wording
    from analogon.service.prompting import SelectPrompts

    check_format(form, FORMATS)
    if together and form == "json":
        raise UsageError("--together makes one prompt of several: it goes with --for, and not with -f json")
    wording = Wording(SelectPrompts, FLAGS)
    with wording.errors():
        asked = SelectPrompts(
            query=query,
            collection=collection,
            file=listed,
            text_column=text_column,
            caption=caption,
            k=k,
            variety=variety,
            where=where,
            bridge=bridge,
            encoder=encoder,
            dialect=dialect,
            together=together,
            negative=tuple(negative or ()),
            lyrics=_words(lyrics),
        )
        with progress(stderr(), wording=wording) as listener:
            found = asked.run(listener=listener)
    selection = found.selection
    if selection.arithmetic:
        stderr().print(f"asked: {printable(selection.query)}", markup=False, soft_wrap=True)
    for note in selection.notes:
        complain(note)
    if not selection.chosen:
        stderr().print("no prompt found" + (" that fulfils the filter" if where else ""))
        raise typer.Exit(1)
    _complain_of(found.composed)
    if form == "json":
        for at, one in enumerate(selection.chosen):
            told = {"composed": found.composed[at].to_json()} if found.composed else {}
            write_json(one.to_json() | told)
    elif found.composed:
        _print_composed(found.composed)
    elif form == "text":
        for one in selection.chosen:
            sys.stdout.write(one.prompt.text + "\n")
    else:
        stdout().print(_selection_table(selection))


def _selection_table(found: Selection) -> Table:
    from analogon.phrases.pieces import short

    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("#", justify="right", style="dim")
    table.add_column("score", justify="right")
    table.add_column("prompt", overflow="fold", ratio=3)
    table.add_column("from", overflow="fold", style="dim", ratio=1)
    for one in found.chosen:
        places = ", ".join(short(source.name) for source in one.prompt.because)
        table.add_row(str(one.rank), f"{one.score:.3f}", Text(printable(one.prompt.text)), Text(printable(places)))
    return table


# -- prompts of phrases ------------------------------------------------------------------------------------------------


def interrogate(
    query: Annotated[
        str, typer.Argument(help="A recording, a picture, or arithmetic: './rain.wav - traffic'.", show_default=False)
    ],
    against: Annotated[
        str | None, typer.Option(help="Say what tells it from this: a file, a text or arithmetic.")
    ] = None,
    bank: Annotated[
        list[Path] | None,
        typer.Option(help="Phrases of your own: a file with one a line, or a folder of such; may be repeated."),
    ] = None,
    kind: Annotated[
        list[str] | None, typer.Option(help="Only phrases of this kind, such as moods; may be repeated.")
    ] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", help="How many phrases at most.")] = 8,
    words: Annotated[int | None, typer.Option(help="How many words at most.")] = None,
    least: Annotated[
        float, typer.Option(help="The share of the score that a further phrase has to gain; 0 goes on to -n.")
    ] = 0.04,
    part: Annotated[str | None, typer.Option(help="Hear only this part of the recording: 0:10-0:20.")] = None,
    collection: CollectionOption = None,
    encoder: OneEncoder = None,
    dialect: DialectOption = None,
    negative: NegativeOption = None,
    lyrics: LyricsOption = None,
    form: PromptFormat = "table",
) -> None:
    """Make a prompt that describes a recording or a picture, of the phrases of a bank, and say what each one gains.

    The phrase that raises the score of the whole text most is appended, until none does.
    """
    from analogon.cli.wording import Wording
    from analogon.service.prompting import Interrogate

    check_format(form, FORMATS)
    wording = Wording(Interrogate, FLAGS)
    with wording.errors():
        asked = Interrogate(
            query=query,
            against=against,
            bank=tuple(bank or ()),
            kind=tuple(kind or ()),
            limit=limit,
            words=words,
            min_gain=least,
            part=part,
            collection=collection,
            encoder=encoder,
            dialect=dialect,
            negative=tuple(negative or ()),
            lyrics=_words(lyrics),
        )
        with stderr().status("encoding phrases"):
            made = asked.run()
    for remark in made.remarks:
        complain(remark)
    if not made.found.appended:
        line = f"no phrase is nearer to {printable(made.query)} than to {printable(made.against or '')}"
        stderr().print(line, markup=False)
        raise typer.Exit(1)
    composed = [made.composed] if made.composed is not None else []
    _complain_of(composed)
    if form == "json":
        write_json(made)
    elif composed:
        _print_composed(composed)
    elif form == "text":
        sys.stdout.write(made.found.text + "\n")
    else:
        _show_interrogation(made, wording)


def _show_interrogation(made: Interrogated, wording: Wording) -> None:
    from analogon.prompts.interrogation import ENDINGS

    console, found, against = stdout(), made.found, made.against
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("#", justify="right", style="dim")
    table.add_column("phrase", overflow="fold")
    table.add_column("kind", style="dim")
    table.add_column("cosine", justify="right")
    if against is not None:
        table.add_column("the other", justify="right")
    table.add_column("gain", justify="right")
    table.add_column("score", justify="right")
    for rank, one in enumerate(found.appended, start=1):
        cells: list[str | Text] = [str(rank), Text(one.phrase), Text(one.kind), f"{one.cosine:.3f}"]
        cells += [] if one.other is None else [f"{one.other:.3f}"]
        table.add_row(*cells, f"{one.gain:+.3f}", f"{one.score:.3f}")
    console.print(table)
    console.print(f"prompt: {found.text}", markup=False, soft_wrap=True)
    score = f"{found.score:.3f} is its cosine with {made.query}"
    if against is not None:
        score = f"{score} less {found.similarity:.3f} (how alike the two are) times that with {against}"
    line = f"{score}, in {model_name(found.space)}; {wording(ENDINGS[found.ended])}"
    console.print(printable(line), style="dim", markup=False, soft_wrap=True)


# -- how prompts leave -------------------------------------------------------------------------------------------------


def _words(lyrics: Path | None) -> str | None:
    if lyrics is None:
        return None
    check_readable(lyrics)
    return lyrics.read_text("utf-8", "replace")


def _complain_of(composed: Sequence[Composed]) -> None:
    for remark in (remark for one in composed for remark in one.remarks):
        complain(remark)


def _print_composed(composed: Sequence[Composed]) -> None:
    """What can be pasted, and nothing else; several with a line of hyphens between."""
    sys.stdout.write("\n---\n".join(one.text for one in composed) + "\n")
