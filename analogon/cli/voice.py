"""``analogon voice``: people's voices, kept under names."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from analogon.cli.terminal import (
    Commands,
    EncoderOption,
    FormatOption,
    check_format,
    complain,
    model_name,
    stdout,
    write_json,
)

if TYPE_CHECKING:
    from analogon.service.voices import KeptVoice
    from analogon.voices import Voice

__all__ = ["app"]

app = Commands(
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
    from analogon.cli.progress import late_progress
    from analogon.service.voices import AddVoice

    request = AddVoice(
        name=name,
        files=tuple(files or ()),
        encoders=tuple(encoder or ()),
        xvector=tuple(xvector or ()),
        more=more,
        replace=replace,
    )
    with late_progress() as listener:
        made = request.run(listener)
    _show_kept(made)


@app.command(name="list")
def list_(form: FormatOption = "table") -> None:
    """The voices that there are."""
    from analogon.service.voices import ListVoices

    check_format(form)
    listing = ListVoices().run()
    for line in listing.damaged:
        complain(line)
    found = listing.entries
    if not found:
        complain("no voice is kept yet: analogon voice add NAME FILE... makes one")
        raise typer.Exit(1)
    if form == "json":
        write_json(*found)
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
    from analogon.service.voices import ShowVoice

    check_format(form)
    shown = ShowVoice(name=name).run()
    if form == "json":
        write_json(shown)
        return
    one = shown.voice
    fits = {space: one.fits(space) for space in one.vectors}
    _summary(one)
    if one.takes:
        spaces = [model_name(space.model) for space in one.vectors]
        table = _table(*spaces, "seconds", "take", right=(*spaces, "seconds"))
        for i, take in enumerate(one.takes):
            figures = [_figure(fits[space][i]) for space in one.vectors]
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
    from analogon.service.voices import FindSimilarVoices
    from analogon.voices import ORIENTATION

    check_format(form)
    found = FindSimilarVoices(asked=asked, k=k, encoders=tuple(encoder or ())).run()
    for line in found.remarks:
        complain(line)
    if not found.spaces:
        complain(
            f"no other voice is kept in a space that {asked} is kept in"
            if found.kept
            else "no voice is kept yet: analogon voice add NAME FILE... makes one"
        )
        raise typer.Exit(1)
    if form == "json":
        write_json(*found.rows())
        return
    recorded = found.recorded
    against = "others' takes" if recorded else "with other voices"
    for best in found.spaces:
        space = best[0].space
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
    compared = any(one.above is not None for best in found.spaces for one in best)
    stdout().print(
        "beside each voice: such cosines with it, median (5th to 95th percentile)"
        + ("; above: the share of the others' that are lower" if compared else ""),
        markup=False,
    )


@app.command()
def mix(
    parts: Annotated[list[str], typer.Argument(help="NAME:WEIGHT, as in narrator:0.7 singer:0.3.", show_default=False)],
    name: Annotated[str | None, typer.Option("--as", help="What to call it; else NAME-NAME.")] = None,
    replace: ReplaceOption = False,
) -> None:
    """A voice between kept ones: their weighted mean. A weight below 0 leads away from a voice."""
    from analogon.service.voices import MixVoices

    _show_kept(MixVoices(parts=tuple(parts), name=name, replace=replace).run())


@app.command()
def rm(name: NameArgument) -> None:
    """Forget a voice; its recordings stay untouched."""
    from analogon.service.voices import RemoveVoice

    stdout().print(f"{RemoveVoice(name=name).run().name} is forgotten", markup=False)


@app.command()
def export(
    name: NameArgument,
    target: Annotated[Path, typer.Argument(help="A .npy file.", show_default=False)],
    space: Annotated[str | None, typer.Option(help="Which space: a model's name or id, as voice show says.")] = None,
) -> None:
    """Write a voice's vector, float32, for use elsewhere."""
    from analogon.service.voices import ExportVoice

    made = ExportVoice(name=name, target=target, space=space).run()
    stdout().print(
        f"{made.name} in {model_name(made.model)}, {made.dim} numbers, written to {made.target}", markup=False
    )


def _show_kept(made: KeptVoice) -> None:
    """Say what a voice is that was kept."""
    for note in made.notes:
        complain(note)
    _summary(made.voice)
    for line in _uses(made.voice):
        stdout().print(line, markup=False)


def _uses(one: Voice) -> list[str]:
    """Commands that take a kept voice as it is, and what it lacks for those that do not."""
    from analogon.voices import SPEECHBRAIN

    name = shlex.quote(one.name)
    uses = ["analogon voice similar ./x.wav"] if one.encoders else []
    spoken = any(space.dim == SPEECHBRAIN.dim for space in one.vectors)
    uses += [f"analogon generate TEXT --with speecht5 --voice {name}"] if spoken else []
    lines = [f"use it: {', or '.join(uses)}"] if uses else []
    if not spoken:
        has = " and ".join(str(space.dim) for space in one.vectors)
        what = f"{name} --more -e xvector" if one.takes else "NAME FILE... -e xvector, for each voice of the mix,"
        lines.append(
            f"no generator here speaks with its {has} numbers: speecht5 takes {SPEECHBRAIN.dim} (analogon voice add "
            f"{what} gives those); bark speaks as the nearest of its own voices (--with bark --voice {name}), espeak "
            "in its own only"
        )
    return lines


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


def _figure(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.2f}"
