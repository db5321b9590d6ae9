"""The grains of a collection: recordings near to a prompt or a guide, decoded, levelled, cut and described."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, zip_longest
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from analogon.generate import concatenative as cc
from analogon.generate.concatenative import Units
from analogon.search.ask import ResolvedQuery
from analogon.search.library import Library
from embed import decode
from embed.encoder import AudioInput
from embed.errors import GeneratorError, MediaError, UsageError
from embed.media import Media, Span, content_hash
from embed.pipeline import Encoded, encode_stream
from indexes.collection import KnownSpace

__all__ = ["Corpus", "Passage", "Pool", "Tuning", "faded"]

T = TypeVar("T")

GRAIN, GUIDED_GRAIN = 0.3, 0.1  # s
LONGEST: Final = 600.0  # s: a take is made in memory
LONGEST_PASSAGE: Final = 20.0  # s of a window that are listened to
MOST_UNITS, GUIDED_UNITS = 1024, 4096  # of the nearest recordings, that are chosen among
FAINT, FAINT_GUIDED = 20.0, 30.0  # dB below the loudest unit of a recording, from which a unit counts as its silence
WINDOWS: Final = 24  # of a guide, that are looked for in the collection
RELEVANCE: Final = 3.0  # the target cost of the farthest candidate, where the nearest has 0
BESIDE_GUIDE: Final = 1.0  # the same where sounding like a guide counts too
LEVEL: Final = -20.0  # dB of full scale (RMS) that recordings are brought to
BOOST: Final = 12.0  # dB that one may be raised more than the median of all
EDGE: Final = 0.003  # s over which a recording's own ends are faded
REACH: Final = 0.008  # s that a grain is moved for waves to meet in phase: half a period of 62 Hz
CACHED: Final = 400.0  # s of recordings that stay in memory, cut and described
TOLD: Final = 3  # recordings that could not be used, that are named


@dataclass(frozen=True, slots=True)
class Tuning:
    """A mosaic's settings: see ``load``."""

    grain: float | None = None
    overlap: float = 0.25
    candidates: int = 64
    join: float = 1.0
    variety: float = 1.0
    temperature: float = 0.3
    envelope: bool = True
    where: str | None = None
    rate: int = 44100

    def __post_init__(self) -> None:
        bounds = {
            "grain": (GRAIN if self.grain is None else self.grain, 0.02, 5.0),
            "overlap": (self.overlap, 0.01, 1.0),
            "candidates": (self.candidates, 1, 10_000),
            "join": (self.join, 0.0, 1000.0),
            "variety": (self.variety, 0.0, 1000.0),
            "temperature": (self.temperature, 0.0, 1000.0),
            "rate": (self.rate, 8000, 192_000),
        }
        for name, (value, least, most) in bounds.items():
            if not (math.isfinite(value) and least <= value <= most):
                raise UsageError(f"mosaic: {name} must be from {least:g} to {most:g}, not {value:g}")


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """A part of a file, decoded and cut. ``begin`` is the place of its first sample in the file, in seconds."""

    path: str
    begin: float
    samples: npt.NDArray[np.float32]
    units: Units
    note: str | None = None


@dataclass(frozen=True, eq=False)
class Pool:
    """The units to choose among: number, ``(units,)``, of their passage, gain in dB, target cost.

    ``weight`` is what join costs are multiplied by.
    """

    passages: Sequence[Passage]
    scores: Sequence[float | None]
    owner: npt.NDArray[np.int64]
    units: Units
    gain: npt.NDArray[np.float64]
    cost: npt.NDArray[np.float64]
    weight: float
    remarks: tuple[str, ...]

    def join(self, a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """What it costs that units ``b`` come after units ``a``; nothing where they do so in their recording."""
        lead, tail = self.units.lead[b].louder(self.gain[b]), self.units.tail[a].louder(self.gain[a])
        cost = self.weight * cc.differences(tail, lead, pitch=0.5)
        ends = self.units.start[a] + self.units.length[a]
        cost[(self.owner[a][:, None] == self.owner[b]) & (ends[:, None] == self.units.start[b])] = 0.0
        return cost

    @cached_property
    def joins(self) -> npt.NDArray[np.float64]:
        """What it costs that any unit comes after any other: ``(units, units)``."""
        every = np.arange(len(self.units))
        return self.join(every, every)


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    """A window of the collection: its item, the places where its file lies, and its cosine with the prompt."""

    item: int
    content: int
    paths: tuple[str, ...]
    span: Span | None
    score: float | None = None


class Corpus:
    """What a mosaic chooses among: the recordings of ``library``."""

    def __init__(self, library: Library, tuning: Tuning) -> None:
        self.library = library
        self.tuning = tuning
        self._pools: dict[tuple[object, ...], Pool] = {}
        self._passages: OrderedDict[tuple[object, ...], Passage] = OrderedDict()

    def pool(self, text: str, guide: Media | None) -> Pool:
        """The units for a prompt and a guide; those of the last are kept, as other seeds ask for the same."""
        stamps = tuple((store.file, store.rows) for store in self.library.collection.catalog.stores())
        key = (text, None if guide is None else (content_hash(guide), guide.span), stamps)
        if key not in self._pools:
            self._pools = {key: self._gathered(text.strip(), guide)}
        return self._pools[key]

    def _gathered(self, text: str, guide: Media | None) -> Pool:
        name = self.library.collection.name
        if not text and guide is None:
            raise UsageError("mosaic needs a prompt or a guide: what shall it sound like?")
        if guide is not None:
            self.guide(guide)  # one that cannot be used is told before anything is looked for
        notes: list[str] = []
        with self.library.collection.snapshot():
            candidates = self._candidates(text, guide, notes)
        if not candidates:
            through = " that its filter lets through" if self.tuning.where else ""
            raise UsageError(f"{name} holds no recordings{through}")
        passages: list[Passage] = []
        scores: list[float | None] = []
        failed: list[str] = []
        costs: list[float] = []
        heard: list[Units] = []
        count = 0
        most, faint = (MOST_UNITS, FAINT) if guide is None else (GUIDED_UNITS, FAINT_GUIDED)
        relevance = _relative([one.score for one in candidates]) * (RELEVANCE if guide is None else BESIDE_GUIDE)
        for candidate, cost in zip(candidates, relevance, strict=True):
            if count >= most:
                break
            try:
                passage = self._passage(candidate, guided=guide is not None)
            except MediaError as error:
                failed.append(str(error))
                continue
            notes += [passage.note] if passage.note else []
            loud = passage.units[passage.units.loud(faint)]
            if not len(loud):
                continue
            count += len(loud)
            passages.append(passage)
            heard.append(loud)
            scores.append(candidate.score)
            costs.append(float(cost))
        if not passages:
            why = f"; {failed[0]}" if failed else ": they are silent"
            raise GeneratorError(f"none of the {len(candidates)} recordings of {name} that are nearest sounds{why}")
        lines = [f"a recording of {name} was passed over: {reason}" for reason in failed[:TOLD]]
        lines += [f"so were {len(failed) - TOLD} more"] if len(failed) > TOLD else []
        lines += notes
        owner = np.repeat(np.arange(len(heard)), [len(units) for units in heard])
        gains = cc.limited([LEVEL - units.level for units in heard], BOOST)
        return Pool(
            passages,
            scores,
            owner,
            Units.join(heard),
            gains[owner],
            np.array(costs)[owner],
            self.tuning.join,
            tuple(lines),
        )

    def _candidates(self, text: str, guide: Media | None, notes: list[str]) -> list[_Candidate]:
        """The windows of the collection that are nearest to the prompt and to the guide, in turns, best first.

        ``notes`` get what the search remarks, of a bridge that was crossed for one.
        """
        collection = self.library.collection
        asked = self.library.resolve(text) if text else None
        known = self._space(asked, guide)
        lists = []
        if asked is not None:
            lists.append(self._near_prompt(text, known, notes))
        if guide is not None:
            lists.append(self._near_guide(guide, known))
        found = {one.item: one for one in _in_turns(lists)}
        if guide is not None:
            own = {collection.catalog.content_of_hash(content_hash(guide))} | (asked.own_contents if asked else set())
            found = {item: one for item, one in found.items() if one.content not in own} or found
        if asked is not None and guide is not None:
            target = asked.vector(known, "audio")
            found = {
                item: replace(one, score=float(collection.vector(known.space, item) @ target))
                for item, one in found.items()
            }
        return _apart(found.values())

    def _space(self, asked: ResolvedQuery | None, guide: Media | None) -> KnownSpace:
        """The first space that holds recordings and takes the prompt, over a bridge if need be."""
        collection = self.library.collection
        spaces = [known for known in collection.spaces if "audio" in collection.modalities(known.space)]
        for known in spaces:
            if asked is None or not asked.missing_leaves(known):
                return known
        for known in spaces:
            if asked is not None and asked.reachable(known):
                return known
        # A search says what is amiss.
        self.library.search(asked.query if asked else guide or "", to="audio", k=1, by="content")
        raise UsageError(f"{collection.name} holds no recordings that could be asked for")

    def _near_prompt(self, text: str, known: KnownSpace, notes: list[str]) -> list[_Candidate]:
        collection = self.library.collection
        several = len(collection.spaces) > 1
        for include_self in (False, True):
            hits = self.library.search(
                text,
                to="audio",
                k=self.tuning.candidates,
                by="content",
                parts=True,
                where=self.tuning.where,
                spaces=[known.encoder] if several else (),
                include_self=include_self,
            )
            if hits:
                break
        notes += hits.notes
        items = collection.catalog.items([hit.id for hit in hits])
        return [_Candidate(hit.id, items[hit.id].content, hit.paths, hit.span, hit.score) for hit in hits]

    def _near_guide(self, guide: Media, known: KnownSpace) -> list[_Candidate]:
        """What is nearest to each window of a guide, in turns."""
        collection = self.library.collection
        vectors = []
        for result in encode_stream(collection.encoder(known), [guide.but(modality="audio")]):
            if isinstance(result, Encoded):
                vectors.append(result.vector)
            elif result.error is not None and not result.parts:
                raise result.error
        rows = [vectors[at] for at in np.unique(np.linspace(0, len(vectors) - 1, WINDOWS).round().astype(int))]
        where = collection.filter(self.tuning.where) if self.tuning.where else None
        lists = [
            collection.nearest(known.space, "audio", row, self.tuning.candidates, where=where, parts=True)
            for row in rows
        ]
        return [
            _Candidate(one.item.id, one.item.content, tuple(source.path for source in one.item.sources), one.item.span)
            for one in islice(_in_turns(lists), 4 * self.tuning.candidates)
        ]

    def _passage(self, candidate: _Candidate, *, guided: bool) -> Passage:
        """A window of a recording, from the first of its files that can be read. Raises ``MediaError``."""
        errors = []
        for path in candidate.paths:
            key = (path, candidate.span, guided)
            if key not in self._passages:
                try:
                    self._passages[key] = self._read(path, candidate.span, guided=guided)
                except MediaError as error:
                    errors.append(error)
                    continue
            self._passages.move_to_end(key)
            found = self._passages[key]
            while sum(len(one.samples) for one in self._passages.values()) > CACHED * self.tuning.rate:
                self._passages.popitem(last=False)
            return found
        raise errors[0]

    def _read(self, path: str, span: Span | None, *, guided: bool) -> Passage:
        rate = self.tuning.rate
        grain, fade = self._grain(guided), self.fade(guided)
        start = span.start if span else 0.0
        end = min(span.end if span else math.inf, start + LONGEST_PASSAGE)
        # What lies around a window serves its first and last grains.
        begin = max(0.0, start - fade / rate - REACH)
        media = Media("audio", path=path, span=Span(begin, end + grain))
        samples, note = _decoded(media, rate)
        samples = faded(samples, min(round(EDGE * rate), len(samples) // 8))
        first, last = round((start - begin) * rate), min(len(samples), round((end - begin) * rate))
        if last <= first:
            raise MediaError(path, f"holds no samples from {start:g} s to {end:g} s")
        units = cc.analyse(samples, rate, grain=grain, fade=fade, first=first, last=last)
        return Passage(path, begin, samples, units, note)

    # -- the guide, and sizes ------------------------------------------------------------------------------------

    def guide(self, guide: Media, seconds: float | None = None) -> npt.NDArray[np.float32]:
        """A guide's samples, the first ``seconds``. Raises ``UsageError`` for one that is no sound, and silence."""
        if guide.modality not in ("audio", "video"):
            raise UsageError(f"mosaic needs a recording for a guide, not {guide.modality}")
        samples, _ = _decoded(guide.but(modality="audio", span=guide.span or Span(0.0, LONGEST)), self.tuning.rate)
        samples = samples[: max(1, round(min(seconds or LONGEST, LONGEST) * self.tuning.rate))]
        if float(cc.decibels(np.mean(samples.astype(np.float64) ** 2))) < cc.SILENCE:
            raise UsageError(f"the guide {guide.name} is silent")
        return samples

    def bands(self, guide: Media) -> int:
        """How many bands a guide can have something in: of one at 8 kHz those below 4 kHz."""
        rate = decode.facts(guide.but(modality="audio")).get("sample_rate")
        return cc.bands_below(rate / 2 if isinstance(rate, int | float) else math.inf, self.tuning.rate)

    def analysed(self, samples: npt.NDArray[np.float32], *, guided: bool) -> Units:
        return cc.analyse(samples, self.tuning.rate, grain=self._grain(guided), fade=self.fade(guided))

    def _grain(self, guided: bool) -> float:
        return (GUIDED_GRAIN if guided else GRAIN) if self.tuning.grain is None else self.tuning.grain

    def fade(self, guided: bool) -> int:
        return max(2, round(self.tuning.overlap * self._grain(guided) * self.tuning.rate))


def _decoded(media: Media, rate: int) -> tuple[npt.NDArray[np.float32], str | None]:
    """Mono samples, as many as can be read, and what is wrong with the rest."""
    found: list[npt.NDArray[np.float32]] = []
    try:
        for part in decode.parts(media, audio=AudioInput(rate, None)):
            assert part.array is not None
            found.append(part.array)
    except MediaError as error:
        if not found:
            raise
        return np.concatenate(found), str(error)
    return np.concatenate(found), None


def faded(samples: npt.NDArray[np.float32], size: int) -> npt.NDArray[np.float32]:
    """Samples that rise from and fall to nothing within ``size`` at either end."""
    out = samples.copy()
    if size:
        slope = np.sin((np.arange(size, dtype=np.float32) + 0.5) / size * (np.pi / 2)).astype(np.float32) ** 2
        out[:size] *= slope
        out[len(out) - size :] *= slope[::-1]
    return out


def _relative(scores: Sequence[float | None]) -> npt.NDArray[np.float64]:
    """How far each lies behind the best, from 0 to 1 for the last; 0 for those without a score."""
    known = [score for score in scores if score is not None]
    if not known or max(known) - min(known) < 1e-6:
        return np.zeros(len(scores))
    return np.array([0.0 if s is None else (max(known) - s) / (max(known) - min(known)) for s in scores])


def _in_turns(lists: Sequence[Sequence[T]]) -> Iterator[T]:
    """The first of each, then the second of each, and so on."""
    for row in zip_longest(*lists):
        yield from (one for one in row if one is not None)


def _apart(candidates: Iterable[_Candidate]) -> list[_Candidate]:
    """Windows without what earlier ones have of the same recording; those that have little left are left out."""
    taken: dict[int, list[Span]] = {}
    found = []
    for one in candidates:
        if one.span is not None:
            start, end = one.span.start, one.span.end
            for other in taken.get(one.content, ()):
                if other.start <= start < other.end:
                    start = other.end
                if other.start < end <= other.end:
                    end = other.start
            if end - start < 0.25 * (one.span.end - one.span.start):
                continue
            one = replace(one, span=Span(start, end))
            taken.setdefault(one.content, []).append(Span(start, end))
        found.append(one)
    return found
