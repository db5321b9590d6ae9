"""``analogon prompts`` and ``analogon interrogate``: prompts chosen from a list, and prompts made of phrases."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from analogon import query as q
from analogon.cli.terminal import (
    CollectionOption,
    check_format,
    collection_folder,
    complain,
    model_name,
    stderr,
    stdout,
)
from analogon.generate.judge import Judge
from analogon.search.ask import as_query, media_of
from analogon.search.library import Library
from embed.errors import EncoderError, UnsupportedModality, UsageError, printable
from embed.media import Span, check_readable
from embed.pipeline import encode
from indexes.collection import Collection

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from analogon.prompts import Prompt
    from analogon.prompts.dialects import Composed
    from analogon.prompts.interrogation import Ending, Interrogation
    from analogon.prompts.selection import Selection
    from analogon.query import Query
    from embed.encoder import Encoder
    from embed.media import Modality

__all__ = ["interrogate", "prompts", "register"]

FORMATS: Final = ("table", "json", "text")
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


@dataclass(frozen=True, slots=True)
class _Dialect:
    """What ``--for``, ``--negative`` and ``--lyrics`` ask for. Raises ``UsageError`` before anything is encoded."""

    name: str | None
    negative: tuple[str, ...]
    lyrics: str | None

    @classmethod
    def of(cls, name: str | None, negative: Sequence[str] | None, lyrics: Path | None) -> _Dialect:
        from analogon.prompts.dialects import dialect

        if name is None:
            if negative or lyrics:
                raise UsageError("--negative and --lyrics go with --for, which names what the prompt is for")
            return cls(None, (), None)
        dialect(name)
        if lyrics is not None:
            check_readable(lyrics)
        return cls(name, tuple(negative or ()), None if lyrics is None else lyrics.read_text("utf-8", "replace"))

    def composed(self, prompts: Sequence[Prompt]) -> list[Composed]:
        """The prompts as one, in the dialect, where there is one; what was cut is said on stderr."""
        from analogon.prompts.dialects import compose

        if self.name is None:
            return []
        composed = compose(prompts, self.name, negative=self.negative, lyrics=self.lyrics)
        for remark in composed.remarks:
            complain(remark)
        return [composed]


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
    from analogon.prompts.selection import select

    check_format(form, FORMATS)
    said = _Dialect.of(dialect, negative, lyrics)
    if together and (dialect is None or form == "json"):
        raise UsageError("--together makes one prompt of several: it goes with --for, and not with -f json")
    if collection is not None and listed is not None:
        raise UsageError("-c names a collection of prompts, --list a file of them: say one of the two")
    if listed is None and text_column is not None:
        raise UsageError("--text-column says where the prompts of --list FILE stand")
    if listed is not None and caption is not None:
        raise UsageError("--caption reads the metadata of a collection's recordings and pictures; --list has texts")
    count = k if k is not None else 1 if dialect and not together else 5
    with ExitStack() as stack:
        if listed is not None:
            library, name = stack.enter_context(_opened_list(query, listed, text_column, encoder))
        else:
            library, name = stack.enter_context(Library.open(collection_folder(collection))), encoder
        found = select(
            library,
            query,
            k=count,
            variety=variety,
            caption=caption,
            where=where,
            bridge=bridge,
            encoders=[name] if name else (),
        )
    if found.arithmetic:
        stderr().print(f"asked: {printable(found.query)}", markup=False, soft_wrap=True)
    for note in found.notes:
        complain(note)
    if not found.chosen:
        stderr().print("no prompt found" + (" that fulfils the filter" if where else ""))
        raise typer.Exit(1)
    chosen = [one.prompt for one in found.chosen]
    composed = [
        one for group in ([chosen] if together else [[prompt] for prompt in chosen]) for one in said.composed(group)
    ]
    if form == "json":
        for at, one in enumerate(found.chosen):
            told = {"composed": composed[at].to_json()} if composed else {}
            _print_json(one.to_json() | told)
    elif composed:
        _print_composed(composed)
    elif form == "text":
        for one in found.chosen:
            sys.stdout.write(one.prompt.text + "\n")
    else:
        stdout().print(_selection_table(found))


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
    from analogon.prompts import interrogation

    check_format(form, FORMATS)
    said = _Dialect.of(dialect, negative, lyrics)
    asked, held = as_query(query), None if against is None else as_query(against)
    with ExitStack() as stack:
        opened = None
        if collection is not None:
            opened = stack.enter_context(Collection.open(collection_folder(collection)))
        described = _kinds([asked], opened)
        _, chosen = _pick(described | _kinds([held] if held else [], opened), encoder, opened)
        phrases = _phrases(described, bank or (), kind or ())
        with stderr().status("encoding phrases"):
            vector = _vector(chosen, asked, part, opened)
            other = None if held is None else Judge.of(chosen, held, opened).target
            found = interrogation.interrogate(
                chosen,
                vector,
                interrogation.Bank.of(chosen, phrases, keep=True),
                against=other,
                limit=limit,
                words=words,
                least=least,
            )
    name = _name(asked) + (f", {part}" if part else "")
    against = None if held is None else _name(held)
    if not found.appended:
        stderr().print(f"no phrase is nearer to {printable(name)} than to {printable(against or '')}", markup=False)
        raise typer.Exit(1)
    prompt = found.prompt(name)
    composed = said.composed([prompt])
    if form == "json":
        told = {"composed": composed[0].to_json()} if composed else {}
        _print_json({"query": name, "against": against} | prompt.to_json() | found.to_json() | told)
    elif composed:
        _print_composed(composed)
    elif form == "text":
        sys.stdout.write(found.text + "\n")
    else:
        _show_interrogation(found, name, against)


def _show_interrogation(found: Interrogation, name: str, against: str | None) -> None:
    console = stdout()
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
    score = f"{found.score:.3f} is its cosine with {name}"
    if against is not None:
        score = f"{score} less {found.alike:.3f} (how alike the two are) times that with {against}"
    line = f"{score}, in {model_name(found.space)}; {ENDINGS[found.ended]}"
    console.print(printable(line), style="dim", markup=False, soft_wrap=True)


ENDINGS: Final[Mapping[Ending, str]] = {
    "gain": "no other phrase raises it enough",
    "phrases": "as many phrases as were asked for (-n)",
    "words": "as many words as were asked for (--words)",
    "full": "the text encoder reads no further",
    "bank": "no more phrases in the bank",
}


# -- what is asked, and with which encoder -----------------------------------------------------------------------------


def _kinds(queries: Sequence[Query], opened: Collection | None) -> frozenset[Modality]:
    """The modalities of all that queries are made of."""
    found: set[Modality] = set()
    for leaf in (leaf for query in queries for leaf in q.leaves(q.without_excludes(query))):
        if isinstance(leaf, q.Item):
            items = {} if opened is None else opened.catalog.items([leaf.id])
            if leaf.id not in items:
                raise UsageError(f"{leaf}: there is no such item; -c names the collection that holds it")
            found.add(items[leaf.id].modality)
        else:
            found.add(media_of(leaf).modality)
    return frozenset(found)


def _pick(
    kinds: frozenset[Modality], named: str | None, opened: Collection | None
) -> tuple[str | Mapping[str, Any], Encoder]:
    """The encoder that compares media of some kinds with words, and what names it.

    It is the named one, else the collection's own, else one that needs no download. Raises ``UsageError``.
    """
    from analogon.settings import defaults
    from analogon.settings.defaults import LOOKS_AT
    from embed.encoder import load

    wanted = sorted(kinds - {"text"}) or ["text"]
    kept = [] if named or opened is None else [known.encoder for known in opened.spaces]
    names: list[str | Mapping[str, Any]] = [*kept, *([named] if named else defaults.available(kinds))]
    for name in names:
        try:
            encoder = load(name)
        except EncoderError:
            if named:
                raise
            continue
        if kinds | {"text"} <= encoder.modalities:
            return name, encoder
        if named:
            sides = ", ".join(sorted(encoder.modalities))
            raise UnsupportedModality(
                f"{encoder.space.model} takes {sides}: it cannot compare {' and '.join(wanted)} with words"
            )
    raise UsageError(
        f"no encoder is at hand that compares {' and '.join(wanted)} with words: name one with -e, such as "
        f"{LOOKS_AT[wanted[0]]}"
    )


def _vector(encoder: Encoder, asked: Query, part: str | None, opened: Collection | None) -> npt.NDArray[np.float32]:
    """What is asked as a unit vector of the encoder's space, ``(dim,)``."""
    if part is None:
        judge = Judge.of(encoder, asked, opened)
        if judge.remark:
            complain(judge.remark)
        return judge.target
    if not isinstance(asked, q.File) or (media := media_of(asked)).modality not in ("audio", "video"):
        raise UsageError("--part says which part of one recording is meant")
    vector: npt.NDArray[np.float32] = encode(encoder, [media.but(span=_span(part))]).array[0]
    return vector


def _span(part: str) -> Span:
    """``0:10-0:20``, ``1:02:03.5-1:02:10`` or ``10-20`` as seconds."""
    clock = r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)"
    found = re.fullmatch(rf"\s*{clock}\s*-\s*{clock}\s*", part)
    if not found:
        raise UsageError(f"--part {part}: a part is written as 0:10-0:20")
    numbers = [float(one or 0) for one in found.groups()]
    start, end = (3600 * hours + 60 * minutes + seconds for hours, minutes, seconds in (numbers[:3], numbers[3:]))
    if not start < end:
        raise UsageError(f"--part {part}: it ends before it begins")
    return Span(start, end)


def _name(query: Query) -> str:
    from analogon.phrases.pieces import short

    return short(query.path) if isinstance(query, q.File) else str(query)


def _phrases(kinds: frozenset[Modality], files: Sequence[Path], only: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Phrases by kind: those of files, else our own for what is described; of some kinds only where any are named."""
    from analogon import phrases
    from analogon.prompts.interrogation import read_bank

    media = kinds - {"text"}
    found = read_bank(files) if files else phrases.kinds(next(iter(media)) if len(media) == 1 else "text")
    if missing := [one for one in only if one not in found]:
        raise UsageError(f"--kind {missing[0]}: there is no such kind of phrases; there are: {', '.join(found)}")
    return {name: some for name, some in found.items() if not only or name in only}


@contextmanager
def _opened_list(query: str, path: Path, column: str | None, encoder: str | None) -> Iterator[tuple[Library, Any]]:
    """The collection of a list, and what names the encoder that it is asked with; its making is shown on stderr."""
    from analogon.cli.progress import progress
    from analogon.prompts.selection import open_list
    from analogon.transforms.bridge import leading_to
    from embed.encoder import load

    kinds = _kinds([as_query(query)], None)
    if encoder is not None and leading_to(load(encoder).space):
        name: str | Mapping[str, Any] = encoder  # what it does not take itself a bridge may carry
    else:
        name, _ = _pick(kinds, encoder, None)
    with ExitStack() as stack:
        with progress(stderr()) as listener:
            library = stack.enter_context(open_list(path, name, column=column, listener=listener))
        yield library, name


# -- how prompts leave -------------------------------------------------------------------------------------------------


def _print_composed(composed: Sequence[Composed]) -> None:
    """What can be pasted, and nothing else; several with a line of hyphens between."""
    sys.stdout.write("\n---\n".join(one.text for one in composed) + "\n")


def _print_json(fields: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(fields, ensure_ascii=False) + "\n")
