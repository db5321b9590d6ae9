"""stdout and stderr as they are found: with any encoding, full, closed, a terminal or not."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from embed.errors import MachineError, escaped, one_line
from embed.faults import machine_fault

__all__ = ["EscapingConsole", "finish", "prepare", "write_path"]

HANDLER: Final = "analogon.escaped"


class EscapingConsole(Console):
    """A console on which no name can do anything: control characters of what is printed are escaped."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                lines = segment.text.split("\n")
                yield Segment("\n".join(map(escaped, lines)), segment.style)


class _Stream:
    """Another stream, all but how it writes."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Results(_Stream):
    """The stream of results: an error says that it is this one's."""

    def write(self, text: str) -> int:
        try:
            return int(self._stream.write(text))
        except (OSError, ValueError) as error:
            raise _unwritten(error) from None

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            raise _unwritten(error) from None


def _unwritten(error: OSError | ValueError) -> Exception:
    """What to raise where a result could not be written; what is left to be written goes nowhere from then on."""
    with suppress(OSError, ValueError):  # Python would try again when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if isinstance(error, BrokenPipeError):
        return error  # whoever read it has enough, as after `| head`
    return machine_fault(error, "stdout") or MachineError("stdout", f"cannot be written: {one_line(error)}")


class _Remarks(_Stream):
    """The stream of remarks: that nobody can read them ends nothing."""

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


class _Closed:
    """Stands where the process was given no stdout."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return False

    def write(self, text: str) -> int:
        raise MachineError("stdout", "is closed: there is no place for results")

    def flush(self) -> None:
        """Nothing was written."""


def prepare() -> None:
    """See to it that printing fails on no character, and no remark on its stream."""
    codecs.register_error(HANDLER, _escape)
    for handle in (0, 1, 2):
        try:
            os.fstat(handle)
        except OSError:  # what is opened next would get its number, and what libraries print
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = cast(Any, _Closed())
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")
    for stream in (sys.stdout, sys.stderr):
        if stream in (sys.__stdout__, sys.__stderr__) and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)
    if sys.stdout is sys.__stdout__:
        sys.stdout = cast(Any, _Results(sys.stdout))
    if sys.stderr is sys.__stderr__:
        sys.stderr = cast(Any, _Remarks(sys.stderr))


def _escape(error: UnicodeError) -> tuple[str, int]:
    r"""What an encoding has not as ``\uXXXX``, two of them beyond U+FFFF: so it stays right within JSON as well."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    words = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = (words[at : at + 2].hex() for at in range(0, len(words), 2))
    return "".join(f"\\u{pair}" for pair in pairs), error.end


def write_path(path: str) -> None:
    """A path on stdout: on a terminal escaped, else as it is, in the file system's own bytes."""
    if sys.stdout.isatty():
        sys.stdout.write(escaped(path) + "\n")
    elif os.name == "posix" and (below := getattr(sys.stdout, "buffer", None)) is not None:
        sys.stdout.flush()
        try:
            below.write(os.fsencode(path) + b"\n")
        except OSError as error:
            raise _unwritten(error) from None
    else:
        sys.stdout.write(path + "\n")


def finish() -> None:
    """Bring what was printed to its place. Raises ``MachineError`` where it has none."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        sys.exit(1)
