"""Run by test_earlier.py in a process of its own: open copies of a collection, each killed at another SQL statement.

    python tests/indexes/killed_opening.py COLLECTION COPIES

The child of round n dies, by ``os._exit``, as SQLite is about to run the n-th statement, those within statements
counted; the last round lives, and leaves without closing. Prints a JSON line a round: the statement, and how it ended.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from pathlib import Path
from typing import Any

from indexes import database as module
from indexes.catalog import Catalog


def opened(path: Path, last: int, pipe: int) -> None:
    """Open a catalog and die at a statement."""
    connect = sqlite3.connect
    count = 0

    def trace(statement: str) -> None:
        nonlocal count
        count += 1
        if count == last:
            os.write(pipe, statement.encode())
            os._exit(9)

    def connecting(*args: Any, **named: Any) -> sqlite3.Connection:
        connection = connect(*args, **named)
        connection.set_trace_callback(trace)
        return connection

    module.sqlite3.connect = connecting  # type: ignore[assignment]
    Catalog(path / "catalog.sqlite")


def main(collection: Path, copies: Path) -> None:
    number, code = 0, 9
    while code == 9:
        number += 1
        copy = copies / f"{number:03}"
        shutil.copytree(collection, copy)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                opened(copy, number, write)
                code = 0
            finally:
                os._exit(code)
        os.close(write)
        statement = os.read(read, 1 << 16).decode()
        os.close(read)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps({"copy": str(copy), "statement": statement, "code": code}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
