"""The file of an index: what FAISS writes, JSON that says what it is, and a checksum of both."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from embed.errors import CollectionDamaged, CollectionError
from embed.faults import machine_fault
from indexes.durable import REPLACES_MAPPED, replacing
from indexes.faiss.library import BLOCK_BYTES, Float32, library

__all__ = ["IndexDamaged", "fingerprint", "reading", "save"]

MAGIC: Final = b"ANALOGN1"
SETTLED: Final = 2 * 10**9  # nanoseconds without a change after which a file's times tell it from any other
LARGE: Final = 16 << 20  # bytes that nobody writes within one tick of the file system's clock
TRAILER: Final = struct.Struct("<QQI8s")  # bytes of the FAISS index, bytes of JSON, crc32 of both, MAGIC


class IndexDamaged(CollectionDamaged):
    """An index file is damaged or belongs to other vectors. It is a cache: build it again."""


def save(path: Path, index: Any, header: Mapping[str, Any]) -> None:
    """Write a FAISS index (None for none) and its header to a file, by way of a temporary one.

    Raises ``CollectionError`` where that cannot be written.
    """
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            crc = _write_body(index, file)
            body, text = file.tell(), json.dumps(header).encode()
            file.write(text + TRAILER.pack(body, len(text), zlib.crc32(text, crc), MAGIC))
        if body > LARGE:  # what was written just now need not be read to be known
            with path.open("rb") as file:
                _note(path, _stands(file), settled=True)
    except OSError as error:
        if (fault := machine_fault(error, str(path))) is not None:
            raise fault from error
        raise CollectionError(f"{path}: the index cannot be written: {error.strerror or error}") from error


def _write_body(index: Any, file: IO[bytes]) -> int:
    """Write a FAISS index at the file's beginning, where FAISS can map it into memory, and give its crc32."""
    faiss = library()
    crc = 0

    def write(block: bytes) -> None:
        nonlocal crc
        crc = zlib.crc32(block, crc)
        file.write(block)

    if index is not None:
        faiss.write_index(index, faiss.PyCallbackIOWriter(write))
    return crc


@contextmanager
def reading(path: Path, *, mapped: bool = True) -> Iterator[tuple[dict[str, Any], Callable[[], Any]]]:
    """The header of an index file, and what gives the FAISS index of that very file; both raise ``IndexDamaged``.

    Another file may take its place at any instant. Every byte was checked, since FAISS itself may crash on a damaged
    one: once for each file, which a note beside it says, as long as it stands as it did then. Vectors can be added to
    one that is not ``mapped``.
    """
    with path.open("rb") as file:
        yield _header(path, file), lambda: _body(path, file, mapped)


def _stands(file: IO[bytes]) -> list[int]:
    """What another one is as soon as a file is written, replaced, or copied."""
    status = os.fstat(file.fileno())
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _noted(path: Path) -> Any:
    try:
        return json.loads(path.with_name(f"{path.name}.checked").read_bytes())
    except (OSError, ValueError):
        return None


def _note(path: Path, stands: list[int], *, settled: bool = False) -> None:
    # What was written a moment ago may be written again within one tick of the file system's clock.
    if settled or time.time_ns() - max(stands[-2:]) > SETTLED:
        note = path.with_name(f"{path.name}.checked")
        with suppress(OSError), replacing(note) as temporary:
            temporary.write_text(json.dumps(stands))


def _header(path: Path, file: IO[bytes]) -> dict[str, Any]:
    stands = _stands(file)
    length = file.seek(0, os.SEEK_END)
    if length < TRAILER.size:
        raise IndexDamaged(f"{path}: cut short after {length} bytes; build it again")
    file.seek(-TRAILER.size, os.SEEK_END)
    body, text, crc, magic = TRAILER.unpack(file.read())
    if magic != MAGIC or body + text + TRAILER.size != length:
        raise IndexDamaged(f"{path}: damaged or cut short ({length} bytes); build it again")
    if _noted(path) != stands:
        file.seek(0)
        found, left, block = 0, body + text, b""
        while left:
            block = file.read(min(left, BLOCK_BYTES))
            found, left = zlib.crc32(block, found), left - len(block)
        if found != crc:
            raise IndexDamaged(f"{path}: damaged (checksum {found:08x}, it was {crc:08x}); build it again")
        if body:
            _note(path, stands)
    file.seek(body)
    header: dict[str, Any] = json.loads(file.read(text))
    return header


def _body(path: Path, file: IO[bytes], mapped: bool) -> Any:
    """The FAISS index of an open file, mapped into memory where that keeps nobody from replacing it."""
    faiss = library()
    try:
        if not mapped or not REPLACES_MAPPED:
            file.seek(0)
            return faiss.read_index(faiss.PyCallbackIOReader(file.read))
        index = faiss.read_index(str(path), getattr(faiss, "IO_FLAG_MMAP_IFC", faiss.IO_FLAG_MMAP))
    except RuntimeError as error:
        raise IndexDamaged(f"{path}: written by a FAISS that this one cannot read; build it again") from error
    # FAISS opens by name. While a file is open no other one can be taken for it.
    if not os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
        raise IndexDamaged(f"{path}: was written anew while it was read")
    return index


def fingerprint(vectors: Float32) -> str:
    """A hash of the shape and of 256 rows spread over the array: enough to know vectors that only ever grow."""
    digest = hashlib.blake2b(repr(vectors.shape).encode(), digest_size=16)
    if len(vectors):
        # A set, not np.unique: that imports numpy.ma, which takes longer than a small search.
        rows = sorted(set(np.linspace(0, len(vectors) - 1, 256).astype(np.int64).tolist()))
        digest.update(np.ascontiguousarray(vectors[rows], dtype="<f4").tobytes())
    return digest.hexdigest()
