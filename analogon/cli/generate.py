"""``analogon generate``: takes of a prompt, scored, best first, each with a sidecar that says how it was made."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from analogon.cli.terminal import CollectionOption, check_format, complain, stderr, stdout
from embed.errors import UsageError, printable

if TYPE_CHECKING:
    from analogon.prompts import Prompt
    from analogon.service.generation import Takes

__all__ = ["generate", "register"]

FORMATS: Final = ("table", "json", "paths")
FLAGS: Final = {"generator": "--with", "settings": "--set", "collection": "-c", "takes": "-n", "out": "-o"}


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
    strict: Annotated[bool, typer.Option("--strict", help="Refuse SSML with slips, which are mended else.")] = False,
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
    from analogon.cli.progress import progress
    from analogon.cli.wording import Wording
    from analogon.generate.loading import families, read_settings
    from analogon.service.generation import Generate, Unfinished

    check_format(form, FORMATS)
    if not with_:
        raise UsageError(f"--with names a generator; there are: {', '.join(families())}")
    if not prompt and guide is None and ssml is None:
        raise UsageError("a prompt is needed: a text, or - for lines from stdin")
    wording = Wording(Generate, FLAGS)
    with wording.errors():
        asked = Generate(
            generator=with_,
            prompts=_prompts(prompt or []),
            collection=collection,
            takes=takes,
            seed=seed,
            seconds=seconds,
            guide=guide,
            voice=voice,
            language=language,
            ssml=ssml,
            strict=strict,
            settings=read_settings(setting or []),
            choose=choose,
            report=report,
            like=like,
            out=out,
            add=add,
        )
        try:
            with progress(stderr(), transient=True, wording=wording) as listener:
                made = asked.run(listener=listener)
        except Unfinished as early:
            _show(early.takes, form, several=len(asked.prompts) > 1)
            raise (early.__cause__ or early) from None
    _show(made, form, several=len(asked.prompts) > 1)
    if made.added is not None:
        new = "1 take is" if made.added.new == 1 else f"{made.added.new} takes are"
        moved = f", {made.added.moved} moved" if made.added.moved else ""
        complain(f"{made.added.collection}: {new} new there, {made.added.known} were known{moved}")
    if not made.groups:
        raise typer.Exit(1)


def _prompts(words: Sequence[str]) -> tuple[str | Prompt, ...]:
    """The prompts that were typed, or come from stdin: plain lines, or JSON as ``analogon prompts`` prints it."""
    from analogon.prompts import read_prompts

    found: list[str | Prompt] = []
    for word in words:
        if word == "-" and sys.stdin is None:
            raise UsageError("stdin is closed, and prompts were to be read from it")
        found += [word] if word != "-" else read_prompts(sys.stdin, "stdin")
    if words and not found:
        raise UsageError("stdin held no prompt")
    return tuple(found)


def _show(made: Takes, form: str, *, several: bool) -> None:
    """The takes of each prompt, ranked among themselves."""
    from analogon.cli import show

    console = stdout()
    if form != "table":
        for rows in made.to_json()["prompts"]:
            for row in rows:
                sys.stdout.write((row["path"] if form == "paths" else json.dumps(row, ensure_ascii=False)) + "\n")
        return
    for takes in made.groups:
        if several:
            console.print(printable(takes[0].record["prompt"]["text"]), markup=False, soft_wrap=True)
        console.print(show.takes_table(takes))
        for line in show.takes_lines(takes):
            console.print(line, style="dim", markup=False)
