"""Bars of what a long piece of work does, for notebooks and scripts."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from embed.listener import Listener

__all__ = ["Progress"]


class Progress(Listener):
    """A bar for each phase of the work that it is handed to as ``listener``, or to ``encode`` as ``progress``.

    ::

        with analogon.Progress() as bars:
            library.index(folder, listener=bars)

    In a notebook the bars stand below the cell, in a terminal they are drawn on stderr; elsewhere nothing is. What was
    left out, and what is remarked, is kept in ``lines``.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._bars: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        console = Console(stderr=True)
        self._bars = Progress(*columns, console=console, disable=not (console.is_terminal or console.is_jupyter))
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()
        self._bars = self._task = None

    def phase(self, name: str, total: int | None, seconds: float = 0.0) -> None:
        if self._bars is not None:
            self._task = self._bars.add_task(name, total=total)

    def advance(self, count: int = 1, seconds: float = 0.0) -> None:
        if self._bars is not None and self._task is not None:
            self._bars.advance(self._task, count)

    def skipped(self, name: str, reason: str) -> None:
        self.lines.append(f"skipped {name}: {reason}")

    def remark(self, text: str) -> None:
        self.lines.append(text)
