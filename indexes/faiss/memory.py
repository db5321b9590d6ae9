"""How much memory is free for building an index."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import psutil

__all__ = ["free_memory"]

LIMITS: Final = (  # of a container, where Linux tells them: the most it may have, and what it has
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)


def free_memory() -> int:
    """Bytes of memory that could be taken now without swapping, by what the machine has and the container allows."""
    free = int(psutil.virtual_memory().available)
    for most, taken in LIMITS:
        try:
            free = min(free, max(0, int(most.read_text()) - int(taken.read_text())))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return free
