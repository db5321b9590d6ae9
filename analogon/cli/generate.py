"""``analogon generate``: takes of a prompt, scored, best first, each with a sidecar that says how it was made."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analogon.cli.terminal import (
    CollectionOption,
    bars,
    check_format,
    collection_folder,
    complain,
    stderr,
    stdout,
)
from embed.errors import UsageError, printable

if TYPE_CHECKING:
    from analogon.engines.generator import Generator, Settings
    from analogon.generate.judge import Judges
    from analogon.generate.takes import Take
    from analogon.prompts import Prompt
    from analogon.search.library import Library
    from analogon.speech import Document

__all__ = ["generate", "register"]

FORMATS = ("table", "json", "paths")


def register(app: typer.Typer) -> None:
    """Add the command to an app."""
    app.command()(generate)


def generate(
    prompt: Annotated[
        list[str] | None,
        typer.Argument(help="What to make, or to say; - reads prompts from stdin, a line each.", show_default=False),
    ] = None,
    with_: Annotated[
        str, typer.Option("--with", "-w", help="family:model: mosaic, espeak, musicgen:..., or a TOML file.")
    ] = "",
    collection: CollectionOption = None,
    takes: Annotated[int, typer.Option("-n", "--takes", help="How many takes, each with its own seed.")] = 1,
    seed: Annotated[int, typer.Option(help="The seed of the first take.")] = 0,
    seconds: Annotated[float | None, typer.Option(help="How long a take shall be.")] = None,
    guide: Annotated[
        Path | None, typer.Option(help="A recording to continue, follow or convert, as the generator does.")
    ] = None,
    voice: Annotated[str | None, typer.Option(help="A kept voice, or one of the generator's own.")] = None,
    language: Annotated[str | None, typer.Option(help="The language to speak, such as en-GB.")] = None,
    ssml: Annotated[Path | None, typer.Option(help="Speak this SSML document.")] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="One of the generator's settings, as name=value; may be repeated.")
    ] = None,
    choose: Annotated[str | None, typer.Option(help="The encoder that orders the takes.")] = None,
    report: Annotated[str | None, typer.Option(help="Another encoder, which says how good they are.")] = None,
    like: Annotated[
        str | None, typer.Option(help="What takes are compared with, a text or a file, instead of the prompt.")
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder for takes and their sidecars.")] = Path("takes"),
    add: Annotated[
        str | None, typer.Option(help="Put the takes into this collection, with where they come from.")
    ] = None,
    form: Annotated[str, typer.Option("-f", "--format", help="table, json or paths.")] = "table",
) -> None:
    """Make takes of a prompt, best first: sound of a collection's own segments (mosaic), speech (espeak), or a model's.

    What is in the folder already is not made again: after an interruption the same command goes on. Each take has a
    sidecar with its prompt, hits, generator, seed and scores.
    """
    from analogon.engines.generator import Settings
    from analogon.generate.loading import families, load
    from analogon.generate.takes import Run, ranked
    from analogon.search.library import Library

    check_format(form, FORMATS)
    if not with_:
        raise UsageError(f"--with names a generator; there are: {', '.join(families())}")
    if add is not None and not add.strip():
        raise UsageError("--add names a collection")
    prompts = list(_prompts(prompt or [], ssml, guide))
    if not prompts:
        raise UsageError("stdin held no prompt")
    options = dict(_setting(text) for text in setting or [])
    with ExitStack() as stack:
        library: Library | None = None
        if collection is not None or with_.partition(":")[0] == "mosaic":
            library = stack.enter_context(Library.open(collection_folder(collection)))
        generator = load(with_, library=library, **options)
        settings = Settings(seed, seconds, _guide(guide), _voice(voice), language)
        document = _document(ssml)
        done: list[list[Take]] = []  # those of each prompt, best first
        told: set[str] = set()
        for stage in generator.stages:
            complain(str(stage))
        with bars(transient=True) as shown:
            bar = shown.add_task("takes", total=takes * len(prompts))
            for one in prompts:
                judges = _judges(generator, one, settings, library, like, choose, report)
                run = Run(generator, one, out, settings, takes, judges, document)
                found = []
                for take in run.takes():
                    found.append(take)
                    shown.advance(bar)
                done += [ranked(found)] if found else []
                for line in [*judges.remarks, *run.remarks]:
                    if line not in told:
                        told.add(line)
                        shown.console.print(f"analogon: {line}", markup=False, highlight=False, soft_wrap=True)
            made = [take for group in done for take in group]
            shown.update(bar, total=len(made), completed=len(made))
    _show(done, form, several=len(prompts) > 1)
    if add is not None and made:
        _add(add, made)
    if not done:
        raise typer.Exit(1)


def _prompts(words: Sequence[str], ssml: Path | None, guide: Path | None) -> Iterator[Prompt]:
    """The prompts that were typed, or come from stdin: plain lines, or JSON as ``analogon prompts`` prints it."""
    from analogon.prompts import Prompt

    if ssml is not None:
        if words:
            raise UsageError("--ssml says what to speak: no prompt beside it")
        yield Prompt(ssml.stem)
        return
    if not words and guide is None:
        raise UsageError("a prompt is needed: a text, or - for lines from stdin")
    if not words:
        yield Prompt("")  # to go by the guide alone
    for word in words:
        if word != "-":
            yield Prompt(word)
            continue
        for line in sys.stdin:
            if not line.strip():
                continue
            try:
                fields = json.loads(line) if line.lstrip().startswith("{") else {"text": line.strip()}
                yield Prompt.from_json(fields)
            except (ValueError, KeyError, TypeError) as error:
                raise UsageError(f"stdin: not a prompt as JSON ({error}): {line.strip()[:60]}") from None


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise UsageError(f"--set {text}: a setting is name=value, such as guidance=3")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _guide(path: Path | None) -> Any:
    from embed.media import Media, check_readable

    if path is None:
        return None
    check_readable(path)
    return Media.from_path(path, "audio")


def _voice(name: str | None) -> Any:
    """A kept voice of that name, else the name, which the generator may know."""
    from analogon.voices import SHELF, Voice

    return Voice.load(name) if name is not None and name in SHELF.names() else name


def _document(path: Path | None) -> Document | None:
    if path is None:
        return None
    from analogon.speech import read

    return read(path)


def _judges(
    generator: Generator,
    prompt: Prompt,
    settings: Settings,
    library: Library | None,
    like: str | None,
    choose: str | None,
    report: str | None,
) -> Judges:
    """Who scores the takes, by what ``like`` says, else by the prompt, else by the guide.

    What is spoken is not what it sounds like: speech is judged by ``like`` alone, and its voice by speaker encoders.
    """
    from analogon.generate.judge import Judge, Judges, at_hand
    from analogon.query import File, Query, Text
    from analogon.search.ask import as_query
    from embed.encoder import load as load_encoder

    guide = settings.guide.path if settings.guide is not None else None
    query: Query
    if like is not None:
        query = as_query(like)
    elif generator.speaks or (guide and settings.voice is not None):
        if choose or report:
            raise UsageError(f"{generator.name} speaks: say with --like what it should sound like")
        return Judges()
    elif guide is not None and not prompt.text.strip():
        query = File(guide)
    else:
        query = as_query(prompt.text) if generator.asks else Text(prompt.text)
    collection = library.collection if library else None
    chooses, reports = (
        None if name is None else Judge.of(load_encoder(name), query, collection) for name in (choose, report)
    )
    return Judges.among(at_hand(query, generator.modality, collection), chooses, reports)


def _show(groups: Sequence[Sequence[Take]], form: str, *, several: bool) -> None:
    """The takes of each prompt, ranked among themselves: scores with different prompts do not compare."""
    from analogon.cli import show

    console = stdout()
    for takes in groups:
        for rank, take in enumerate(takes, start=1):
            if form == "paths":
                sys.stdout.write(f"{take.path}\n")
            elif form == "json":
                fields = {"rank": rank, "path": str(take.path), "new": take.again} | dict(take.record)
                sys.stdout.write(json.dumps(fields, ensure_ascii=False) + "\n")
        if form != "table":
            continue
        if several:
            console.print(printable(takes[0].record["prompt"]["text"]), markup=False, soft_wrap=True)
        console.print(show.takes_table(takes))
        for line in show.takes_lines(takes):
            console.print(line, style="dim", markup=False)


def _add(name: str, takes: Sequence[Take]) -> None:
    """Put takes into a collection, with where they come from as columns of their own."""
    from analogon.cli.progress import progress
    from analogon.generate.takes import provenance
    from analogon.service.filling import encoders_for, to_fill

    path = collection_folder(name)
    files = [str(take.path.resolve()) for take in takes]
    columns = {file: provenance(take) for file, take in zip(files, takes, strict=True)}
    encoders = encoders_for(path, files, say=complain)
    with to_fill(path) as library, progress(stderr()) as listener:
        report = library.index(*files, encoders=encoders, metadata=columns, listener=listener)
        new = "1 take is" if report.new == 1 else f"{report.new} takes are"
        moved = f", {report.moved} moved" if report.moved else ""
        complain(f"{library.collection.name}: {new} new there, {report.known} were known{moved}")
