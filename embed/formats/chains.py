"""Recordings that were joined byte by byte, one behind the other, in one file: where each begins and ends.

Each becomes a file of its own, with a header that says how long it is where its own does not. Only headers are read,
and for MPEG audio every frame's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from embed.formats import integrity
from embed.formats.ends import chunks, placeholder
from embed.formats.stretches import Layout, Link, read_at, view
from embed.formats.tags import NEAR, notes_of_rest, passed_over, past_tags, tail

__all__ = ["flacs", "forms", "frames", "oggs", "waves"]

FLAC_START: Final = b"fLaC\0\0\0\x22"  # with the header of its first block, which always has 34 bytes
TAGS: Final = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"3DI")


# -- RIFF and AIFF


def waves(file: BinaryIO, start: int, size: int) -> Layout | None:
    """WAV files, one behind the other: each with its own header in front of just its samples.

    None where there is one and nothing about it is unusual, or where its samples are cut short.
    """
    found = Layout("wav", [])
    usual = start == 0
    here: int | None = start
    while here is not None:
        wave = _wave(file, here, size)
        if wave is None:
            return None if not found.links else found
        usual = usual and wave.usual and wave.follows is None
        found.links.append(Link(view(file, wave.first, wave.last, wave.header)))
        found.notes += wave.notes
        here = wave.follows
    return None if usual else found


@dataclass(slots=True)
class _Wave:
    header: bytes
    first: int
    last: int
    usual: bool
    follows: int | None = None
    notes: list[str] = field(default_factory=list)


def _wave(file: BinaryIO, start: int, size: int) -> _Wave | None:
    mark = read_at(file, start, 4)
    order = ">" if mark == b"RIFX" else "<"
    form, wide = b"", 0
    wave: _Wave | None = None
    end, usual = start + 12, True
    riff_end = start + 8 + struct.unpack(order + "I", read_at(file, start + 4, 4))[0]
    for here, name, length in chunks(file, start + 12, size, order):
        body = here + 8
        usual = usual and here == end
        if wave is not None and name in (b"RIFF", b"RIFX", b"RF64") and read_at(file, body, 4) == b"WAVE":
            wave.follows = here
            return wave
        if name == b"fmt ":
            form = read_at(file, body, min(length, 1 << 16))
        elif name == b"ds64":
            (wide,) = struct.unpack(order + "Q", read_at(file, body + 8, 8))
        elif name == b"data" and wave is not None and length and body + length <= size + 1:
            wave.usual = False
            wave.notes.append(f"has another chunk of samples ({length:,} bytes), which was passed over")
        elif name == b"data" and wave is None:
            if not form:
                return None
            exact = wide if length == 0xFFFFFFFF and wide else length
            streamed = placeholder(exact) and (exact > size - body or not _more_chunks(file, body, size, order))
            if exact in (size - start, size - start - 8):  # the whole file's size, put there by mistake
                streamed = True
            last = size if streamed else body + exact
            if last > size:  # cut short
                return None
            if last - body >= 0xFFFFFF00:  # more than a plain header can say: as it stands
                return None
            header = mark if mark != b"RF64" else b"RIFF"
            header += struct.pack(order + "I", min(last - body + len(form) + 20 + (len(form) & 1), 0xFFFFFFFF))
            header += b"WAVEfmt " + struct.pack(order + "I", len(form)) + form + b"\0" * (len(form) & 1)
            header += b"data" + struct.pack(order + "I", last - body)
            wave = _Wave(header, body, last, usual=not streamed)
            if streamed:
                return wave
        if wave is not None and name != b"data" and body + length > size:
            wave.usual = False
            if here >= riff_end or read_at(file, here, 11).startswith(TAGS):
                wave.notes += notes_of_rest(file, here, size)
            else:
                what = name.decode("ascii").strip()
                wave.notes.append(f"what stands behind its samples ({what}) is cut short; they are all there")
            return wave
        end = body + length + (length & 1)
    if wave is not None:
        wave.usual = wave.usual and usual and end >= size
        wave.notes += notes_of_rest(file, end, size) if end < size else []
    return wave


def _more_chunks(file: BinaryIO, here: int, size: int, order: str) -> bool:
    """Whether from here to the end of the file there are chunks and nothing else."""
    end = here
    for at, _, length in chunks(file, here, size, order):
        end = at + 8 + length + (length & 1)
        if end > size + 1:
            return False
    return end >= size - 8


def forms(file: BinaryIO, start: int, size: int) -> Layout | None:
    """AIFF files, one behind the other."""
    found = Layout("aiff", [])
    here = start
    if (streamed := _streamed_form(file, start, size)) is not None:
        found.links.append(Link(streamed))
        return found
    while True:
        (length,) = struct.unpack(">I", read_at(file, here + 4, 4))
        end = here + 8 + length + (length & 1)
        if length < 4 or end > size:  # cut short, or written to a pipe
            end = size
        found.links.append(Link(view(file, here, end)))
        here = end
        if integrity.kind_of(read_at(file, here, 12)) != "aiff":
            break
    if here < size:
        found.notes += notes_of_rest(file, here, size)
    return None if start == 0 and here == size and len(found.links) == 1 else found


def _streamed_form(file: BinaryIO, start: int, size: int) -> BinaryIO | None:
    """An AIFF that was written to a pipe, with the sizes that it should have; None for any other."""
    frame = common = 0
    for here, name, length in chunks(file, start + 12, size, ">"):
        if name == b"COMM":
            channels, _, bits = struct.unpack(">HIH", read_at(file, here + 8, 8))
            common, frame = here, channels * ((bits + 7) // 8)
        if name == b"SSND":
            body = here + 16  # behind an offset and the size of a block
            if not placeholder(length) or not frame or size <= body:
                return None
            head = bytearray(read_at(file, start, body - start))
            struct.pack_into(">I", head, 4, min(size - start - 8, 0xFFFFFFFF))
            struct.pack_into(">I", head, common - start + 10, min((size - body) // frame, 0xFFFFFFFF))
            struct.pack_into(">I", head, here - start + 4, min(size - here - 8, 0xFFFFFFFF))
            return view(file, body, size, bytes(head))
    return None


# -- FLAC and Ogg


def _positions(file: BinaryIO, mark: bytes, start: int, size: int) -> Iterator[int]:
    """Where some bytes occur in a file, from ``start`` on."""
    here, held = start, b""
    file.seek(start)
    while block := file.read(integrity.CHUNK):
        held += block
        at = -1
        while (at := held.find(mark, at + 1)) >= 0:
            yield here + at
            file.seek(here + len(held))
        kept = held[-(len(mark) - 1) :]
        here += len(held) - len(kept)
        held = kept


def flacs(file: BinaryIO, start: int, size: int) -> Layout | None:
    """FLAC files, one behind the other, each perhaps with an ID3v2 tag in front."""
    end = tail(file, start, size)
    starts = [start, *_positions(file, FLAC_START, start + 8, end)]
    if start == 0 and end == size and len(starts) == 1 and _sound_of_flac(file, start)[0] == start:
        return None
    found = Layout("flac", [])
    for here, after in zip(starts, [*starts[1:], end], strict=True):
        if after < end:
            near = read_at(file, max(here, after - NEAR), min(NEAR, after - here))
            at = -1
            while (at := near.find(b"ID3", at + 1)) >= 0:
                if integrity.id3_length(near[at : at + 10]) == len(near) - at:
                    after -= len(near) - at
                    break
            after = tail(file, here, after)
        first, header = _sound_of_flac(file, here)
        found.links.append(Link(view(file, first, max(first, after), header)))
    return found


def _sound_of_flac(file: BinaryIO, start: int) -> tuple[int, bytes]:
    """Where to read a FLAC file on behind a header that leaves out its cover pictures, over which decoders stumble.

    Its beginning and nothing where it has none.
    """
    here, pictured = start + 4, False
    while len(head := read_at(file, here, 4)) == 4:
        pictured = pictured or head[0] & 127 == 6
        here += 4 + int.from_bytes(head[1:], "big")
        if head[0] & 128:
            info = read_at(file, start, 42)
            return (here, info[:4] + b"\x80" + info[5:]) if pictured else (start, b"")
    return start, b""


def oggs(file: BinaryIO, start: int, size: int) -> Layout | None:
    """Ogg's links (RFC 3533, section 4): each begins with the first pages of its streams."""
    found = Layout("ogg", [])
    here = first = before = start
    heads = ended = True
    while here < size:
        head = read_at(file, here, 27)
        if head[:4] != b"OggS" or len(head) < 27:
            # The last page may be cut by what was joined to it.
            behind = here if ended else before + 4
            pages = _positions(file, b"OggS\0", behind, size)
            after = next((at for at in pages if read_at(file, at, 6)[5:] in (b"\2", b"\6")), None)
            if after is None and not ended:
                break  # damage: for the checks
            if after is None:
                found.links.append(Link(view(file, first, here)))
                found.notes += notes_of_rest(file, here, size)
                return found
            found.links.append(Link(view(file, first, here if ended else after)))
            here = first = after
            heads = True
            continue
        begins = bool(head[5] & 2)
        if begins and not heads:
            found.links.append(Link(view(file, first, here)))
            first = here
        heads, ended, before = begins, bool(head[5] & 4), here
        here += 27 + head[26] + sum(read_at(file, here + 27, head[26]))
    if start == 0 and not found.links:
        return None
    found.links.append(Link(view(file, first, size)))
    return found


# -- MPEG audio and ADTS


def _carries_info(head: bytes) -> bool:
    """Whether an MPEG audio frame of layer III holds no sound but a Xing, Info or VBRI header."""
    if head[1] >> 1 & 3 != 1:
        return False
    mono, first = head[3] >> 6 == 3, head[1] >> 3 & 3 == 3
    side = 4 + ((17 if mono else 32) if first else (9 if mono else 17))
    return head[side : side + 4] in (b"Xing", b"Info") or head[36:40] == b"VBRI"


def frames(file: BinaryIO, start: int, size: int, kind: str) -> Layout | None:
    """MP3s or ADTS streams, one behind the other: divided by tags, by a header frame, or by a change of rate."""
    parse = integrity.parser(kind)
    end = tail(file, start, size)
    found = Layout(kind, [])
    here = _first_frame(file, start, end, parse)
    if here is None:
        return None
    notes: list[str] = []
    while here is not None:
        link, after, cut = _run_of_frames(file, here, end, parse, kind)
        found.links.append(link)
        if cut:
            notes.append(passed_over(cut))
        here = after
    found.notes = notes
    return found


def _first_frame(file: BinaryIO, start: int, end: int, parse: integrity.Parser) -> int | None:
    """Where the first frame begins; None where that is not clear."""
    head = read_at(file, start, 16)
    return start if parse(head) is not None and start < end else None


def _run_of_frames(
    file: BinaryIO, start: int, end: int, parse: integrity.Parser, kind: str
) -> tuple[Link, int | None, int]:
    """The recording that begins at ``start``, where the next one begins, and how many bytes behind are no frames."""
    samples = rate = 0
    before = start
    base, buffer = start, read_at(file, start, integrity.CHUNK)
    here = start
    while here < end:
        if here + 64 > base + len(buffer) and base + len(buffer) < end:
            base, buffer = here, read_at(file, here, integrity.CHUNK)
        head = buffer[here - base : here - base + 64]
        frame = parse(head)
        if frame is None:
            return _behind_frames(file, start, before, here, end, parse, samples / (rate or 1))
        length, count, hertz = frame
        info = kind == "mp3" and len(head) > 40 and _carries_info(head)
        if rate and (info or hertz != rate) and parse(read_at(file, here + length, 16)) is not None:
            return Link(view(file, start, here), samples / rate), here, 0
        rate = hertz
        samples += 0 if info else count
        before, here = here, here + length
    return Link(view(file, start, end), samples / (rate or 1)), None, 0


def _behind_frames(
    file: BinaryIO, start: int, before: int, here: int, end: int, parse: integrity.Parser, seconds: float
) -> tuple[Link, int | None, int]:
    """What follows a run of frames that ends at ``here``, its last frame at ``before``."""
    after = past_tags(file, here, end)
    if after >= end:
        return Link(view(file, start, here), seconds), None, 0
    if after > here and _is_run(file, after, end, parse):
        return Link(view(file, start, here), seconds), after, 0
    # The last frame may be cut by what was joined to it.
    near = read_at(file, before + 4, here - before + NEAR)
    at = -1
    while (at := near.find(b"ID3", at + 1)) >= 0:
        if length := integrity.id3_length(near[at : at + 10]):
            tag = before + 4 + at
            if _is_run(file, tag + length, end, parse):
                return Link(view(file, start, tag), seconds), tag + length, 0
    for at in range(here, min(here + NEAR, end)):
        if near[at - before - 4 : at - before - 3] == b"\xff" and _is_run(file, at, end, parse):
            return Link(view(file, start, end), seconds), None, 0  # damage within: for the checks
    if end - here > NEAR:
        return Link(view(file, start, end), seconds), None, 0
    return Link(view(file, start, here), seconds), None, end - here


def _is_run(file: BinaryIO, here: int, end: int, parse: integrity.Parser) -> bool:
    """Whether three frames in a row begin at an offset."""
    for _ in range(3):
        frame = parse(read_at(file, here, 16)) if here < end else None
        if frame is None:
            return False
        here += frame[0]
    return here <= end
