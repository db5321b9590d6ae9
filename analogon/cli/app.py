"""The command line: parse, call, show. Results go to stdout, progress and what was skipped to stderr.

Exit codes: 0 found or done, 1 nothing found, 2 wrong use, 3 failed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analogon.cli import analogy, bridge, evaluate, exporting, generate, label, prompts, train, voice
from analogon.cli import families as listing
from analogon.cli.examples import show_examples
from analogon.cli.streams import finish, prepare, write_path
from analogon.cli.terminal import (
    CollectionOption,
    Commands,
    EncoderOption,
    FormatOption,
    check_format,
    collection_folder,
    collection_option,
    complain,
    families,
    stderr,
    stdout,
    write_json,
)
from analogon.settings import config
from analogon.settings.arguments import superseded
from embed.errors import AnalogonError, UsageError, escaped, one_line, printable, spelled_out
from embed.faults import machine_fault

if TYPE_CHECKING:
    from rich.console import Console

    from analogon.demo.tour import Demo

__all__ = ["app", "main"]

app = Commands(
    help="Find, compare and combine sounds, pictures, texts and voices by meaning.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(train.app, name="train")
app.add_typer(evaluate.app, name="eval")
app.add_typer(bridge.app, name="bridge")
app.add_typer(voice.app, name="voice")


def _version(asked: bool) -> None:
    if asked:
        from analogon import __version__

        stdout().print(f"analogon {__version__}", markup=False)
        raise typer.Exit


@app.callback()
def analogon(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """Find, compare and combine sounds, pictures, texts and voices by meaning."""


@app.command()
def index(
    paths: Annotated[list[str], typer.Argument(help="Files and folders.", show_default=False)],
    collection: CollectionOption = None,
    encoder: EncoderOption = None,
    metadata: Annotated[str | None, typer.Option(help="A csv, tsv or jsonl table about the files.")] = None,
    key: Annotated[str, typer.Option(help="The table's column that names the files.")] = "file",
    text_column: Annotated[str | None, typer.Option(help="Index the rows of tables: this column's texts.")] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Only this modality, as --only audio where pictures are covers; may be repeated."),
    ] = None,
    memory: Annotated[str | None, typer.Option(help="Budget for the search indexes, such as 2G.")] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Remove what is no longer there.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="With --prune: also what may be on a drive that is not there, or much.")
    ] = False,
    reread: Annotated[
        bool, typer.Option("--reread", help="Read every file anew, whatever its size and times are.")
    ] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try files again that failed before.")] = False,
) -> None:
    """Index files and folders; run it again whenever files were added."""
    from analogon.cli import show
    from analogon.cli.progress import progress
    from analogon.service.indexing import Index

    if force and not prune:
        raise UsageError("--force goes with --prune: there is nothing to remove without it")
    request = Index(
        paths=tuple(paths),
        collection=collection,
        encoders=tuple(encoder or ()),
        metadata=metadata,
        key=key,
        text_column=text_column,
        only=tuple(only or ()),
        memory=memory,
        prune=prune,
        force=force,
        reread=reread,
        retry=retry,
    )
    with progress(stderr()) as listener:
        confirm = listener.confirm if sys.stdin is not None and sys.stdin.isatty() and stderr().is_terminal else None
        indexed = request.run(listener, confirm=confirm)
        option = collection_option(collection)
        for line in show.unseen_lines(indexed.report.unseen):
            complain(line)
        for line in show.kept_lines(indexed.report, asked=listener.asked, option=option):
            complain(line)
    for line in show.indexed_lines(indexed, option=option):
        stdout().print(line, markup=False)
    if prune and indexed.report.kept and not listener.asked:
        raise typer.Exit(3)  # a nightly run should be seen to have left something undone
    if not indexed.report.found:
        raise typer.Exit(1)


@app.command()
def search(
    query: Annotated[
        str,
        typer.Argument(help="A text, a file, or arithmetic: '2:rain + ./roof.wav - traffic'.", show_default=False),
    ],
    collection: CollectionOption = None,
    to: Annotated[str | None, typer.Option("--to", help="What to find: audio, image, text or video.")] = None,
    k: Annotated[int, typer.Option("-k", help="How many hits.")] = 10,
    where: Annotated[str | None, typer.Option(help="A filter: \"category = 'drum' and duration < 2\".")] = None,
    offset: Annotated[int, typer.Option(help="Leave out so many of the best hits.")] = 0,
    form: Annotated[str, typer.Option("-f", "--format", help="table, json, tsv or paths.")] = "table",
    space: Annotated[
        list[str] | None,
        typer.Option(help="Look in the space of this encoder: family:model, or a TOML file; may be repeated."),
    ] = None,
    encoder: Annotated[list[str] | None, typer.Option("--encoder", "-e", hidden=True)] = None,
    parts: Annotated[bool, typer.Option("--parts", help="Every part that matches, not the best of a file.")] = False,
    include_self: Annotated[bool, typer.Option("--include-self", help="Keep the query's own files.")] = False,
    by: Annotated[
        str | None,
        typer.Option(help="What to compare: content, name, or both; a text asks both, a file its content."),
    ] = None,
    bridge: Annotated[str | None, typer.Option(help="The bridge to cross into another space.")] = None,
    rerank: Annotated[
        str, typer.Option(help="Make up for items that are near to every query: nnn, csls, qbnorm or centre.")
    ] = "none",
    variety: Annotated[float, typer.Option(help="From 0 to 1: how unlike each other the hits should be.")] = 0.0,
) -> None:
    """Find what is closest in meaning to a text, a file, or an expression of them.

    2:rain + ./roof.wav - traffic; rain without(traffic); toward(rain, ./sea.wav, 0.3); apply(male-female, ./him.wav);
    rain exclude(./car.wav, 0.3); id:12 is an item. Double quotes take words as they stand.
    """
    from analogon.cli import show
    from analogon.service.searching import Search

    check_format(form, show.FORMATS)
    if encoder:
        raise UsageError(superseded("search --encoder", "search --space"))
    request = Search(
        query=query,
        collection=collection,
        to=to,
        k=k,
        where=where,
        offset=offset,
        spaces=tuple(space or ()),
        parts=parts,
        include_self=include_self,
        by=by,
        bridge=bridge,
        rerank=rerank,
        variety=variety,
    )
    hits = request.run()
    if hits.arithmetic:
        stderr().print(f"asked: {printable(hits.query)}", markup=False, soft_wrap=True)
    for note in hits.notes:
        complain(note)
    for line in (show.missing_line(hits, form, option=collection_option(collection)), show.split_line(hits, form)):
        if line:
            complain(line)
    if not hits:
        stderr().print("nothing found" + (" that fulfils the filter" if where else ""))
        raise typer.Exit(1)
    if form == "table":
        stdout().print(show.hits_table(hits))
    else:
        for line in show.lines(hits, form):
            if form == "paths":
                write_path(line)
            else:
                sys.stdout.write(line + "\n")


@app.command()
def info(
    collection: CollectionOption = None,
    failures: Annotated[
        bool, typer.Option("--failures", help="Name every file that was left out, or noted, and why.")
    ] = False,
    form: FormatOption = "table",
) -> None:
    """What a collection holds, in which spaces, and what was left out."""
    from analogon.cli import show
    from analogon.service.searching import Describe, ListFailures

    check_format(form)
    path = collection_folder(collection)
    if collection is None and not (path / "manifest.json").is_file() and (names := config.collections()):
        lines = [f"there is no collection called {path.name}; -c chooses one of these:", *(f"  {one}" for one in names)]
    elif failures:
        found = ListFailures(collection=collection).run()
        if form == "json":
            write_json(*found.failures, *found.notes)
            return
        lines = [str(one) for one in (*found.failures, *found.notes)]
    else:
        described = Describe(collection=collection).run()
        if form == "json":
            write_json(described)
            return
        lines = list(show.description_lines(described))
    for line in lines:
        stdout().print(line, markup=False)


@app.command()
def rm(
    paths: Annotated[list[str] | None, typer.Argument(help="Files or folders to forget.", show_default=False)] = None,
    collection: CollectionOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Delete the whole collection.")] = False,
) -> None:
    """Take files out of a collection, or delete the collection; the files themselves stay untouched."""
    from analogon.service.indexing import Remove

    removed = Remove(paths=tuple(paths or ()), collection=collection, everything=everything).run()
    if removed.deleted is not None:
        stdout().print(f"deleted {removed.deleted}", markup=False)
        return
    for path in removed.unknown:
        complain(f"{escaped(spelled_out(path))}: nothing is known of it here")
    stdout().print(f"{removed.files} {'file' if removed.files == 1 else 'files'} forgotten")
    if not removed.files:
        raise typer.Exit(1)


@app.command()
def export(
    target: Annotated[Path, typer.Argument(help="A .parquet file, or a folder for clip-retrieval's layout.")],
    collection: CollectionOption = None,
    encoder: EncoderOption = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a .parquet file that is there.")] = False,
) -> None:
    """Write a collection's items and vectors as parquet, or as clip-retrieval's folder of npy and parquet."""
    from analogon.service.exchange import Export

    written = Export(target=target, collection=collection, encoder=encoder[0] if encoder else None, force=force).run()
    stdout().print(f"{written.items} items written to {written.target}", markup=False)


@app.command(name="import")
def import_(
    source: Annotated[Path, typer.Argument(help="A .parquet file, or a folder in clip-retrieval's layout.")],
    collection: CollectionOption = None,
    encoder: EncoderOption = None,
) -> None:
    """Make a collection from exported vectors, or add them to one; nothing is encoded again."""
    from analogon.cli.progress import progress
    from analogon.service.exchange import Import

    with progress(stderr()) as listener:
        taken = Import(source=source, collection=collection, encoder=encoder[0] if encoder else None).run(listener)
    stdout().print(f"{taken.vectors} vectors of {taken.found} rows taken in, {len(taken.failures)} left out")


@app.command()
def doctor(
    encoder: Annotated[
        str | None,
        typer.Argument(help="An encoder; without one, a collection's own.", autocompletion=families),
    ] = None,
    collection: CollectionOption = None,
    form: FormatOption = "table",
) -> None:
    """Test an encoder before it costs a night: spread, determinism, finite values, fit, speed."""
    from analogon.cli import show
    from analogon.service.examining import Examine, checks

    check_format(form)
    healthy = True
    for diagnosis in Examine(encoder=encoder, collection=collection).diagnoses():
        healthy &= diagnosis.ok
        if form == "json":
            write_json(*checks(diagnosis))
            continue
        stdout().print(str(diagnosis.space), markup=False)
        stdout().print(show.diagnosis_table(diagnosis))
    if not healthy:
        raise typer.Exit(3)


@app.command()
def demo(
    keep: Annotated[Path | None, typer.Option(help="Leave the files and their collection in this folder.")] = None,
    encoder: Annotated[
        str, typer.Option("--encoder", "-e", help="What to hear the sounds with.", autocompletion=families)
    ] = "starter",
) -> None:
    """Make a folder of sounds and pictures on the spot, index it and search it: a tour, and a test of everything."""
    from analogon.demo.tour import Demonstrate

    console = stdout()
    started = time.monotonic()
    with Demonstrate(keep=keep, encoder=encoder).prepared() as tour, contextlib.chdir(tour.folder):
        wrong = _guide(tour, console)
    console.print(f"\n{time.monotonic() - started:.1f} s in all. Now on a folder of your own:", markup=False)
    console.print(f"  analogon index ~/Music -c mine --encoder {encoder}", markup=False)
    console.print("  analogon search 'a slow piano' -c mine", markup=False)
    if keep is None:
        console.print("The demo's files are gone again; --keep FOLDER leaves them.", markup=False)
    for line in wrong:
        complain(line)
    if wrong:
        raise typer.Exit(3)


def _guide(tour: Demo, console: Console) -> list[str]:
    """Show what a demonstration makes, asks, finds and generates; give the commands that did not do so well."""
    from analogon.cli import show
    from analogon.cli.progress import progress
    from analogon.phrases.pieces import short

    console.print(f"$ cd {tour.folder}", markup=False)
    console.print(tour.make(), markup=False)
    console.print(f"\n$ {tour.index_command}", markup=False)
    with progress(stderr()) as listener:
        report = tour.index(listener)
    console.print(f"{report.found} files, {report.vectors} vectors in {report.seconds:.1f} s", markup=False)
    wrong = []
    for answer in tour.answers():
        console.print(f"\n$ {answer.command}", markup=False)
        console.print(show.hits_table(answer.hits))
        console.print(f"  made as: {', '.join(answer.kinds)}", style="dim")
        for note in answer.hits.notes:
            complain(note)
        if answer.wrong:
            wrong.append(f"{answer.command}: {answer.wrong}")
    made = tour.generate()
    if made is None:
        return wrong
    console.print(f"\n$ {made.command}", markup=False)
    console.print(show.takes_table([replace(take, path=Path(short(str(take.path)))) for take in made.takes]))
    for line in made.remarks:
        complain(line)
    return [*wrong, *([f"{made.command}: {made.wrong}"] if made.wrong else [])]


analogy.register(app)
label.register(app)
listing.register(app)
generate.register(app)
prompts.register(app)
exporting.register(app)
show_examples(app)


def _with_command(words: list[str]) -> typer.Typer:
    """The app with the one command that is called, or whole: to make all of them takes a third of a short command."""
    called = [one for one in app.registered_commands if words == [one.name or getattr(one.callback, "__name__", "")]]
    if not called or any(name.endswith("_COMPLETE") for name in os.environ):
        return app
    narrow = copy(app)
    narrow.registered_commands, narrow.registered_groups = called, []
    return narrow


def main() -> None:
    """The entry point: every error a person can meet becomes one line and an exit code."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends us quietly, as it does other tools
    prepare()
    if (encoding := sys.getfilesystemencoding()).lower() not in ("utf-8", "utf8"):
        complain(
            f"names of files are read as {encoding} here, others may look as if they were gone: PYTHONUTF8=1 helps"
        )
    try:
        try:
            # The name is what is completed, under python -m too.
            _with_command(sys.argv[1:2])(prog_name="analogon", standalone_mode=True)
        finally:
            finish()
    except UsageError as error:
        complain(str(error))
        sys.exit(2)
    except AnalogonError as error:
        complain(str(error))
        sys.exit(3)
    except SystemExit as ending:
        if ending.code == 130:
            complain("stopped; what was committed is kept, and the same command goes on from there")
        raise
    except Exception as error:
        if os.environ.get("ANALOGON_DEBUG"):
            raise
        if (fault := machine_fault(error, str(getattr(error, "filename", None) or "analogon"))) is not None:
            complain(str(fault).removeprefix("analogon: "))
            sys.exit(3)
        if isinstance(error, PermissionError) and error.filename is not None:
            complain(f"{printable(os.fsdecode(error.filename))}: {error.strerror}")
            sys.exit(3)
        complain(f"{one_line(error, named=True)} (this is a fault of analogon; ANALOGON_DEBUG=1 shows where)")
        sys.exit(3)
