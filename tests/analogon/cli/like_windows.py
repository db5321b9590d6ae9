"""Run by test_like_windows.py: all of the package, and its main job, where the system does as Windows does.

There are no modules and constants of POSIX; no file that is open may be replaced, deleted or truncated; no folder can
be opened, and nothing that is not open for writing be brought to disk. What others need of POSIX they have by then.

    python like_windows.py FOLDER
"""

from __future__ import annotations

import builtins
import contextlib
import fcntl
import importlib
import io
import os
import pkgutil
import signal
import sys
from pathlib import Path
from typing import Any

ABSENT = ("fcntl", "pwd", "grp", "resource", "termios", "tty", "pty", "posix", "syslog", "nis", "crypt")
OTHERS = ("av", "faiss", "filelock", "pyarrow.parquet", "pydantic", "rich.progress", "rich.table", "scipy.stats")
OTHERS += ("sklearn.linear_model", "soundfile", "soxr", "tokenizers", "torch", "transformers", "typer.testing")
OTHERS += ("onnxruntime", "safetensors.numpy", "sqlite3", "subprocess", "tempfile", "asyncio", "multiprocessing")
REFUSED: list[str] = []


def others() -> None:
    for name in OTHERS:
        importlib.import_module(name)


def opened(path: Any) -> bool:
    """Whether this process has a file open, or mapped."""
    real = os.path.realpath(os.fsdecode(path))
    with builtins.open("/proc/self/maps") as maps:
        if any(line.rstrip("\n").endswith(f" {real}") for line in maps):
            return True
    for entry in os.scandir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(entry.path) == real:
                return True
    return False


def refuse(path: Any, what: str) -> None:
    if os.path.isfile(path) and opened(path):
        REFUSED.append(f"{what} {os.path.basename(os.fsdecode(path))}")
        error = PermissionError(13, "The process cannot access the file", os.fsdecode(path))
        error.winerror = 5  # type: ignore[attr-defined]
        raise error


def like_windows() -> None:
    for name in ABSENT:
        sys.modules[name] = None  # type: ignore[assignment]
    for name in ("SIGPIPE", "SIGHUP", "SIGKILL", "SIGALRM", "SIGUSR1", "SIGQUIT"):
        delattr(signal, name)
    for name in ("O_DIRECTORY", "O_NOFOLLOW", "getuid", "geteuid", "fork", "uname", "statvfs"):
        delattr(os, name)
    for name in ("sched_getaffinity", "mkfifo", "killpg", "getpgid", "setsid", "chown", "posix_fallocate"):
        delattr(os, name)
    replace, unlink, open_, fsync = os.replace, os.unlink, os.open, os.fsync

    def replacing(source: Any, target: Any, **named: Any) -> None:
        refuse(source, "replace by")
        refuse(target, "replace")
        replace(source, target, **named)

    def unlinking(path: Any, **named: Any) -> None:
        if not named:
            refuse(path, "delete")
        unlink(path, **named)

    def opening(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if os.path.isdir(path) and not named:
            raise PermissionError(13, "Permission denied", os.fsdecode(path))
        return open_(path, flags, *rest, **named)

    def syncing(handle: int) -> None:
        if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(9, "Bad file descriptor")
        fsync(handle)

    os.replace = os.rename = replacing
    os.unlink = os.remove = unlinking
    os.open, os.fsync = opening, syncing


def everything() -> int:
    """Import every module; those of an extra that is not installed may say so."""
    count = 0
    for package in ("embed", "indexes", "analogon"):
        module = importlib.import_module(package)
        for found in pkgutil.walk_packages(module.__path__, f"{package}."):
            if found.name.endswith("__main__"):
                continue
            try:
                importlib.import_module(found.name)
            except ImportError as error:
                assert error.name not in ABSENT, f"{found.name}: {error}"
            count += 1
    return count


def command(*arguments: str) -> tuple[int, str, str]:
    from analogon.cli.app import main

    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["analogon", *arguments]
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as ending:
            code = int(ending.code or 0)
    return code, out.getvalue(), err.getvalue()


def done(*arguments: str) -> str:
    code, out, err = command(*arguments)
    assert code == 0, (arguments, code, out, err)
    return out


def main(folder: Path) -> None:
    others()
    like_windows()
    assert everything() > 150
    sys.path.insert(0, str(Path(__file__).parents[3]))
    from analogon.search.library import Library
    from embed import load
    from indexes.collection import Collection
    from indexes.faiss import Cached
    from indexes.writer import remove_collection, writing
    from tests import sounds

    os.chdir(folder)
    sounds.folder(folder / "lib", 30)
    done("index", "lib", "-c", "./c", "-e", "toy:16")
    assert "30 files" in done("info", "-c", "./c")
    before = done("search", "rain", "-c", "./c", "--by", "content", "-f", "paths", "-k", "100").splitlines()
    assert len(before) == len(set(before)) == 30
    assert done("search", "rain", "-c", "./c", "--rerank", "nnn", "-f", "json")

    # A reader that stays has the vectors mapped, whatever commands come: it sees them, and its snapshot stays.
    with Library.open(folder / "c") as reader, Library.open(folder / "c") as other, other.collection.snapshot():
        held = {hit.paths for hit in other.search("rain", by="content", k=100)}
        vectors = other.collection.vectors(other.collection.spaces[0].space, "audio")
        as_was = vectors.copy()
        for path in before[:20]:
            os.remove(path)
        assert "20 files forgotten" in done("rm", *before[:20], "-c", "./c")
        generations = sorted(path.name for path in (folder / "c" / "vectors").iterdir())
        assert len(generations) == 2, generations
        left = {hit.path for hit in reader.search("rain", by="content", k=100)}
        assert left == set(before[20:])
        sounds.write(folder / "lib" / "new.wav", 99)
        done("index", "lib", "-c", "./c")  # it cannot delete the old generation, which is open here
        assert any(one.startswith("delete") and one.endswith(generations[0]) for one in REFUSED), REFUSED
        assert {hit.path for hit in reader.search("rain", by="content", k=100)} == left | {str(folder / "lib/new.wav")}
        assert {hit.paths for hit in other.search("rain", by="content", k=100)} == held
        assert (as_was == vectors).all()
        done("index", "lib", "-c", "./c", "--retry")

        # An index that a reader has open is replaced: here it is read, not mapped.
        collection = reader.collection
        space = collection.spaces[0].space
        rows = load("toy:16").space.dim
        path = folder / "x.faiss"
        import numpy as np

        many = np.random.default_rng(0).standard_normal((3000, rows)).astype(np.float32)
        many /= np.linalg.norm(many, axis=1, keepdims=True)
        from indexes.faiss.build import build
        from indexes.faiss.plan import Plan

        build(many, Plan("hnsw", {"M": 8, "efConstruction": 20}, 0, "test")).save(path)
        cached = Cached.open(path, many)
        assert cached.head is not None and cached.head.plan.kind == "hnsw"
        build(many, Plan("hnsw", {"M": 12, "efConstruction": 20}, 0, "test")).save(path)
        assert space and int(cached.search(many[5:6], 1).rows[0, 0]) == 5

    del vectors
    done("index", "lib", "-c", "./c")
    with Collection.open(folder / "c") as collection, writing(collection):
        pass
    assert len(list((folder / "c" / "vectors").iterdir())) == 1  # the next writer took the old generation away
    done("export", "out.parquet", "-c", "./c")
    done("export", "clip", "-c", "./c")
    assert (folder / "out.parquet").stat().st_size > 0 and (folder / "clip").is_dir()
    done("rm", "--all", "-c", "./c")
    assert not (folder / "c").exists()
    Collection.create(folder / "d").close()
    remove_collection(folder / "d")
    print("all done:", len(REFUSED), "times refused")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
