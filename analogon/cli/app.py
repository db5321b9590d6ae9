"""The command line: parse, call, show. Results go to stdout, progress and what was skipped to stderr.

Exit codes: 0 found or done, 1 nothing found, 2 wrong use, 3 failed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from analogon.cli import analogy, bridge, evaluate, generate, label, prompts, train, voice
from analogon.cli.terminal import (
    CollectionOption,
    EncoderOption,
    FormatOption,
    check_format,
    collection_folder,
    complain,
    stderr,
    stdout,
)
from analogon.settings import config
from analogon.settings.arguments import superseded
from embed.errors import AnalogonError, UsageError, one_line, printable
from embed.faults import machine_fault

if TYPE_CHECKING:
    from analogon.demo.tour import Demo
    from analogon.search.library import Library
    from indexes.build import Report
    from indexes.catalog import Failure, Note

__all__ = ["app", "main"]

app = typer.Typer(
    help="Find, compare and combine sounds, pictures, texts and voices by meaning.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(train.app, name="train")
app.add_typer(evaluate.app, name="eval")
app.add_typer(bridge.app, name="bridge")
app.add_typer(voice.app, name="voice")


@app.command()
def index(
    paths: Annotated[list[str], typer.Argument(help="Files and folders.", show_default=False)],
    collection: CollectionOption = None,
    encoder: EncoderOption = None,
    metadata: Annotated[str | None, typer.Option(help="A csv, tsv or jsonl table about the files.")] = None,
    key: Annotated[str, typer.Option(help="The table's column that names the files.")] = "file",
    text_column: Annotated[str | None, typer.Option(help="Index the rows of tables: this column's texts.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this modality; may be repeated.")] = None,
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
    from analogon.service.filling import encoders_for, to_fill
    from indexes.faiss import parse_memory

    if force and not prune:
        raise UsageError("--force goes with --prune: there is nothing to remove without it")
    path = collection_folder(collection)
    names = list(encoder or []) or encoders_for(path, paths, only or (), say=complain)
    budget = memory or config.default_memory()
    size = parse_memory(budget) if budget else None
    with to_fill(path) as library, progress(stderr()) as listener:
        report = library.index(
            *paths,
            encoders=names,
            metadata=metadata,
            key=key,
            text_column=text_column,
            only=only or (),
            prune=prune,
            force=force,
            reread=reread,
            retry=retry,
            memory=size,
            listener=listener,
            confirm=listener.confirm if sys.stdin.isatty() and stderr().is_terminal else None,
        )
        lines = _report_lines(library, report)
        for line in show.unseen_lines(report.unseen):
            complain(line)
        for line in show.kept_lines(
            report, asked=listener.asked, option=f" -c {shlex.quote(collection)}" if collection else ""
        ):
            complain(line)
    console = stdout()
    for line in lines:
        console.print(line, markup=False)
    if prune and report.kept and not listener.asked:
        raise typer.Exit(3)  # a nightly run should be seen to have left something undone
    if not report.found:
        raise typer.Exit(1)


def _report_lines(library: Library, report: Report) -> list[str]:
    from analogon.cli import show

    counts = [
        (report.new, "new"),
        (report.known, "known"),
        (report.changed, "changed"),
        (report.moved, "moved"),
        (report.duplicates, "with content that is here already"),
        (report.removed, f"removed{show.few(report.gone) if not report.missing else ''}"),
        (report.missing, f"no longer there{show.few(report.gone)} (--prune removes them)"),
    ]
    told = ", ".join(f"{number} {what}" for number, what in counts if number)
    files, rows = report.found - report.rows, report.rows
    found = " and ".join(f"{count} {what}" for count, what in ((files, "files"), (rows, "rows")) if count) or "nothing"
    lines = [
        f"{library.collection.name}: {found}"
        + (f" ({told})" if told else "")
        + f"; {report.vectors} new vectors in {report.seconds:.1f} s"
    ]
    if report.ignored:
        lines.append(f"  passed over, of other kinds: {report.ignored}")
    if report.matched is not None:
        unused = f"; its rows that match no file here: {report.unused}" if report.unused else ""
        lines.append(f"  files that the side table speaks of: {report.matched}{unused}")
    skipped = sum(not failure.partly for failure in report.failures)
    if report.failures:
        partly = len(report.failures) - skipped
        lines.append(f"  {skipped} skipped, {partly} partly indexed; the reasons: analogon info --failures")
    if report.notes:
        lines.append(f"  noted of files that were indexed: {len(report.notes)}; all of it: analogon info --failures")
    if report.postponed:
        lines.append(f"  {len(report.postponed)} left for the next run, which tries them again by itself")
    if report.still_failing:
        lines.append(f"  {report.still_failing} failed before and stand unchanged; --retry tries them again")
    for entry in library.describe()["spaces"]:
        for modality, side in entry["modalities"].items():
            lines.append(f"  {modality}: {side['vectors']} vectors in {entry['model']}, {side['index']}")
    return lines


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
    from analogon.search.library import Library

    check_format(form, show.FORMATS)
    if encoder:
        raise UsageError(superseded("search --encoder", "search --space"))
    with Library.open(collection_folder(collection)) as library:
        hits = library.search(
            query,
            to=to,
            k=k,
            where=where,
            offset=offset,
            spaces=space or (),
            parts=parts,
            include_self=include_self,
            by=by,
            bridge=bridge,
            rerank=rerank,
            variety=variety,
        )
    if hits.arithmetic:
        stderr().print(f"asked: {printable(hits.query)}", markup=False, soft_wrap=True)
    for note in hits.notes:
        complain(note)
    if line := show.missing_line(hits, form):
        complain(line)
    if not hits:
        stderr().print("nothing found" + (" that fulfils the filter" if where else ""))
        raise typer.Exit(1)
    if form == "table":
        stdout().print(show.hits_table(hits))
    else:
        for line in show.lines(hits, form):
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
    from analogon.search.library import Library

    check_format(form)
    console = stdout()
    path = collection_folder(collection)
    if collection is None and not (path / "manifest.json").is_file() and (names := config.collections()):
        console.print(f"there is no collection called {path.name}; -c chooses one of these:", markup=False)
        for name in names:
            console.print(f"  {name}", markup=False)
        return
    with Library.open(path) as library:
        if failures:
            catalog = library.collection.catalog
            told: list[Failure | Note] = [*catalog.failures(), *catalog.notes()]
            for failure in told:
                if form == "json":
                    sys.stdout.write(json.dumps(asdict(failure), ensure_ascii=False) + "\n")
                else:
                    console.print(str(failure), markup=False)
            return
        facts = library.describe()
    if form == "json":
        sys.stdout.write(json.dumps(facts, ensure_ascii=False) + "\n")
        return
    console.print(f"{facts['name']}  {facts['path']}", markup=False)
    console.print(
        f"  {facts['sources']} files, {facts['contents']} different contents, {facts['items']} parts, "
        f"{facts['bytes'] / 1e6:,.1f} MB on disk, {facts['failures']} left out wholly or partly"
    )
    for entry in facts["spaces"]:
        console.print(f"  {entry['space']}", markup=False)
        for modality, side in entry["modalities"].items():
            console.print(f"    {modality}: {side['vectors']} vectors, {side['index']}", markup=False)
    meaning = f" and by meaning with {facts['names']}" if facts["names"] else ""
    console.print(f"  names are compared by their words{meaning}", markup=False)
    for modality, count in facts["by_name_alone"].items():
        console.print(f"    {modality}: {count} found by name alone", markup=False)
    if facts["fields"]:
        console.print(f"  fields for --where: {', '.join(facts['fields'])}", markup=False)


@app.command()
def rm(
    paths: Annotated[list[str] | None, typer.Argument(help="Files or folders to forget.", show_default=False)] = None,
    collection: CollectionOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Delete the whole collection.")] = False,
) -> None:
    """Take files out of a collection, or delete the collection; the files themselves stay untouched."""
    from analogon.search.library import Library
    from indexes.writer import remove_collection

    path = collection_folder(collection)
    if everything == bool(paths):
        raise UsageError("name the files to forget, or say --all to delete the whole collection")
    if everything:
        remove_collection(path)
        stdout().print(f"deleted {path}", markup=False)
        return
    with Library.open(path) as library:
        gone = library.remove(*(paths or []))
    stdout().print(f"{gone} files forgotten")
    if not gone:
        raise typer.Exit(1)


@app.command()
def export(
    target: Annotated[Path, typer.Argument(help="A .parquet file, or a folder for clip-retrieval's layout.")],
    collection: CollectionOption = None,
    encoder: EncoderOption = None,
) -> None:
    """Write a collection's items and vectors as parquet, or as clip-retrieval's folder of npy and parquet."""
    from embed.models import shared
    from indexes import exchange
    from indexes.collection import Collection

    with Collection.open(collection_folder(collection)) as opened:
        space = shared(encoder[0]).space if encoder else None
        if target.suffix == ".parquet":
            count = exchange.export_parquet(opened, target, space=space)
        else:
            count = exchange.export_clip_retrieval(opened, target, space=space)
    stdout().print(f"{count} items written to {target}", markup=False)


@app.command(name="import")
def import_(
    source: Annotated[Path, typer.Argument(help="A .parquet file, or a folder in clip-retrieval's layout.")],
    collection: CollectionOption = None,
    encoder: EncoderOption = None,
) -> None:
    """Make a collection from exported vectors, or add them to one; nothing is encoded again."""
    from analogon.cli.progress import progress
    from indexes import exchange

    if not source.exists():
        raise UsageError(f"{source}: no such file or folder")
    name = encoder[0] if encoder else None
    read = exchange.import_clip_retrieval if source.is_dir() else exchange.import_parquet
    with progress(stderr()) as listener:
        report = read(collection_folder(collection), source, encoder=name)
        for failure in report.failures:
            listener.failed(failure)
    stdout().print(f"{report.vectors} vectors of {report.found} rows taken in, {len(report.failures)} left out")


@app.command()
def doctor(
    encoder: Annotated[str | None, typer.Argument(help="An encoder; without one, a collection's own.")] = None,
    collection: CollectionOption = None,
    form: FormatOption = "table",
) -> None:
    """Test an encoder before it costs a night: spread, determinism, finite values, fit, speed."""
    from rich.markup import escape
    from rich.table import Table

    from analogon.evaluation.doctor import examine
    from embed.models import shared
    from indexes.collection import Collection

    check_format(form)
    opened = Collection.open(collection_folder(collection)) if collection or not encoder else None
    if encoder:
        patients = [shared(encoder)]
    else:
        assert opened is not None
        patients = [opened.encoder(known) for known in opened.spaces]
    console = stdout()
    healthy = True
    for patient in patients:
        diagnosis = examine(patient, collection=opened)
        healthy &= diagnosis.ok
        if form == "json":
            for check in diagnosis.checks:
                record = {"encoder": patient.space.model, "check": check.name, "ok": check.ok, "value": check.value}
                sys.stdout.write(json.dumps({**record, "message": check.message}, ensure_ascii=False) + "\n")
            continue
        console.print(str(patient.space), markup=False)
        table = Table(box=None, pad_edge=False, show_header=False)
        for check in diagnosis.checks:
            mark = {True: "[green]ok[/]", False: "[bold red]FAILS[/]", None: "[yellow]note[/]"}[check.ok]
            table.add_row(mark, check.name, escape(check.message))
        console.print(table)
    if not healthy:
        raise typer.Exit(3)


@app.command()
def demo(
    keep: Annotated[Path | None, typer.Option(help="Leave the files and their collection in this folder.")] = None,
    encoder: Annotated[str, typer.Option("--encoder", "-e", help="What to hear the sounds with.")] = "starter",
) -> None:
    """Make a folder of sounds and pictures on the spot, index it and search it: a tour, and a test of everything."""
    from analogon.demo.tour import Demo, place

    console = stdout()
    started = time.monotonic()
    with place(keep) as folder:
        tour = Demo(folder, encoder)
        with contextlib.chdir(folder):
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
generate.register(app)
prompts.register(app)


def main() -> None:
    """The entry point: every error a person can meet becomes one line and an exit code."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends us quietly, as it does other tools
    try:
        app(standalone_mode=True)
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
        complain(f"{one_line(error, named=True)} (this is a fault of analogon; ANALOGON_DEBUG=1 shows where)")
        sys.exit(3)
