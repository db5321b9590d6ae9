"""What a long piece of work tells while it goes on, and how it is stopped: one listener for every kind of work."""

from __future__ import annotations

from embed.errors import Cancelled

__all__ = ["Listener"]


class Listener:
    """Told by indexing, generating, training and measuring, in the thread that works; any method may be left as it is.

    ``cancel`` may be called from any thread, or from within a method: the work asks between two items, or two batches
    of them, and ends with ``Cancelled``. What it has committed until then stays.
    """

    _cancelled = False

    def phase(self, name: str, total: int | None, seconds: float = 0.0) -> None:
        """A phase begins: ``total`` items (None: not known yet) that hold ``seconds`` of sound or video."""

    def advance(self, count: int = 1, seconds: float = 0.0) -> None:
        """So many more items of the phase are through."""

    def skipped(self, name: str, reason: str) -> None:
        """A medium was left out."""

    def remark(self, text: str) -> None:
        """Something that a person should know, in one line: what was chosen for them, dropped, or guessed."""

    def cancel(self) -> None:
        """Ask the work to stop; it does at the next item or batch."""
        self._cancelled = True

    @property
    def cancelled(self) -> bool:
        """Whether the work shall stop."""
        return self._cancelled

    def check(self) -> None:
        """Raise ``Cancelled`` where the work shall stop: what works calls this between items."""
        if self.cancelled:
            raise Cancelled("stopped as asked; what was committed until then is kept")
