"""Whose fault an exception is: what the machine lacked for the moment, as against what is wrong with a file or a model.

A file that could not be read because memory, disk, file descriptors, a network drive or a graphics card failed may be
sound: nothing may be kept against it, and the next try may go well.
"""

from __future__ import annotations

import errno
import re
import sqlite3
from collections.abc import Iterator
from typing import Final

from embed.errors import MachineError, one_line

__all__ = ["machine_fault", "out_of_memory"]

MEMORY: Final = "there is not enough memory; free some and run it again"
FULL: Final = "the disk is full; free some space and run it again"
AWAY: Final = "the drive or the network does not answer; see to it and run it again"

# What an errno of a system call means where it says more of the machine than of the file.
ERRNOS: Final[dict[int, str]] = {
    **dict.fromkeys((errno.ENOMEM, errno.ENOBUFS), MEMORY),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), FULL),
    errno.EMFILE: "too many files are open in this process; raise its limit (ulimit -n) and run it again",
    errno.ENFILE: "too many files are open on this machine; close some programs and run it again",
    errno.EAGAIN: "the machine has no threads or processes to spare; close some programs and run it again",
    errno.EROFS: "the disk can only be read; see to it and run it again",
    **{
        getattr(errno, name): AWAY
        for name in (
            *("EIO", "ENXIO", "ENODEV", "ENOMEDIUM", "ESTALE", "EREMOTEIO", "ENOLINK", "ECOMM", "EPROTO", "ETIMEDOUT"),
            *("ENETDOWN", "ENETUNREACH", "ENETRESET", "EHOSTDOWN", "EHOSTUNREACH", "ECONNABORTED", "ECONNRESET"),
            *("ECONNREFUSED", "ENOTCONN", "ESHUTDOWN", "EBUSY"),
        )
        if hasattr(errno, name)
    },
}
SQLITE: Final = {sqlite3.SQLITE_FULL: FULL, sqlite3.SQLITE_NOMEM: MEMORY, sqlite3.SQLITE_IOERR: AWAY}
DEVICE: Final = "the graphics card failed; free its memory or see to it, and run it again"
# Libraries in C++ tell of the machine in a RuntimeError's text alone.
TEXTS: Final = (
    (
        re.compile(r"out of memory|can.t allocate memory|failed to allocate|alloc_failed|bad[_ ]?alloc", re.I),
        MEMORY,
    ),
    (re.compile(r"no space left on device", re.I), FULL),
    (re.compile(r"too many open files", re.I), ERRNOS[errno.EMFILE]),
    (re.compile(r"can.t start new thread", re.I), ERRNOS[errno.EAGAIN]),
    (re.compile(r"\b(cuda|hip|xpu|cudnn|cublas)( driver| runtime)? (error|failure)|device-side assert", re.I), DEVICE),
    (re.compile(r"CUBLAS_STATUS|CUDNN_STATUS|no cuda gpus are available", re.I), DEVICE),
)
DEEPEST: Final = 16  # exceptions behind an exception that are looked at


def machine_fault(error: BaseException, name: str) -> MachineError | None:
    """What the machine did to ``name`` where it is behind an exception; None where the file or the model is.

    What was raised first counts as well: a ``MediaError`` that was made of an ``OSError``, ``from None`` or not, is the
    machine's fault where the ``OSError`` was. A decoder's own errors with an errno, such as libav's, are not: there
    damaged files give "input/output error" and "cannot allocate memory".

    >>> str(machine_fault(MemoryError(), "a.wav"))
    'a.wav: there is not enough memory; free some and run it again'
    >>> machine_fault(ValueError("no"), "a.wav")
    """
    for one in _behind(error):
        if isinstance(one, MachineError):
            return one
        if (what := _meaning(one)) is not None:
            said = one_line(one)
            known = type(one).__name__ if said == type(one).__name__ else said
            return MachineError(name, what if isinstance(one, MemoryError) and not str(one) else f"{what} ({known})")
    return None


def out_of_memory(error: BaseException) -> bool:
    """Whether memory, the machine's or its graphics card's, was too little for what was tried.

    >>> out_of_memory(MemoryError()), out_of_memory(ValueError("out of reach"))
    (True, False)
    """
    return any(_meaning(one) == MEMORY for one in _behind(error))


def _behind(error: BaseException) -> Iterator[BaseException]:
    at: BaseException | None = error
    for _ in range(DEEPEST):
        if at is None:
            return
        yield at
        at = at.__cause__ or at.__context__


def _meaning(error: BaseException) -> str | None:
    if type(error).__module__.partition(".")[0] == "av":
        return None
    if isinstance(error, MemoryError):
        return MEMORY
    if isinstance(error, OSError):
        # A library that speaks with a server raises these without a number.
        known = AWAY if isinstance(error, TimeoutError | ConnectionError) else None
        return ERRNOS.get(error.errno or 0, known)
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", None) or 0
        return None if code == sqlite3.SQLITE_IOERR_SHORT_READ else SQLITE.get(code & 0xFF)  # a file cut short
    if isinstance(error, RuntimeError) or type(error).__module__.partition(".")[0] in ("torch", "onnxruntime"):
        if type(error).__name__ == "OutOfMemoryError":
            return MEMORY
        return next((what for pattern, what in TEXTS if pattern.search(str(error))), None)
    return None
