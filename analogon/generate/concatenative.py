"""Concatenative synthesis on arrays: cut recordings into units, compare them, choose a chain of them, join them.

Units are chosen as Hunt and Black choose those of speech ("Unit selection in a concatenative speech synthesis system
using a large speech database", ICASSP 1996): each has a target cost, how unlike what is wanted it is, and each pair of
neighbours a join cost, how unlike one's end is what comes before the other's beginning in its own recording, which is
nothing where they are neighbours there. Schwarz ("A system for data-driven concatenative sound synthesis", DAFx 2000;
"Concatenative sound synthesis: the early years", 2006) and Zils and Pachet ("Musical mosaicing", DAFx 2001) make music
that way. Costs are 1 where two sounds differ by 10 dB in each band, by 20 dB in level, or by 6 semitones.

A unit begins at its ``start`` and is ``length`` samples long; ``fade`` samples before its start are its lead, in which
it is faded in over the tail of the one before it, so that its attack stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from embed.logmag import LogMagnitudes, mel

__all__ = [
    "Piece",
    "Sketch",
    "Stage",
    "Units",
    "analyse",
    "bands_below",
    "chain",
    "crossfade",
    "cuts",
    "decibels",
    "differences",
    "futures",
    "limited",
    "overlap_add",
    "periodicity",
]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Samples = npt.NDArray[np.float32]

SILENCE: Final = -70.0  # dB of full scale (RMS) below which nothing is heard
BANDS: Final = 32
HIGHEST: Final = 12_000.0  # Hz
DEPTH: Final = 60.0  # dB below its loudest band at which a spectrum ends
ONSET: Final = 6.0  # dB by which the bands rise within 20 ms, on average, where something begins
BAND_DB, LEVEL_DB, SEMITONES = 10.0, 20.0, 6.0  # differences that cost 1
FURTHEST: Final = 3.0  # the most that any one of them costs
MEMORY: Final = 0.9  # the share of a use that is remembered at the next stage
PITCHES: Final = (60.0, 1500.0)  # Hz


def decibels(power: npt.ArrayLike) -> Floats:
    """Mean squares as dB of full scale, no lower than -120.

    >>> decibels([1.0, 0.01, 0.0]).tolist()
    [0.0, -20.0, -120.0]
    """
    db: Floats = 10.0 * np.log10(np.maximum(np.asarray(power, np.float64), 1e-12))
    return db


# -- what units sound like ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Sketch:
    """What ``n`` stretches of sound are like.

    ``bands`` is ``(n, BANDS)``: dB of mel bands; ``level`` ``(n,)``: dB of full scale (RMS); ``pitch`` ``(n,)``:
    semitones as MIDI counts them; ``clarity`` ``(n,)``: 1 for what repeats itself exactly, 0 for noise.
    """

    bands: Floats
    level: Floats
    pitch: Floats
    clarity: Floats

    def __len__(self) -> int:
        return len(self.level)

    def __getitem__(self, index: slice | npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Sketch:
        return Sketch(self.bands[index], self.level[index], self.pitch[index], self.clarity[index])

    @classmethod
    def join(cls, sketches: Sequence[Sketch]) -> Sketch:
        """Those of several one after another."""
        return Sketch(*(np.concatenate([getattr(one, part.name) for one in sketches]) for part in fields(cls)))

    def louder(self, gain: npt.ArrayLike) -> Sketch:
        """The same with so many dB more, one number or ``(n,)``."""
        more = np.broadcast_to(np.asarray(gain, np.float64), self.level.shape)
        return Sketch(self.bands + more[:, None], self.level + more, self.pitch, self.clarity)


def differences(a: Sketch, b: Sketch, *, bands: int = BANDS, level: float = 1.0, pitch: float = 1.0) -> Floats:
    """How unlike each of ``a`` each of ``b`` is, float64 ``(len(a), len(b))``.

    The shapes of the spectra are compared whatever their levels, over the lowest ``bands`` bands, by the root of the
    mean squared difference in dB; then levels and, as far as both are clear, pitches. ``level`` and ``pitch`` weigh
    these beside the shape. Nothing costs more than ``FURTHEST``, before it is weighed.
    """
    ours, theirs = _shape(a.bands[:, :bands]), _shape(b.bands[:, :bands])
    squares: Floats = (ours**2).mean(axis=1)[:, None] + (theirs**2).mean(axis=1) - 2.0 * (ours @ theirs.T) / bands
    cost: Floats = np.minimum(np.sqrt(np.maximum(squares, 0.0)) / BAND_DB, FURTHEST)
    cost += level * np.minimum(np.abs(a.level[:, None] - b.level) / LEVEL_DB, FURTHEST)
    apart = np.minimum(np.abs(a.pitch[:, None] - b.pitch) / SEMITONES, 1.0)
    cost += pitch * np.minimum(a.clarity[:, None], b.clarity) * apart
    cost += pitch * np.abs(a.clarity[:, None] - b.clarity)
    return cost


def _shape(bands: Floats) -> Floats:
    """Spectra without their levels; what lies ``DEPTH`` below the loudest band is not told apart."""
    heard = np.maximum(bands, bands.max(axis=1, keepdims=True) - DEPTH)
    shape: Floats = heard - heard.mean(axis=1, keepdims=True)
    return shape


@lru_cache(maxsize=8)
def _ear(rate: int) -> LogMagnitudes:
    frame = round(0.023 * rate)
    return LogMagnitudes(
        rate=rate,
        frame=frame,
        hop=max(1, round(0.01 * rate)),
        fft=1 << (frame - 1).bit_length(),
        bins=BANDS,
        lowest=60.0,
        highest=min(HIGHEST, 0.47 * rate),
        floor=1e-5 * frame,
    )


def bands_below(frequency: float, rate: int) -> int:
    """How many of the lowest bands end below a frequency in Hz; at least 4."""
    ear = _ear(rate)
    edges = np.linspace(mel(ear.lowest), mel(ear.highest), BANDS + 2)[2:]
    return max(4, int((edges <= mel(frequency)).sum()))


def periodicity(windows: npt.NDArray[np.floating], rate: int) -> tuple[Floats, Floats]:
    """Pitch (semitones as MIDI counts them) and clarity (0 to 1) of windows ``(n, size)``, each ``(n,)``.

    The autocorrelation over that of the window, and the first of its peaks that is nearly the highest (Boersma,
    "Accurate short-term analysis of the fundamental frequency", 1993).
    """
    count, size = windows.shape
    shortest, longest = max(2, int(rate / PITCHES[1])), min(int(rate / PITCHES[0]), size // 2)
    if longest <= shortest + 1 or not count:
        return np.full(count, 60.0), np.zeros(count)
    from scipy.fft import irfft, rfft

    window = np.hanning(size)
    length = 1 << (2 * size - 1).bit_length()
    signal = (windows - windows.mean(axis=1, keepdims=True)) * window
    own = irfft(np.abs(rfft(window, length)) ** 2, length)[: longest + 1]
    found = irfft(np.abs(rfft(signal, length)) ** 2, length)[:, : longest + 1]
    power = found[:, :1]
    normal = found / np.maximum(power, 1e-12) / (own / own[0])
    inner = normal[:, shortest:longest]
    peak = (inner >= normal[:, shortest - 1 : longest - 1]) & (inner >= normal[:, shortest + 1 : longest + 1])
    heights = np.where(peak, inner, 0.0)
    best = heights.max(axis=1, keepdims=True)
    first = (heights >= 0.9 * best).argmax(axis=1) + shortest
    clarity = np.where(power[:, 0] > 1e-9, np.clip(best[:, 0], 0.0, 1.0), 0.0)
    return 69.0 + 12.0 * np.log2(rate / first / 440.0), clarity


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """The units of a recording: ``start`` and ``length`` in samples, int64 ``(n,)``, and what they are like.

    ``body`` is all of a unit, ``lead`` the stretch before its start, ``tail`` that before its end: a unit's lead is
    the tail of the one before it. ``onset`` says whether something begins there, ``room`` is how many samples there are
    until something else begins or the recording ends.
    """

    start: Integers
    length: Integers
    onset: npt.NDArray[np.bool_]
    room: Integers
    body: Sketch
    lead: Sketch
    tail: Sketch

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, index: npt.NDArray[np.bool_]) -> Units:
        return Units(*(getattr(self, part.name)[index] for part in fields(self)))

    @classmethod
    def join(cls, units: Sequence[Units]) -> Units:
        """Those of several recordings one after another."""
        return Units(
            np.concatenate([one.start for one in units]),
            np.concatenate([one.length for one in units]),
            np.concatenate([one.onset for one in units]),
            np.concatenate([one.room for one in units]),
            Sketch.join([one.body for one in units]),
            Sketch.join([one.lead for one in units]),
            Sketch.join([one.tail for one in units]),
        )

    def loud(self, faint: float) -> npt.NDArray[np.bool_]:
        """Which of them are no silence: neither absolutely, nor ``faint`` dB below the loudest."""
        heard: npt.NDArray[np.bool_] = self.body.level > max(SILENCE, float(self.body.level.max()) - faint)
        return heard

    @property
    def level(self) -> float:
        """The RMS of all together in dB of full scale."""
        power = 10.0 ** (self.body.level / 10.0) * self.length
        return float(decibels(power.sum() / max(1, self.length.sum())))


def analyse(samples: Samples, rate: int, *, grain: float, fade: int, first: int = 0, last: int | None = None) -> Units:
    """Cut samples ``first`` to ``last`` of a mono recording ``(n,)`` into units of about ``grain`` seconds.

    What lies before and after them serves for leads. A unit has at least half a grain, beyond the end if need be.
    """
    last = len(samples) if last is None else last
    ear = _ear(rate)
    # Frame i is centred on sample i * hop.
    padded = np.pad(samples, (ear.frame // 2, ear.frame))
    spectra = ear(padded.astype(np.float32)) * np.float32(20.0 / np.log(10.0))
    edges, onset = cuts(_onsets(spectra, ear.hop, first, last), first, last, max(2, round(grain * rate)))
    start, length = edges[:-1], np.diff(edges)
    ends = np.append(start[onset], edges[-1])
    room = ends[np.searchsorted(ends, start, "right")] - start
    power = np.concatenate([np.zeros((1, BANDS)), np.cumsum(10.0 ** (spectra.astype(np.float64) / 10.0), axis=0)])
    energy = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    size = 1 << round(0.046 * rate).bit_length() - 1
    # The pitch of a unit is taken behind its attack.
    where = start + np.maximum(0, (length - size) // 3)
    reach = np.pad(samples, (0, max(0, int(where.max(initial=0)) + size - len(samples))))
    pitch, clarity = periodicity(np.lib.stride_tricks.sliding_window_view(reach, size)[where], rate)

    def sketch(begin: Integers, end: Integers) -> Sketch:
        a = np.clip(np.round(begin / ear.hop).astype(np.int64), 0, len(spectra) - 1)
        b = np.clip(np.round(end / ear.hop).astype(np.int64), a + 1, len(spectra))
        bands = decibels((power[b] - power[a]) / (b - a)[:, None])
        within = energy[np.clip(end, 0, len(samples))] - energy[np.clip(begin, 0, len(samples))]
        return Sketch(bands, decibels(within / np.maximum(1, end - begin)), pitch, clarity)

    return Units(
        start,
        length,
        onset,
        room,
        sketch(start, start + length),
        sketch(start - fade, start),
        sketch(start + length - fade, start + length),
    )


def _onsets(spectra: Samples, hop: int, first: int, last: int) -> Integers:
    """The samples at which something begins: where the bands rise more than around."""
    heard = np.maximum(spectra, spectra.max(initial=-200.0) - DEPTH)
    rise = np.zeros(len(heard))
    rise[2:] = np.maximum(0.0, heard[2:] - heard[:-2]).mean(axis=1)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(rise, 3), 7)
    peaks = np.flatnonzero((rise >= ONSET) & (rise >= around.max(axis=1)))
    # The frame in which it is heard first began one frame's half and the rise's 20 ms before it was loudest.
    places = (peaks - 2) * hop
    return places[(places > first) & (places < last)]


def cuts(onsets: Integers, first: int, last: int, grain: int) -> tuple[Integers, npt.NDArray[np.bool_]]:
    """The edges ``(n + 1,)`` of units from ``first`` on, and which of the ``n`` begin with an onset;
    the first counts as one.

    An onset begins a unit where the unit before it gets half a grain. What is longer than one and a half is divided
    evenly. The last edge is ``last``, or beyond it where less than half a grain is there in all.

    >>> cuts(np.array([30, 35]), 0, 60, 20)[0].tolist()
    [0, 15, 30, 45, 60]
    """
    half = max(1, grain // 2)
    edges = [first]
    for onset in onsets.tolist():
        if onset - edges[-1] >= half and last - onset >= half:
            edges.append(onset)
    edges.append(max(last, first + half))
    divided: list[int] = []
    for a, b in pairwise(edges):
        parts = max(1, round((b - a) / grain))
        divided += [a + (b - a) * part // parts for part in range(parts)]
    return np.array([*divided, edges[-1]], dtype=np.int64), np.isin(divided, edges)


# -- which of them are chosen ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """The candidates for one place of a chain: numbers of units, int64 ``(n,)``, and their target costs ``(n,)``."""

    ids: Integers
    costs: Floats


Join = Callable[[Integers, Integers], Floats]
"""The cost of each of the second after each of the first: ``(len(a), len(b))``."""


def futures(stages: Sequence[Stage], join: Join, temperature: float) -> list[Floats]:
    """What each candidate leads to: the least that all stages after its own cost, joins with them included.

    With a temperature T above 0 it is ``-T log sum exp(-cost / T)`` over all ways to go on, so that choosing stage by
    stage draws a whole chain with a probability in proportion to ``exp(-cost / T)``; with 0 it is the Viterbi
    algorithm's, and the chain is the cheapest of all.
    """
    found = [np.zeros(len(stages[-1].ids))]
    for now, after in zip(reversed(stages[:-1]), reversed(stages), strict=False):
        found.append(_least(join(now.ids, after.ids) + after.costs + found[-1], temperature))
    return found[::-1]


def _least(costs: Floats, temperature: float) -> Floats:
    least: Floats = costs.min(axis=1)
    if temperature > 0:
        least = least - temperature * np.log(np.exp((least[:, None] - costs) / temperature).sum(axis=1))
    return least


def chain(
    stages: Iterable[Stage],
    ahead: Iterable[Floats],
    join: Join,
    *,
    temperature: float,
    random: np.random.Generator,
    groups: Integers | None = None,
    variety: float = 0.0,
) -> Iterator[int]:
    """The number of one unit for each stage, drawn by its costs, those of its ``futures`` among them.

    ``variety`` is what a unit costs for having just been used, and each use of its group, the recording of each unit
    in ``groups`` ``(units,)``, costs a quarter of that. With each stage after it a use counts ``MEMORY`` times as much,
    so that a recording can be left and come back to.
    """
    used: dict[int, float] = {}
    lent: dict[int, float] = {}
    before: int | None = None
    for stage, future in zip(stages, ahead, strict=False):
        costs = stage.costs + future
        if before is not None:
            costs = costs + join(np.array([before]), stage.ids)[0]
        if variety and used:
            costs = costs + variety * np.array([used.get(one, 0.0) for one in stage.ids.tolist()])
            if groups is not None:
                costs += 0.25 * variety * np.array([lent.get(one, 0.0) for one in groups[stage.ids].tolist()])
        if temperature > 0:
            costs = costs - temperature * random.gumbel(size=len(costs))
        before = int(stage.ids[int(costs.argmin())])
        _remember(used, before)
        if groups is not None:
            _remember(lent, int(groups[before]))
        yield before


def _remember(uses: dict[int, float], one: int) -> None:
    """Count a use; it and those before it weigh less from now on."""
    uses[one] = uses.get(one, 0.0) + 1.0
    for known in uses:
        uses[known] *= MEMORY


# -- how they are joined -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A stretch of a mono recording ``samples`` ``(n,)``, with a gain as a factor. It may begin and end beyond them."""

    samples: Samples
    start: int
    length: int
    gain: float = 1.0

    def read(self, before: int, after: int) -> Floats:
        """Samples from ``before`` its start to ``after`` it, zeros where there are none."""
        begin, end = self.start - before, self.start + after
        inside = self.samples[max(0, begin) : max(0, end)]
        lead = min(max(0, -begin), before + after)
        out = np.zeros(before + after)
        out[lead : lead + len(inside)] = inside
        return out * self.gain


def limited(wanted: npt.ArrayLike, most: float, counted: npt.NDArray[np.bool_] | None = None) -> Floats:
    """Gains in dB ``(n,)``, none more than ``most`` above their median: what is quiet shall not become noise.

    ``counted`` ``(n,)``, if any, says of which gains the median is taken.

    >>> limited([0.0, 1.0, 30.0], 12.0).tolist()
    [0.0, 1.0, 13.0]
    """
    gains = np.asarray(wanted, np.float64)
    return np.minimum(gains, np.median(gains if counted is None else gains[counted]) + most)


def crossfade(tail: Floats, lead: Floats) -> Floats:
    """One sound faded into another, both ``(n,)``, at constant power whatever they have in common.

    Fades of a sine and a cosine keep the power of what is uncorrelated; divided by ``sqrt(1 + 2 r sin cos)``, with r
    the correlation of the two, they keep it for all r >= 0, and add up to 1 where both are the same.
    """
    power = float(np.sqrt((tail @ tail) * (lead @ lead)))
    common = max(0.0, float(tail @ lead) / power) if power > 0 else 0.0
    angle = (np.arange(len(tail)) + 0.5) / max(1, len(tail)) * (np.pi / 2)
    falling, rising = np.cos(angle), np.sin(angle)
    faded: Floats = (falling * tail + rising * lead) / np.sqrt(1.0 + 2.0 * common * falling * rising)
    return faded


def overlap_add(pieces: Sequence[Piece], fade: int, reach: int = 0) -> tuple[Samples, list[int]]:
    """The pieces one after another, cross-faded over ``fade`` samples; and the samples by which each was moved.

    The result is as long as all pieces together. Each begins up to ``reach`` samples earlier or later in its own
    recording, where it goes best with what it is faded into (Roucos and Wilgus, "High quality time-scale modification
    for speech", 1985), so that waves meet in phase. Pieces that follow each other in one recording are restored as
    they were.
    """
    out = np.zeros(sum(piece.length for piece in pieces))
    moved = []
    at = before = 0
    for piece in pieces:
        over = min(fade, at, before)
        lag = 0
        if over:
            tail = out[at - over : at]
            lag = _in_phase(tail, piece.read(over + reach, reach), reach)
            piece = Piece(piece.samples, piece.start + lag, piece.length, piece.gain)
            out[at - over : at] = crossfade(tail, piece.read(over, 0))
        out[at : at + piece.length] = piece.read(0, piece.length)
        at, before = at + piece.length, piece.length
        moved.append(lag)
    return out.astype(np.float32), moved


def _in_phase(tail: Floats, context: Floats, reach: int) -> int:
    """The lag, ``-reach`` to ``reach``, at which ``context`` correlates best with ``tail``; 0 if none is better."""
    if not reach or not tail.any():
        return 0
    from scipy.signal import correlate

    energy = np.concatenate([[0.0], np.cumsum(context**2)])
    energy = energy[len(tail) :] - energy[: -len(tail)]
    floor = 1e-6 * max(float(energy.max()), 1e-12)
    alike = correlate(context, tail, "valid", "fft") / np.sqrt(np.maximum(energy, floor))
    best = int(alike.argmax())
    # Silence goes with everything, and what is almost as good unmoved stays where it is.
    return best - reach if alike[best] > 1.02 * max(0.0, float(alike[reach])) + 1e-9 else 0
