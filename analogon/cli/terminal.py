"""What all commands share: options, consoles, and how something is said on stderr."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console

from analogon.cli.show import model_name
from analogon.settings import config
from embed.errors import UsageError, printable

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = [
    "CollectionOption",
    "EncoderOption",
    "FormatOption",
    "bars",
    "check_format",
    "collection_folder",
    "complain",
    "model_name",
    "stderr",
    "stdout",
]

CollectionOption = Annotated[
    str | None, typer.Option("-c", "--collection", help="A collection's name, or the path of its folder.")
]
EncoderOption = Annotated[
    list[str] | None,
    typer.Option("--encoder", "-e", help="family:model, or a TOML file that describes a space; may be repeated."),
]
FormatOption = Annotated[str, typer.Option("-f", "--format", help="table or json.")]
TABLE_OR_JSON: Final = ("table", "json")


def stdout() -> Console:
    """Where results go."""
    # Away from a terminal nothing may be cut to 80 columns: the lines are for files and other programs.
    terminal = sys.stdout.isatty()
    return Console(width=None if terminal else 400, highlight=False, soft_wrap=not terminal, emoji=False)


def stderr() -> Console:
    """Where progress and remarks go."""
    return Console(stderr=True, highlight=False, emoji=False)  # "a:x: " in a file's name is no emoji


def complain(text: str) -> None:
    """One line on stderr."""
    stderr().print(f"analogon: {printable(text)}", markup=False, soft_wrap=True)


def collection_folder(collection: str | None) -> Path:
    """The folder of the collection that ``-c`` names, or of the usual one."""
    return config.collection_path(collection or config.default_collection())


def check_format(form: str, known: tuple[str, ...] = TABLE_OR_JSON) -> None:
    """Raise ``UsageError`` where ``-f`` names a format that there is not."""
    if form not in known:
        raise UsageError(f"-f {form}: there is no such format; there are: {', '.join(known)}")


def bars(*, transient: bool = False) -> Progress:
    """Progress bars on stderr; ``with bars() as shown: task = shown.add_task("tokens", total=None)``.

    ``transient`` ones leave nothing behind when they end.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=transient,
    )
