"""Where the recordings of a file lie: behind a tag, one after another, and in front of what is no part of them.

Players pass over an ID3v2 tag in front of any format, play Ogg files and MP3s that were joined byte by byte as one,
take a size of a WAV that a writer to a pipe left as a placeholder, and stop at the end, whatever lies behind it. Here
each recording of such a file becomes a file of its own, so that a decoder, and ``embed.formats.integrity``, meet one
whole recording at a time. Only headers are read, and for MPEG audio every frame's.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final, cast

from embed.formats import integrity

__all__ = ["Layout", "Link", "lay_out", "locks"]

NEAR: Final = 1 << 16  # bytes within which a tag or a frame is looked for behind what is neither
FLAC_START: Final = b"fLaC\0\0\0\x22"  # with the header of its first block, which always has 34 bytes
TAGS: Final = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"3DI")
ASF_DATA: Final = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
EBML_TOP: Final = frozenset({0x1A45DFA3, 0x18538067, 0xEC, 0xBF})


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """One recording as a file of its own; ``seconds`` where its frames had to be counted."""

    file: BinaryIO
    seconds: float | None = None


@dataclass(slots=True, eq=False)
class Layout:
    """The recordings of a file, at least one, and what should be said of it; ``kind`` is that of the first."""

    kind: str | None
    links: list[Link]
    notes: list[str] = field(default_factory=list)


class _View(io.RawIOBase):
    """A stretch of a file as a file of its own, with other bytes put before it."""

    def __init__(self, file: BinaryIO, start: int, end: int, before: bytes = b"") -> None:
        self._file, self._start, self._before = file, start, before
        self._size = len(before) + end - start
        self._here = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._here

    def seek(self, offset: int, whence: int = 0) -> int:
        here = offset + (0, self._here, self._size)[whence]
        if here < 0:
            raise ValueError(f"a negative offset: {here}")
        self._here = here
        return here

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        done = 0
        if self._here < len(self._before):
            head = self._before[self._here : self._here + len(view)]
            view[: len(head)] = head
            done = len(head)
            self._here += done
        wanted = min(len(view) - done, self._size - self._here)
        if wanted > 0:
            self._file.seek(self._start + self._here - len(self._before))
            body = self._file.read(wanted)
            view[done : done + len(body)] = body
            self._here += len(body)
            done += len(body)
        return done


def _view(file: BinaryIO, start: int, end: int, before: bytes = b"") -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(_View(file, start, end, before), 1 << 16))


def _at(file: BinaryIO, offset: int, length: int) -> bytes:
    file.seek(offset)
    return file.read(length)


def lay_out(file: BinaryIO) -> Layout:
    """What lies where in a file; leaves it at its beginning."""
    size = file.seek(0, 2)
    start = _behind_tags(file, size)
    kind = integrity.kind_of(_at(file, start, 64))
    if start and kind not in integrity.SOUNDS | integrity.VIDEOS:
        start, kind = 0, "mp3"
    try:
        match kind:
            case "wav":
                found = _waves(file, start, size)
            case "aiff":
                found = _forms(file, start, size)
            case "flac":
                found = _flacs(file, start, size)
            case "ogg":
                found = _oggs(file, start, size)
            case "mp3" | "aac":
                found = _frames(file, start, size, kind)
            case "mp4":
                found = _up_to(file, start, size, _end_of_boxes(file, start, size))
            case "mkv" | "webm":
                found = _up_to(file, start, size, _end_of_elements(file, start, size))
            case "avi":
                found = _up_to(file, start, size, _end_of_riff(file, start, size))
            case "wma":
                found = _up_to(file, start, size, _end_of_objects(file, start, size))
            case "au":
                found = _up_to(file, start, size, integrity.au_end(file, start))
            case "caf":
                found = _up_to(file, start, size, integrity.caf_end(file, start, size))
            case "w64":
                found = _up_to(file, start, size, integrity.w64_end(file, start))
            case "tta":
                found = _up_to(file, start, size, _end_of_tta(file, start))
            case "ac3" | "amr" | "ape":
                found = _up_to(file, start, size, _tail(file, start, size))
            case _:
                found = None
    except (struct.error, ValueError):
        found = None
    finally:
        file.seek(0)
    if found is None:
        found = Layout(kind, [Link(file if not start else _view(file, start, size))])
    found.kind = kind
    return found


def _passed_over(count: int) -> str:
    return f"{count:,} bytes behind its end were passed over"


def _up_to(file: BinaryIO, start: int, size: int, end: int | None) -> Layout | None:
    """One recording from ``start`` to ``end``; None where that is all of the file, or not known."""
    if end is None or end >= size:
        return None
    return Layout(None, [Link(_view(file, start, end))], _notes_of_rest(file, end, size))


def _notes_of_rest(file: BinaryIO, end: int, size: int) -> list[str]:
    """What to say of the bytes from ``end`` on: nothing where they are tags or zeros."""
    behind = _past_tags(file, end, size)
    if behind >= size or _tail(file, behind, size) <= behind:
        return []
    return [_passed_over(size - end)]


def _past_tags(file: BinaryIO, here: int, end: int) -> int:
    """Where the tags, and zeros, that begin at ``here`` end."""
    while here < end:
        head = _at(file, here, 32)
        rest = _at(file, here, NEAR) if not head.strip(b"\0") else b""
        if length := _tag(head[:10]):
            here += length
        elif head[:3] == b"TAG":
            here += 128
        elif head[:8] == b"APETAGEX" and len(head) == 32:
            here += 32 + struct.unpack_from("<I", head, 12)[0]
        elif head[:11] == b"LYRICSBEGIN":
            text = _at(file, here, NEAR)
            ends = [at + 9 for mark in (b"LYRICS200", b"LYRICSEND") if (at := text.find(mark)) >= 0]
            if not ends:
                break
            here += min(ends)
        elif rest:
            here += len(rest) - len(rest.lstrip(b"\0")) or len(rest)
        else:
            break
    return here


ASF_LOCKS: Final = tuple(
    map(bytes.fromhex, ("fbb3112223bdd211b4b700a0c955fc6e", "14e68a292226174cb935dae07ee9289c"))
)  # the Content Encryption Object and its extended kind


def locks(file: BinaryIO, kind: str | None) -> set[str]:
    """The encrypted codings that a file's index names: "drms", "enca" (sound), "drmi", "encv" (pictures), or "asf"."""
    size = file.seek(0, 2)
    found: set[str] = set()
    if kind == "wma":
        head = _at(file, 0, 1 << 16)
        found = {"asf"} if any(lock in head for lock in ASF_LOCKS) else found
    here = 0
    while kind == "mp4" and here + 8 <= size:
        length, name = struct.unpack(">I4s", _at(file, here, 8))
        if length == 1 and here + 16 <= size:
            (length,) = struct.unpack(">Q", _at(file, here + 8, 8))
        if name == b"moov":
            index = _at(file, here, min(length or size, 1 << 24))
            at = -1
            while (at := index.find(b"stsd", at + 1)) >= 0:  # then version, count, and the first entry's length
                coding = index[at + 16 : at + 20]
                if coding in (b"drms", b"drmi", b"enca", b"encv"):
                    found.add(coding.decode("ascii"))
        if length < 8:
            break
        here += length
    file.seek(0)
    return found


# -- tags


def _tag(head: bytes) -> int:
    """How many bytes an ID3v2 tag has that begins with these ten; 0 where they begin none."""
    return integrity.id3_length(head)


def _behind_tags(file: BinaryIO, size: int) -> int:
    """Where the ID3v2 and APEv2 tags at the beginning end, with zeros that pad them."""
    here = 0
    while True:
        head = _at(file, here, 32)
        length = _tag(head[:10])
        if head[:8] == b"APETAGEX" and len(head) == 32 and head[23] & 0x20:  # a header, not a footer
            length = 32 + struct.unpack_from("<I", head, 12)[0]
        if not length:
            break
        here += length
    if here:
        rest = _at(file, here, NEAR)
        zeros = len(rest) - len(rest.lstrip(b"\0"))
        # An MP4 or MPEG begins with zeros of its own.
        own = next((n for n in range(min(zeros, 3) + 1) if integrity.kind_of(rest[zeros - n :][:64])), 0)
        here += zeros - own
    return here if here < size else 0


def _tail(file: BinaryIO, start: int, end: int) -> int:
    """Where the tags at the end begin: ID3v1, APEv2, Lyrics3 and ID3v2.4 with a footer, in any order."""
    while True:
        foot = _at(file, max(start, end - 256), min(256, end - start))
        length = 0
        if foot[-128:-125] == b"TAG" and len(foot) >= 128:
            length = 128
        elif foot[-32:-24] == b"APETAGEX":
            size, _, flags = struct.unpack("<III", foot[-20:-8])
            length = size
            if flags >> 31 and _at(file, end - size - 32, 8) == b"APETAGEX":  # some say so and have no header
                length += 32
        elif foot[-9:] == b"LYRICS200" and foot[-15:-9].isdigit():
            length = int(foot[-15:-9]) + 15
        elif foot[-9:] == b"LYRICSEND":
            text = _at(file, max(start, end - 5120), min(5120, end - start))
            where = text.rfind(b"LYRICSBEGIN")
            length = len(text) - where if where >= 0 else 0
        elif foot[-10:-7] == b"3DI" and (tag := _tag(b"ID3" + foot[-7:])):
            length = tag
        if not 0 < length <= end - start:
            return end
        end -= length


# -- RIFF and AIFF


def _is_name(name: bytes) -> bool:
    """Whether four bytes can be a chunk's or a box's name."""
    return len(name) == 4 and all(32 <= byte < 127 for byte in name)


def _chunks(file: BinaryIO, here: int, size: int, order: str) -> Iterator[tuple[int, bytes, int]]:
    """Each chunk's offset, name and length, for as long as there are names; a forgotten pad byte is forgiven."""
    odd = False
    while here + 8 <= size:
        name, length = struct.unpack(order + "4sI", _at(file, here, 8))
        if odd and not _is_name(name) and _is_name(_at(file, here - 1, 4)):
            here -= 1
            name, length = struct.unpack(order + "4sI", _at(file, here, 8))
        if not _is_name(name):
            return
        yield here, name, length
        here += 8 + length + (length & 1)
        odd = bool(length & 1)


def _waves(file: BinaryIO, start: int, size: int) -> Layout | None:
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
        found.links.append(Link(_view(file, wave.first, wave.last, wave.header)))
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
    mark = _at(file, start, 4)
    order = ">" if mark == b"RIFX" else "<"
    form, wide = b"", 0
    wave: _Wave | None = None
    end, usual = start + 12, True
    riff_end = start + 8 + struct.unpack(order + "I", _at(file, start + 4, 4))[0]
    for here, name, length in _chunks(file, start + 12, size, order):
        body = here + 8
        usual = usual and here == end
        if wave is not None and name in (b"RIFF", b"RIFX", b"RF64") and _at(file, body, 4) == b"WAVE":
            wave.follows = here
            return wave
        if name == b"fmt ":
            form = _at(file, body, min(length, 1 << 16))
        elif name == b"ds64":
            (wide,) = struct.unpack(order + "Q", _at(file, body + 8, 8))
        elif name == b"data" and wave is not None and length and body + length <= size + 1:
            wave.usual = False
            wave.notes.append(f"has another chunk of samples ({length:,} bytes), which was passed over")
        elif name == b"data" and wave is None:
            if not form:
                return None
            exact = wide if length == 0xFFFFFFFF and wide else length
            streamed = integrity.placeholder(exact) and (
                exact > size - body or not _more_chunks(file, body, size, order)
            )
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
            if here >= riff_end or _at(file, here, 11).startswith(TAGS):
                wave.notes += _notes_of_rest(file, here, size)
            else:
                what = name.decode("ascii").strip()
                wave.notes.append(f"what stands behind its samples ({what}) is cut short; they are all there")
            return wave
        end = body + length + (length & 1)
    if wave is not None:
        wave.usual = wave.usual and usual and end >= size
        wave.notes += _notes_of_rest(file, end, size) if end < size else []
    return wave


def _more_chunks(file: BinaryIO, here: int, size: int, order: str) -> bool:
    """Whether from here to the end of the file there are chunks and nothing else."""
    end = here
    for at, _, length in _chunks(file, here, size, order):
        end = at + 8 + length + (length & 1)
        if end > size + 1:
            return False
    return end >= size - 8


def _forms(file: BinaryIO, start: int, size: int) -> Layout | None:
    """AIFF files, one behind the other."""
    found = Layout("aiff", [])
    here = start
    if (streamed := _streamed_form(file, start, size)) is not None:
        found.links.append(Link(streamed))
        return found
    while True:
        (length,) = struct.unpack(">I", _at(file, here + 4, 4))
        end = here + 8 + length + (length & 1)
        if length < 4 or end > size:  # cut short, or written to a pipe
            end = size
        found.links.append(Link(_view(file, here, end)))
        here = end
        if integrity.kind_of(_at(file, here, 12)) != "aiff":
            break
    if here < size:
        found.notes += _notes_of_rest(file, here, size)
    return None if start == 0 and here == size and len(found.links) == 1 else found


def _streamed_form(file: BinaryIO, start: int, size: int) -> BinaryIO | None:
    """An AIFF that was written to a pipe, with the sizes that it should have; None for any other."""
    frame = common = 0
    for here, name, length in _chunks(file, start + 12, size, ">"):
        if name == b"COMM":
            channels, _, bits = struct.unpack(">HIH", _at(file, here + 8, 8))
            common, frame = here, channels * ((bits + 7) // 8)
        if name == b"SSND":
            body = here + 16  # behind an offset and the size of a block
            if not integrity.placeholder(length) or not frame or size <= body:
                return None
            head = bytearray(_at(file, start, body - start))
            struct.pack_into(">I", head, 4, min(size - start - 8, 0xFFFFFFFF))
            struct.pack_into(">I", head, common - start + 10, min((size - body) // frame, 0xFFFFFFFF))
            struct.pack_into(">I", head, here - start + 4, min(size - here - 8, 0xFFFFFFFF))
            return _view(file, body, size, bytes(head))
    return None


def _end_of_riff(file: BinaryIO, start: int, size: int) -> int | None:
    """Where an AVI file ends: behind its chunks, once its pictures were met."""
    end, movies = start, False
    for here, name, length in _chunks(file, start, size, "<"):
        if here + 8 + length > size:
            return here if movies and not name.startswith((b"RIFF", b"LIST", b"idx1", b"JUNK")) else None
        movies = movies or name == b"RIFF"
        end = here + 8 + length + (length & 1)
    return min(end, size) if movies else None


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


def _flacs(file: BinaryIO, start: int, size: int) -> Layout | None:
    """FLAC files, one behind the other, each perhaps with an ID3v2 tag in front."""
    end = _tail(file, start, size)
    starts = [start, *_positions(file, FLAC_START, start + 8, end)]
    if start == 0 and end == size and len(starts) == 1 and _sound_of_flac(file, start)[0] == start:
        return None
    found = Layout("flac", [])
    for here, after in zip(starts, [*starts[1:], end], strict=True):
        if after < end:
            near = _at(file, max(here, after - NEAR), min(NEAR, after - here))
            at = -1
            while (at := near.find(b"ID3", at + 1)) >= 0:
                if _tag(near[at : at + 10]) == len(near) - at:
                    after -= len(near) - at
                    break
            after = _tail(file, here, after)
        first, header = _sound_of_flac(file, here)
        found.links.append(Link(_view(file, first, max(first, after), header)))
    return found


def _sound_of_flac(file: BinaryIO, start: int) -> tuple[int, bytes]:
    """Where to read a FLAC file on behind a header that leaves out its cover pictures, over which decoders stumble.

    Its beginning and nothing where it has none.
    """
    here, pictured = start + 4, False
    while len(head := _at(file, here, 4)) == 4:
        pictured = pictured or head[0] & 127 == 6
        here += 4 + int.from_bytes(head[1:], "big")
        if head[0] & 128:
            info = _at(file, start, 42)
            return (here, info[:4] + b"\x80" + info[5:]) if pictured else (start, b"")
    return start, b""


def _oggs(file: BinaryIO, start: int, size: int) -> Layout | None:
    """Ogg's links (RFC 3533, section 4): each begins with the first pages of its streams."""
    found = Layout("ogg", [])
    here = first = before = start
    heads = ended = True
    while here < size:
        head = _at(file, here, 27)
        if head[:4] != b"OggS" or len(head) < 27:
            # The last page may be cut by what was joined to it.
            behind = here if ended else before + 4
            pages = _positions(file, b"OggS\0", behind, size)
            after = next((at for at in pages if _at(file, at, 6)[5:] in (b"\2", b"\6")), None)
            if after is None and not ended:
                break  # damage: for the checks
            if after is None:
                found.links.append(Link(_view(file, first, here)))
                found.notes += _notes_of_rest(file, here, size)
                return found
            found.links.append(Link(_view(file, first, here if ended else after)))
            here = first = after
            heads = True
            continue
        begins = bool(head[5] & 2)
        if begins and not heads:
            found.links.append(Link(_view(file, first, here)))
            first = here
        heads, ended, before = begins, bool(head[5] & 4), here
        here += 27 + head[26] + sum(_at(file, here + 27, head[26]))
    if start == 0 and not found.links:
        return None
    found.links.append(Link(_view(file, first, size)))
    return found


# -- MPEG audio and ADTS


def _carries_info(head: bytes) -> bool:
    """Whether an MPEG audio frame of layer III holds no sound but a Xing, Info or VBRI header."""
    if head[1] >> 1 & 3 != 1:
        return False
    mono, first = head[3] >> 6 == 3, head[1] >> 3 & 3 == 3
    side = 4 + ((17 if mono else 32) if first else (9 if mono else 17))
    return head[side : side + 4] in (b"Xing", b"Info") or head[36:40] == b"VBRI"


def _frames(file: BinaryIO, start: int, size: int, kind: str) -> Layout | None:
    """MP3s or ADTS streams, one behind the other: divided by tags, by a header frame, or by a change of rate."""
    parse = integrity.parser(kind)
    end = _tail(file, start, size)
    found = Layout(kind, [])
    here = _first_frame(file, start, end, parse)
    if here is None:
        return None
    notes: list[str] = []
    while here is not None:
        link, after, cut = _run_of_frames(file, here, end, parse, kind)
        found.links.append(link)
        if cut:
            notes.append(_passed_over(cut))
        here = after
    found.notes = notes
    return found


def _first_frame(file: BinaryIO, start: int, end: int, parse: integrity.Parser) -> int | None:
    """Where the first frame begins; None where that is not clear."""
    head = _at(file, start, 16)
    return start if parse(head) is not None and start < end else None


def _run_of_frames(
    file: BinaryIO, start: int, end: int, parse: integrity.Parser, kind: str
) -> tuple[Link, int | None, int]:
    """The recording that begins at ``start``, where the next one begins, and how many bytes behind are no frames."""
    samples = rate = 0
    before = start
    base, buffer = start, _at(file, start, integrity.CHUNK)
    here = start
    while here < end:
        if here + 64 > base + len(buffer) and base + len(buffer) < end:
            base, buffer = here, _at(file, here, integrity.CHUNK)
        head = buffer[here - base : here - base + 64]
        frame = parse(head)
        if frame is None:
            return _behind_frames(file, start, before, here, end, parse, samples / (rate or 1))
        length, count, hertz = frame
        info = kind == "mp3" and len(head) > 40 and _carries_info(head)
        if rate and (info or hertz != rate) and parse(_at(file, here + length, 16)) is not None:
            return Link(_view(file, start, here), samples / rate), here, 0
        rate = hertz
        samples += 0 if info else count
        before, here = here, here + length
    return Link(_view(file, start, end), samples / (rate or 1)), None, 0


def _behind_frames(
    file: BinaryIO, start: int, before: int, here: int, end: int, parse: integrity.Parser, seconds: float
) -> tuple[Link, int | None, int]:
    """What follows a run of frames that ends at ``here``, its last frame at ``before``."""
    after = _past_tags(file, here, end)
    if after >= end:
        return Link(_view(file, start, here), seconds), None, 0
    if after > here and _is_run(file, after, end, parse):
        return Link(_view(file, start, here), seconds), after, 0
    # The last frame may be cut by what was joined to it.
    near = _at(file, before + 4, here - before + NEAR)
    at = -1
    while (at := near.find(b"ID3", at + 1)) >= 0:
        if length := _tag(near[at : at + 10]):
            tag = before + 4 + at
            if _is_run(file, tag + length, end, parse):
                return Link(_view(file, start, tag), seconds), tag + length, 0
    for at in range(here, min(here + NEAR, end)):
        if near[at - before - 4 : at - before - 3] == b"\xff" and _is_run(file, at, end, parse):
            return Link(_view(file, start, end), seconds), None, 0  # damage within: for the checks
    if end - here > NEAR:
        return Link(_view(file, start, end), seconds), None, 0
    return Link(_view(file, start, here), seconds), None, end - here


def _is_run(file: BinaryIO, here: int, end: int, parse: integrity.Parser) -> bool:
    """Whether three frames in a row begin at an offset."""
    for _ in range(3):
        frame = parse(_at(file, here, 16)) if here < end else None
        if frame is None:
            return False
        here += frame[0]
    return here <= end


# -- the other containers: where they end


def _end_of_boxes(file: BinaryIO, start: int, size: int) -> int | None:
    """Where an MP4 ends: before the first bytes that are no box, once its index and its data were met."""
    here = start
    met: set[bytes] = set()
    while here + 8 <= size:
        length, name = struct.unpack(">I4s", _at(file, here, 8))
        if length == 1:
            (length,) = struct.unpack(">Q", _at(file, here + 8, 8))
        whole = {b"moov", b"mdat"} <= met
        if length == 0 and _is_name(name):
            return None
        if name == b"ftyp" and whole:  # another file
            return here
        if not _is_name(name) or length < 8:
            return here if whole else None
        if here + length > size:
            return here if whole and name not in (b"moov", b"mdat", b"moof") else None
        met.add(name)
        here += length
    return here if {b"moov", b"mdat"} <= met else None


def _end_of_elements(file: BinaryIO, start: int, size: int) -> int | None:
    """Where a Matroska file ends: behind its segment, where that tells its size."""
    here, segment = start, False
    while here < size:
        head = _at(file, here, 12)
        width = 9 - head[0].bit_length()
        if int.from_bytes(head[:width], "big") not in EBML_TOP or len(head) <= width:
            return here if segment else None
        more = 9 - head[width].bit_length()
        top = 1 << 7 * more
        length = int.from_bytes(head[width : width + more], "big") & (top - 1)
        if more > 8 or length == top - 1 or here + width + more + length > size:
            return here if segment and here + width + more + length > size else None
        segment = segment or int.from_bytes(head[:width], "big") == 0x18538067
        here += width + more + length
    return None


def _end_of_objects(file: BinaryIO, start: int, size: int) -> int | None:
    """Where an ASF file ends: behind its data, at an object that does not fit."""
    here, data = start, False
    while here + 24 <= size:
        head = _at(file, here, 24)
        (length,) = struct.unpack("<Q", head[16:])
        if length < 24 or here + length > size:
            return here if data else None
        data = data or head[:16] == ASF_DATA
        here += length
    return here if data else None


def _end_of_tta(file: BinaryIO, start: int) -> int | None:
    """Where a TTA ends, by its header and the sizes of its frames (True Audio, format 1)."""
    _, _, _, rate, samples, _ = struct.unpack("<HHHIII", _at(file, start + 4, 18))
    count = -(-samples // (rate * 256 // 245)) if rate else 0
    table = _at(file, start + 22, 4 * count)
    if len(table) < 4 * count or not count:
        return None
    sizes: tuple[int, ...] = struct.unpack(f"<{count}I", table)
    return start + 26 + 4 * count + sum(sizes)
