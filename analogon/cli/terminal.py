"""What all commands share: options, consoles, and how something is said on stderr."""

from __future__ import annotations

import ast
import functools
import inspect
import json
import re
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol, TypeVar

import typer
from rich.console import Console
from typer.core import TyperCommand

from analogon.cli.show import model_name
from analogon.cli.streams import EscapingConsole
from analogon.settings import config
from embed.errors import UsageError, printable

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = [
    "CollectionOption",
    "EncoderOption",
    "FormatOption",
    "GivenUpOption",
    "SpaceOption",
    "bars",
    "check_format",
    "collection_folder",
    "collection_option",
    "collections",
    "complain",
    "families",
    "in_flags",
    "model_name",
    "stderr",
    "stdout",
    "write_json",
]


class Result(Protocol):
    """What a request gives, or a part of it."""

    def to_json(self) -> dict[str, Any]: ...


LOADING: Final = frozenset(
    (
        *("index", "search", "doctor", "export", "import", "demo", "tag", "probe", "prompts", "interrogate"),
        *("analogy", "fit", "apply", "analogies", "retrieval", "audio", "generate", "add", "similar", "mix"),
        *("static", "student"),
    )
)
"""The commands that load encoders."""
RUNNING: Final[Mapping[str, Any]] = {
    "device": Annotated[
        str | None,
        typer.Option(help="Where networks run: auto (a GPU where one works), cpu, cuda, cuda:1, mps, xpu; one only."),
    ],
    "precision": Annotated[
        str | None,
        typer.Option(
            help="auto (float32), float32, bfloat16 or float16: quicker on GPUs and on CPUs with bf16, less exact."
        ),
    ],
}
Function = TypeVar("Function", bound=Callable[..., Any])


class Command(TyperCommand):
    """A command whose options are given once each, but for those that take several."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        _, _, given = self.make_parser(ctx).parse_args(args=list(args))
        for option, count in Counter(given).items():
            once = option.param_type_name == "option" and not (option.multiple or getattr(option, "is_flag", False))
            if once and count > 1:
                flag = max(option.opts, key=len)
                raise UsageError(f"{flag} stands here {'twice' if count == 2 else f'{count} times'}")
        return super().parse_args(ctx, args)


class Commands(typer.Typer):
    """Commands as ``Command``. Those that load encoders take ``--device`` and ``--precision`` for all of them."""

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Function], Function]:
        add = super().command(name, **{"cls": Command} | settings)

        def added(function: Function) -> Function:
            loads = (name or function.__name__) in LOADING
            add(_running(function) if loads else function)
            return function

        return added


def _running(function: Function) -> Function:
    """A command that takes a device and a precision besides, and runs with them whatever encoders it loads."""

    @functools.wraps(function)
    def run(*args: Any, device: str | None = None, precision: str | None = None, **given: Any) -> Any:
        from embed.models import MODELS

        MODELS.asked = {key: value for key, value in (("device", device), ("precision", precision)) if value}
        MODELS.heeded = set()
        try:
            if MODELS.asked:
                from embed.tower import Running

                Running(**MODELS.asked)
            function(*args, **given)
            for key in sorted(MODELS.asked.keys() - MODELS.heeded):
                complain(f"--{key} changes nothing here: no encoder that was used has a network that it could be for")
        finally:
            MODELS.asked = {}

    signature = inspect.signature(function, eval_str=True)
    only = inspect.Parameter.KEYWORD_ONLY
    more = [inspect.Parameter(key, only, default=None, annotation=kind) for key, kind in RUNNING.items()]
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *more])  # type: ignore[attr-defined]
    run.__annotations__ = {**{name: one.annotation for name, one in signature.parameters.items()}, **RUNNING}
    return run  # type: ignore[return-value]


def families(incomplete: str) -> list[str]:
    """The families of encoders that a word may become, for a shell's completion."""
    from embed.encoder import families as known

    return [name for name in known() if name.startswith(incomplete)]


def collections(incomplete: str) -> list[str]:
    """The collections that a word may become, for a shell's completion."""
    return [name for name in config.collections() if name.startswith(incomplete)]


CollectionOption = Annotated[
    str | None,
    typer.Option(
        "-c",
        "--collection",
        help="A collection's name, or the path of its folder.",
        autocompletion=collections,
    ),
]
EncoderOption = Annotated[
    list[str] | None,
    typer.Option(
        "--encoder",
        "-e",
        help="family:model, or a TOML file that describes a space; may be repeated.",
        autocompletion=families,
    ),
]
SpaceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--space",
        help="The space of a collection: its encoder's family:model, or a TOML file; may be repeated.",
        autocompletion=families,
    ),
]
GivenUpOption = Annotated[list[str] | None, typer.Option("--encoder", "-e", hidden=True)]
"""What is refused with the name of the option that took its place."""
FormatOption = Annotated[str, typer.Option("-f", "--format", help="table or json.")]
FLAGS: Final[Mapping[str, str]] = {
    "as": "--as",
    "candidates": "--candidates",
    "case": "--case",
    "clear": "--clear",
    "collection": "-c",
    "columns": "--columns",
    "encoder": "--encoder",
    "encoders": "--encoder",
    "device": "--device",
    "everything": "--all",
    "force": "--force",
    "folds": "--folds",
    "held_out": "--held-out",
    "like": "--like",
    "more": "--more",
    "pairs": "--pairs",
    "precision": "--precision",
    "prune": "--prune",
    "relation": "--relation",
    "replace": "--replace",
    "report": "--report",
    "restrict": "--restrict",
    "retry": "--retry",
    "space": "--space",
    "spaces": "--space",
    "table": "--table",
    "text_column": "--text-column",
    "to": "--to",
    "where": "--where",
    "words": "--words",
    "xvector": "--xvector",
}
"""The flags of parameters that messages speak of."""
SPOKEN: Final = re.compile(r"`(?:(?P<name>[a-z_]+)(?:=(?P<value>[^`]*))?|(?P<call>analogon\.[^`]*\)))`")
COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "AddVoice": ("voice add", "files"),
    "FitBridge": ("bridge fit", ""),
    "FitRelation": ("relation fit", ""),
    "ListVoices": ("voice list", ""),
    "index": ("index", ""),
}
"""The commands that do what calls do which messages speak of, and the keyword that holds several files there."""
TABLE_OR_JSON: Final = ("table", "json")


def stdout() -> Console:
    """Where results go."""
    # Away from a terminal nothing may be cut to 80 columns: the lines are for files and other programs.
    terminal = sys.stdout.isatty()
    return EscapingConsole(width=None if terminal else 400, highlight=False, soft_wrap=not terminal, emoji=False)


def stderr() -> Console:
    """Where progress and remarks go."""
    return EscapingConsole(stderr=True, highlight=False, emoji=False)  # "a:x: " in a file's name is no emoji


def complain(text: str) -> None:
    """One line on stderr, in the words of the command line."""
    stderr().print(f"analogon: {printable(in_flags(text))}", markup=False, soft_wrap=True)


def in_flags(text: str) -> str:
    """What is said below the command line, in its words: parameters by their flags, actions by their commands.

    >>> in_flags("name an encoder with `encoders`, such as clap; `encoders=clap` hears better")
    'name an encoder with --encoder, such as clap; --encoder clap hears better'
    >>> in_flags("there is none; `analogon.open('drums', create=True).index(FOLDER)` makes one")
    'there is none; analogon index FOLDER -c drums makes one'
    """
    return SPOKEN.sub(_in_flags, text)


def _in_flags(found: re.Match[str]) -> str:
    if found["call"] is not None:
        return _command(found["call"]) or found[0]
    return (
        _argument(found["name"], shlex.quote(found["value"]))
        if found["value"] is not None
        else FLAGS.get(found["name"], found[0])
    )


def _command(call: str) -> str | None:
    """The command that does what a call in Python does; None where there is none.

    Names there stand for what a person fills in, ``...`` for all that is needed.
    """
    try:
        node: ast.expr = ast.parse(call, mode="eval").body
    except SyntaxError:
        return None
    command = ""
    words: list[str] = []
    options: list[str] = []
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        known, several = COMMANDS.get(node.func.attr, ("", ""))
        command = command or known
        if node.func.attr == "open":
            options.insert(0, f"-c {_word(node.args[0])}")
        elif known:
            words += [_word(one) for one in node.args if _word(one) != "..."]
            for keyword in node.keywords:
                if keyword.arg == "name":
                    words.insert(0, _word(keyword.value))
                elif keyword.arg == several:
                    held = keyword.value.elts if isinstance(keyword.value, ast.List) else [keyword.value]
                    words += [f"{_word(one)}..." for one in held]
                else:
                    options.append(_argument(keyword.arg or "", _word(keyword.value)))
        node = node.func.value
    return " ".join(["analogon", command, *words, *options]) if command else None


def _word(node: ast.expr) -> str:
    """What a call's argument is on a command line."""
    if isinstance(node, ast.List):
        return _word(node.elts[0])
    if isinstance(node, ast.Constant) and node.value is not ...:
        return shlex.quote(str(node.value))
    return node.id if isinstance(node, ast.Name) else "..."


def _argument(name: str, value: str) -> str:
    flag = FLAGS.get(name, "--" + name.replace("_", "-"))
    return flag if value in ("true", "True") else f"{flag} {value}"


def write_json(*results: Result | Mapping[str, Any]) -> None:
    """Results on stdout, an object a line."""
    for one in results:
        fields = one if isinstance(one, Mapping) else one.to_json()
        sys.stdout.write(json.dumps(fields, ensure_ascii=False) + "\n")


def collection_folder(collection: str | None) -> Path:
    """The folder of the collection that ``-c`` names, or of the usual one."""
    return config.collection_path(config.default_collection() if collection is None else collection)


def collection_option(collection: str | None) -> str:
    """What a hint's command has after it so that it is about the same collection."""
    return f" -c {shlex.quote(collection)}" if collection else ""


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
        console=stderr(),
        transient=transient,
    )
