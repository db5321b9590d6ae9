"""The file of an index: what FAISS writes, JSON that says what it is, and a checksum of both."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from embed.errors import CollectionDamaged, CollectionError
from indexes.faiss.library import BLOCK_BYTES, Float32, library

__all__ = ["IndexDamaged", "fingerprint", "read_body", "read_header", "save"]

MAGIC: Final = b"ANALOGN1"
TRAILER: Final = struct.Struct("<QQI8s")  # bytes of the FAISS index, bytes of JSON, crc32 of both, MAGIC


class IndexDamaged(CollectionDamaged):
    """An index file is damaged or belongs to other vectors. It is a cache: build it again."""


def save(path: Path, index: Any, header: Mapping[str, Any]) -> None:
    """Write a FAISS index (None for none) and its header to a file, by way of a temporary one.

    Raises ``CollectionError`` where that cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            crc = _write_body(index, file)
            body, text = file.tell(), json.dumps(header).encode()
            file.write(text + TRAILER.pack(body, len(text), zlib.crc32(text, crc), MAGIC))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
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


def read_header(path: Path) -> dict[str, Any]:
    """The JSON of an index file whose every byte was checked: FAISS itself may crash on a damaged one."""
    with path.open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        if length < TRAILER.size:
            raise IndexDamaged(f"{path}: cut short after {length} bytes; build it again")
        file.seek(-TRAILER.size, os.SEEK_END)
        body, text, crc, magic = TRAILER.unpack(file.read())
        if magic != MAGIC or body + text + TRAILER.size != length:
            raise IndexDamaged(f"{path}: damaged or cut short ({length} bytes); build it again")
        file.seek(0)
        found, left, block = 0, body + text, b""
        while left:
            block = file.read(min(left, BLOCK_BYTES))
            found, left = zlib.crc32(block, found), left - len(block)
        if found != crc:
            raise IndexDamaged(f"{path}: damaged (checksum {found:08x}, it was {crc:08x}); build it again")
        file.seek(body)
        header: dict[str, Any] = json.loads(file.read(text))
        return header


def read_body(path: Path) -> Any:
    """The FAISS index of a file whose header was read, mapped into memory. Raises ``IndexDamaged``."""
    faiss = library()
    try:
        return faiss.read_index(str(path), getattr(faiss, "IO_FLAG_MMAP_IFC", faiss.IO_FLAG_MMAP))
    except RuntimeError as error:
        raise IndexDamaged(f"{path}: written by a FAISS that this one cannot read; build it again") from error


def fingerprint(vectors: Float32) -> str:
    """A hash of the shape and of 256 rows spread over the array: enough to know vectors that only ever grow."""
    digest = hashlib.blake2b(repr(vectors.shape).encode(), digest_size=16)
    if len(vectors):
        # A set, not np.unique: that imports numpy.ma, which takes longer than a small search.
        rows = sorted(set(np.linspace(0, len(vectors) - 1, 256).astype(np.int64).tolist()))
        digest.update(np.ascontiguousarray(vectors[rows], dtype="<f4").tobytes())
    return digest.hexdigest()
