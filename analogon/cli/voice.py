"""``analogon voice``: people's voices, kept under names."""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from analogon.cli.terminal import (
    EncoderOption,
    FormatOption,
    bars,
    check_format,
    complain,
    model_name,
    stdout,
)
from embed.errors import MediaError, UsageError

if TYPE_CHECKING:
    from analogon.voices import NewVoice, Voice
    from embed.space import Space

__all__ = ["app"]

app = typer.Typer(
    help=(
        "Keep people's voices under names, compare and mix them, and let generators speak with them. A speaker "
        "encoder hears a voice (-e here), a synthesizer speaks with it and a vocoder makes it sound (generate "
        "--with): three steps, each of which can be another model."
    ),
    no_args_is_help=True,
)

NameArgument = Annotated[str, typer.Argument(help="The voice's name.", show_default=False)]
ReplaceOption = Annotated[bool, typer.Option("--replace", help="Put it in the place of the voice that has the name.")]


@app.command()
def add(
    name: NameArgument,
    files: Annotated[list[str] | None, typer.Argument(help="Recordings of one person.", show_default=False)] = None,
    encoder: EncoderOption = None,
    xvector: Annotated[
        list[Path] | None, typer.Option(help="A .npy file: a ready x-vector as SpeechT5 takes it; may be repeated.")
    ] = None,
    more: Annotated[bool, typer.Option("--more", help="Add takes to a voice that is there.")] = False,
    replace: ReplaceOption = False,
) -> None:
    """Keep a voice: what speaker encoders hear in some recordings of one person.

    -e speaker (Resemblyzer, 256-d; the default) or -e xvector:FOLDER (WavLM, 512-d), or both. Ten seconds of speech in
    takes of some seconds each do well.
    """
    from analogon.voices import SHELF, Voice, enroll

    there = SHELF.path(name).is_file()
    if more and replace:
        raise UsageError("--more adds to a voice, --replace forgets it: say one of them")
    if there and not (more or replace):
        raise UsageError(f"there is a voice called {name} already: --more adds takes to it, --replace begins anew")
    if not (files or xvector or (more and encoder)):
        raise UsageError("name some recordings of one person, or a ready vector with --xvector FILE.npy")
    known = Voice.load(name) if more else None
    with ExitStack() as until_heard:
        shown, task = bars(), None

        def progress(done: int, total: int) -> None:
            nonlocal task
            if task is None:  # first now: what is refused at once shows no bar
                until_heard.enter_context(shown)
                task = shown.add_task("takes", total=None)
            shown.update(task, completed=done, total=total)

        made = enroll(name, files or (), encoder or (), ready=xvector or (), known=known, progress=progress)
    _keep(made)


@app.command(name="list")
def list_(form: FormatOption = "table") -> None:
    """The voices that there are."""
    from analogon.voices import Voice

    check_format(form)
    found = Voice.listing(complain)
    if not found:
        complain("no voice is kept yet: analogon voice add NAME FILE... makes one")
        raise typer.Exit(1)
    if form == "json":
        for one in found:
            _print_json(one.to_json())
        return
    table = _table("name", "takes", "seconds", "alike", "heard by", right=("takes", "seconds", "alike"))
    for one in found:
        for number, space in enumerate(one.vectors):
            takes = [one.name, str(len(one.takes) or "-"), f"{one.seconds:.1f}" if one.seconds else "-"]
            mixed = f" (mixed: {', '.join(map(str, one.mixed))})" if one.mixed and not number else ""
            cells = [*(takes if not number else ("", "", "")), _figure(one.consistency(space))]
            table.add_row(*map(escape, (*cells, f"{model_name(space.model)}, {space.dim}-d{mixed}")))
    stdout().print(table)
    stdout().print("alike: the mean cosine of a take with the mean of the others", markup=False)


@app.command()
def show(name: NameArgument, form: FormatOption = "table") -> None:
    """A voice's takes, and how well each goes with the others: low ones are odd."""
    from analogon.voices import Voice

    check_format(form)
    one = Voice.load(name)
    fits = {space: one.fits(space) for space in one.vectors}
    if form == "json":
        items = [
            {
                "path": take.path,
                "content": take.content,
                "seconds": take.seconds,
                "fits": {space.id: _number(fits[space][i]) for space in one.vectors},
            }
            for i, take in enumerate(one.takes)
        ]
        _print_json({**one.to_json(), "items": items})
        return
    _summary(one)
    if one.takes:
        spaces = [model_name(space.model) for space in one.vectors]
        table = _table(*spaces, "seconds", "take", right=(*spaces, "seconds"))
        for i, take in enumerate(one.takes):
            figures = [_figure(_number(fits[space][i])) for space in one.vectors]
            table.add_row(*figures, f"{take.seconds:.1f}" if take.seconds else "-", escape(take.path))
        stdout().print(table)
        stdout().print("figures: the cosine of a take with the mean of the others", markup=False)
    for line in one.oddities():
        complain(line)


@app.command()
def similar(
    asked: Annotated[str, typer.Argument(help="A recording (./x.wav), or a kept voice's name.", show_default=False)],
    k: Annotated[int, typer.Option("-k", min=1, help="How many voices of each space.")] = 10,
    encoder: EncoderOption = None,
    form: FormatOption = "table",
) -> None:
    """Which kept voices are nearest to a recording, or to a kept voice.

    A cosine is no identity: see it beside those of the voice's own takes, and of other people's. For more recordings
    of the same speaker: analogon search ./x.wav -c COLLECTION, in a collection indexed with -e speaker.
    """
    from analogon.voices import ORIENTATION, SHELF, Voice, most_similar
    from embed.media import Media, check_readable

    check_format(form)
    kept = Voice.listing(complain)
    if asked in SHELF.names():
        about: Media | Voice = Voice.load(asked)
    elif os.sep not in asked and not os.path.exists(asked):
        raise UsageError(f"{asked}: neither a kept voice ({', '.join(SHELF.names()) or 'there is none'}) nor a file")
    else:
        check_readable(asked)
        about = Media.from_path(asked)
        if about.modality != "audio":
            raise MediaError(asked, f"is {about.modality}, not a recording")
    if not kept:
        complain("no voice is kept yet: analogon voice add NAME FILE... makes one")
        raise typer.Exit(1)
    found = most_similar(about, kept, encoder or (), remark=complain)
    if not found:
        complain(f"no other voice is kept in a space that {asked} is kept in")
        raise typer.Exit(1)
    spaces = list(dict.fromkeys(one.space for one in found))
    recorded = isinstance(about, Media)
    against = "others' takes" if recorded else "with other voices"
    for space in spaces:
        best = [one for one in found if one.space == space][:k]
        if form == "json":
            for rank, one in enumerate(best, 1):
                _print_json({"rank": rank, **one.to_json()})
            continue
        console = stdout()
        console.print(f"{model_name(space.model)}, {space.dim}-d", markup=False, style="bold")
        compared = any(one.above is not None for one in best)
        titles = ["#", "cosine", "voice", *(["its own takes"] if recorded else []), against]
        titles += [*(["above"] if compared else []), ""]
        table = _table(*titles, right=("#", "cosine", "above"))
        for rank, one in enumerate(best, 1):
            cells = [str(rank), f"{one.score:.3f}", one.voice]
            cells += [*([str(one.own or "-")] if recorded else []), str(one.others or "-")]
            cells += ["-" if one.above is None else f"{one.above:.0%}"] if compared else []
            table.add_row(*map(escape, (*cells, one.note)))
        console.print(table)
        if recorded and space.weights in ORIENTATION:
            console.print(ORIENTATION[space.weights], markup=False, style="dim")
    if form == "table":
        stdout().print(
            "beside each voice: such cosines with it, median (5th to 95th percentile)"
            + (
                "; above: the share of the others' that are lower"
                if any(one.above is not None for one in found)
                else ""
            ),
            markup=False,
        )


@app.command()
def mix(
    parts: Annotated[list[str], typer.Argument(help="NAME:WEIGHT, as in narrator:0.7 singer:0.3.", show_default=False)],
    name: Annotated[str | None, typer.Option("--as", help="What to call it; else NAME-NAME.")] = None,
    replace: ReplaceOption = False,
) -> None:
    """A voice between kept ones: their weighted mean. A weight below 0 leads away from a voice."""
    from analogon.voices import SHELF, Share
    from analogon.voices import mix as mixed

    shares = [Share.parse(part) for part in parts]
    name = name or "-".join(dict.fromkeys(share.name for share in shares))
    if SHELF.path(name).is_file() and not replace:
        raise UsageError(f"there is a voice called {name} already: --as NAME calls it something else, or say --replace")
    _keep(mixed(name, shares))


@app.command()
def rm(name: NameArgument) -> None:
    """Forget a voice; its recordings stay untouched."""
    from analogon.voices import Voice

    Voice.remove(name)
    stdout().print(f"{name} is forgotten", markup=False)


@app.command()
def export(
    name: NameArgument,
    target: Annotated[Path, typer.Argument(help="A .npy file.", show_default=False)],
    space: Annotated[str | None, typer.Option(help="Which space: a model's name or id, as voice show says.")] = None,
) -> None:
    """Write a voice's vector, float32, for use elsewhere."""
    import numpy as np

    from analogon.voices import Voice
    from indexes.durable import replacing

    one = Voice.load(name)
    if target.suffix != ".npy":
        raise UsageError(f"{target}: a vector is written as a .npy file")
    chosen = _space(one, space)
    try:
        with replacing(target) as temporary, temporary.open("wb") as file:
            np.save(file, one.vector(chosen), allow_pickle=False)
    except OSError as error:
        raise UsageError(f"{target}: cannot be written: {error.strerror or error}") from None
    stdout().print(f"{name} in {model_name(chosen.model)}, {chosen.dim} numbers, written to {target}", markup=False)


def _space(one: Voice, named: str | None) -> Space:
    """The space of a voice that a person named, or its only one."""
    if named is None and len(one.vectors) == 1:
        return next(iter(one.vectors))
    known = {key: space for space in one.vectors for key in (space.id, space.model, model_name(space.model))}
    if named in known:
        return known[named]
    names = ", ".join(model_name(space.model) for space in one.vectors)
    what = "say which with --space" if named is None else f"not in {named}"
    raise UsageError(f"{one.name} is kept in {names}: {what}")


def _keep(made: NewVoice) -> None:
    """Save a voice, and say what it is."""
    for note in made.notes:
        complain(note)
    made.voice.save()
    _summary(made.voice)
    stdout().print(
        f"use it: analogon voice similar ./x.wav, or analogon generate TEXT --voice {made.voice.name}", markup=False
    )


def _summary(one: Voice) -> None:
    console = stdout()
    count = "1 take" if len(one.takes) == 1 else f"{len(one.takes)} takes"
    sound = f", {one.seconds:.1f} s of sound" if one.seconds else ""
    what = count + sound if one.takes else f"mixed of {', '.join(map(str, one.mixed))}"
    console.print(f"{one.name}: {what}, made {one.created[:10]}", markup=False)
    for space in one.vectors:
        alike = one.consistency(space)
        said = f", takes alike {alike:.2f}" if alike is not None else ""
        console.print(f"  heard by {model_name(space.model)}, {space.dim}-d ({space.id}){said}", markup=False)


def _table(*titles: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False)
    for title in titles:
        table.add_column(title, justify="right" if title in right else "left", overflow="fold")
    return table


def _number(value: float) -> float | None:
    return None if value != value else round(float(value), 6)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _print_json(record: object) -> None:
    sys.stdout.write(json.dumps(record, ensure_ascii=False) + "\n")
