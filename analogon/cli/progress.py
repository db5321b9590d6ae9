"""What a person sees while an indexing run goes on: bars with rate and remaining time, and what was skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import ProgressColumn as Column
from rich.text import Text

from analogon.cli.terminal import bars, in_flags
from embed.errors import MachineError, escaped, printable
from indexes.build import Listener
from indexes.records import Failure, Note
from indexes.run import Kept

__all__ = ["Screen", "late_progress", "progress"]


class _Rate(Column):
    """Files a second and, for sound, how many seconds of it a second takes."""

    def render(self, task: Task) -> Text:
        if not task.elapsed or not task.completed:
            return Text("")
        parts = [f"{task.completed / task.elapsed:,.1f} files/s"]
        if heard := task.fields.get("heard"):
            parts.append(f"{heard / task.elapsed:,.0f}x real time")
        return Text(", ".join(parts), style="dim")


class Screen(Listener):
    """Draws a bar for each phase, if there are bars, and names what is skipped."""

    def __init__(
        self, console: Console, bars: Progress | None, wording: Callable[[str], str] = lambda text: text
    ) -> None:
        self._console = console
        self._wording = wording
        self._bars = bars
        self._task: TaskID | None = None
        self._heard = 0.0
        self.asked = False  # whether a person was asked anything

    def phase(self, name: str, total: int | None, seconds: float = 0.0) -> None:
        self._heard = 0.0
        self.close()
        if self._bars is not None:
            label = "looking at files" if name == "scan" else name
            self._task = self._bars.add_task(label, total=total, heard=0.0)

    def close(self) -> None:
        """The phase that was shown last is over."""
        if self._bars is not None and self._task is not None:
            bar = next(task for task in self._bars.tasks if task.id == self._task)
            self._bars.update(self._task, total=bar.completed)
            self._bars.stop_task(self._task)

    def advance(self, count: int = 1, seconds: float = 0.0) -> None:
        self._heard += seconds
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, advance=count, heard=self._heard)

    def skipped(self, name: str, reason: str) -> None:
        self._console.print(escaped(f"skipped {name}: {reason}"), markup=False, highlight=False, soft_wrap=True)

    def remark(self, text: str) -> None:
        self._console.print(
            f"analogon: {printable(in_flags(self._wording(text)))}", markup=False, highlight=False, soft_wrap=True
        )

    def postponed(self, fault: MachineError) -> None:
        self._console.print(
            f"{escaped(str(fault))}: left for the next run", markup=False, highlight=False, soft_wrap=True
        )

    def confirm(self, kept: Kept) -> bool:
        """Ask on the terminal whether files that are not found are to be removed from the collection."""
        self.asked = True
        if self._bars is not None:
            self._bars.stop()  # bars that go on being drawn would cover what is typed
        try:
            question = f"{printable(str(kept))}. Remove them from the collection? [y/N] "
            return self._console.input(question, markup=False).strip().lower() in ("y", "yes")
        except EOFError:
            return False
        finally:
            if self._bars is not None:
                self._bars.start()

    def failed(self, failure: Failure) -> None:
        self._console.print(str(failure), markup=False, highlight=False, soft_wrap=True)

    def noted(self, note: Note) -> None:
        self._console.print(in_flags(str(note)), markup=False, highlight=False, soft_wrap=True)


@contextmanager
def progress(
    console: Console, *, transient: bool = False, wording: Callable[[str], str] = lambda text: text
) -> Iterator[Screen]:
    """A listener that draws bars on ``console`` if it is a terminal, and names what is skipped or noted in any case.

    ``transient`` bars leave nothing behind when they end; ``wording`` puts remarks into the command line's words.
    """
    if not console.is_terminal:
        yield Screen(console, None, wording)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=transient) as bars:
        screen = Screen(console, bars, wording)
        yield screen
        screen.close()


class _LateScreen(Screen):
    """Begins to draw with its first phase."""

    def __init__(self, until: ExitStack) -> None:
        self._until, self._shown = until, bars()
        super().__init__(self._shown.console, self._shown)

    def phase(self, name: str, total: int | None, seconds: float = 0.0) -> None:
        if not self._shown.live.is_started:
            self._until.enter_context(self._shown)
        super().phase(name, total, seconds)


@contextmanager
def late_progress() -> Iterator[Screen]:
    """A listener that draws bars on stderr from the first phase on: what is refused at once shows none."""
    with ExitStack() as until:
        yield _LateScreen(until)
