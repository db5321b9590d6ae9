"""espeak-ng: formant synthesis, many languages and voices, no weights; a program of its own (Debian's espeak-ng).

``espeak:en-us``, ``espeak:de+f3``: a voice or a language as ``espeak-ng --voices`` lists them, and a variant.

It reads SSML itself, but by its own lights. Measured on 1.51: a break inside a changed rate is changed with it;
decibels are read as percent; pitch is a setting from 0 to 99, whatever the unit; what is louder than its default is
clipped; a full stop after an element can be spoken as "dot"; ``xml:lang``, ``phoneme`` and most of ``voice`` and
``say-as`` are passed over; ``audio`` opens files. So it never gets a document as it was written. It gets SSML that is
written anew from the compiled script: breaks outside of rates, volumes as its own amplitudes under one exact gain,
pitches by what its settings were measured to do, and another process where the voice changes. Its intonation runs on
over all of that, which it cannot where segments are spoken one by one (``native=false``); there rate, pitch and volume
are exact.
"""

from __future__ import annotations

import contextlib
import difflib
import math
import os
import re
import shutil
import subprocess
import tempfile
import threading
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import groupby
from typing import Any, Final
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt

from analogon.engines.generator import Ability, Generated, Generator, Settings
from analogon.prompts import Prompt
from analogon.speech import (
    Document,
    Mark,
    Segment,
    Silence,
    castings,
    fundamental_frequency,
    spoken_instead,
    to_script,
    trim,
)
from analogon.voices import Voice
from embed.errors import GeneratorError, UsageError, one_line, printable
from embed.media import Media

__all__ = ["DEFAULT_VOICE", "Espeak", "load"]

Samples = npt.NDArray[np.float32]

DEFAULT_VOICE: Final = "en-us"
"""What speaks where no model is named. No ``DEFAULT_MODEL``: whether one was named decides what it may guess."""
PROGRAM: Final = "espeak-ng"
SPEEDS: Final = (80, 450)
"""Words per minute: what espeak-ng takes."""
TIMEOUT: Final = 120.0
LONGEST: Final = 3600
"""Seconds of speech that one call may give."""
LONGEST_TEXT: Final = 1 << 20
HEADER: Final = 44  # bytes of the WAV header that --stdout begins with; its lengths are not filled in
PITCHES: Final = (
    (0, 0.666),
    (10, 0.716),
    (20, 0.763),
    (30, 0.837),
    (40, 0.911),
    (50, 1.0),
    (60, 1.105),
    (70, 1.224),
    (80, 1.36),
    (90, 1.516),
    (99, 1.674),
)
"""Times the voice's fundamental frequency at pitch 50, by pitch setting: measured on "en-us" of 1.51; "de" and "fr" are
within 2 %, "en-us+f3" within 5 %."""
QUIETEST: Final = 0.03
"""Below this share of the loudest segment's amplitude espeak-ng's whole percents say little."""
MOST_RUNS: Final = 500
"""Processes for one document."""
PROBE: Final = "The north wind and the sun were disputing which was the stronger."


def load(model: str | None = None, speed: int = 175, pitch: int = 50, native: bool = True) -> Espeak:
    """``model`` is a voice ("en-us", "de+f3"), en-us where none is named; ``speed`` is words per minute (80 to 450),
    ``pitch`` a setting (0 to 99).

    ``native`` decides whether SSML is spoken at once, or segment by segment. Raises ``GeneratorError``.
    """
    if not isinstance(speed, int) or not SPEEDS[0] <= speed <= SPEEDS[1]:
        raise GeneratorError(f"espeak speaks {SPEEDS[0]} to {SPEEDS[1]} words per minute, not {speed}")
    if not isinstance(pitch, int) or not 0 <= pitch <= 99:
        raise GeneratorError(f"espeak's pitch is from 0 to 99, not {pitch}")
    if not isinstance(native, bool):
        raise GeneratorError(f"native is true or false, not {native}")
    engine = Espeak(DEFAULT_VOICE if model is None else model, speed, pitch, native)
    engine.guesses_language = model is None
    return engine


@dataclass(frozen=True, slots=True)
class Known:
    """What an espeak-ng has: its version, voices by every name they go by, and variants."""

    version: str
    voices: Mapping[str, str]
    languages: Mapping[str, str]
    variants: Mapping[str, str]


class Espeak(Generator):
    """A voice of espeak-ng at a speed and a pitch."""

    modality = "audio"
    abilities: frozenset[Ability] = frozenset({"voice", "language"})
    speaks = True

    def __init__(self, model: str, speed: int, pitch: int, native: bool) -> None:
        self.name = f"espeak:{model}"
        self.program = _program()
        self.speed = speed
        self.pitch = pitch
        self.native = native
        self._voices: dict[str, None] = {}
        try:
            self.voice = _voice(self.known, model)
        except UsageError as error:
            raise GeneratorError(str(error)) from None

    @property
    def language(self) -> str:  # type: ignore[override]
        return self.voice.partition("+")[0]

    def language_spoken(self, voice: Voice | str | None = None, language: str | None = None) -> str:
        return self._chosen(Settings(voice=voice, language=language)).partition("+")[0]

    @cached_property
    def known(self) -> Known:
        return _known(self.program)

    @property
    def identity(self) -> Mapping[str, Any]:
        return {
            "family": "espeak",
            "model": self.name.partition(":")[2],
            "version": self.known.version,
            "voice": self.voice,
            "speed": self.speed,
            "pitch": self.pitch,
            "native": self.native,
            "guesses_language": self.guesses_language,
        }

    def spoke(self) -> Mapping[str, Any]:
        """The voices, in the order in which they spoke first."""
        voices, self._voices = ", ".join(self._voices), {}
        return {"voice": voices} if voices else {}

    def make(self, prompt: Prompt, settings: Settings) -> Media:
        """Speak a text: float32 ``(n,)`` at espeak-ng's rate, 22,050 Hz. Nothing in the text is markup."""
        samples, rate = self._spoken(_harmless(prompt.text), self._chosen(settings))
        if not np.any(samples):
            raise UsageError(f"{self.name} has nothing to say of {_shown(prompt.text)}")
        return Media("audio", array=samples, rate=rate)

    def speak(self, document: Document, settings: Settings) -> Generated:
        """Speak a document: one process for each stretch of one voice, the whole of it at 22,050 Hz.

        Silences at the ends and where the voice changes are exact, those inside within some 10 ms.
        """
        return _Reading(self, settings).read(document)

    def _chosen(self, settings: Settings) -> str:
        """The voice of a take. A language that comes with a voice of another one keeps the voice's variant."""
        voice = self.voice
        if settings.voice is not None:
            if not isinstance(settings.voice, str):
                raise UsageError(f"{self.name} speaks with its own voices only: name one of espeak-ng --voices")
            voice = _voice(self.known, settings.voice)
        if settings.language:
            base, plus, variant = voice.partition("+")
            asked = _language(self.known, settings.language)
            general = settings.language.lower().split("-")[0] == settings.language.lower()
            if asked != base and not (general and base.split("-")[0] == settings.language.lower()):
                voice = asked + plus + variant
        return voice

    def _spoken(self, text: str, voice: str, *flags: str) -> tuple[Samples, int]:
        """What espeak-ng makes of a text, and its rate in Hz."""
        if len(text) > LONGEST_TEXT:
            raise UsageError(f"{self.name}: a text of {len(text)} characters; {LONGEST_TEXT} are the most")
        command = [self.program, "-v", voice, "-s", str(self.speed), "-p", str(self.pitch), "-b", "1", *flags]
        wave = _run([*command, "--stdin", "--stdout"], text.encode(), self.name)
        if not wave:  # not even a header: it met no word
            raise UsageError(f"{self.name} has nothing to say of {_shown(text)}")
        if len(wave) < HEADER or wave[:4] != b"RIFF":
            raise GeneratorError(f"{self.name}: espeak-ng gave no sound")
        rate = int.from_bytes(wave[24:28], "little")
        samples = np.frombuffer(wave[HEADER : HEADER + (len(wave) - HEADER) // 2 * 2], "<i2")
        self._voices[voice] = None
        return samples.astype(np.float32) / np.float32(32768), rate


# -- SSML --------------------------------------------------------------------------------------------------------------


class _Reading:
    """One document, read by espeak-ng."""

    def __init__(self, engine: Espeak, settings: Settings) -> None:
        self.engine = engine
        self.settings = settings
        self.remarks: list[str] = []
        self.frequencies: dict[str, float | None] = {}
        self.loudest = 0.0

    def read(self, document: Document) -> Generated:
        script = to_script(document, self.settings, self.engine)
        self.remarks += script.remarks
        items = [item for item in script.items if not isinstance(item, Mark)]
        self.loudest = max((s.volume for s in script.segments if math.isfinite(s.volume)), default=0.0)
        voice = self.engine._chosen(self.settings)
        voiced: list[tuple[str, Segment | Silence]] = []
        for item in items:
            if isinstance(item, Segment):
                voice = self.voice(item)
            voiced.append((voice, item))
        runs = [(voice, [item for _, item in group]) for voice, group in groupby(voiced, key=lambda one: one[0])]
        if len(runs) > MOST_RUNS:
            raise UsageError(f"{document.name}: the voice changes {len(runs)} times; {MOST_RUNS} are the most")
        parts: list[Samples | float] = []
        rate = 0
        for voice, run in runs:
            first = next((i for i, item in enumerate(run) if isinstance(item, Segment)), len(run))
            last = next((i for i in range(len(run), 0, -1) if isinstance(run[i - 1], Segment)), first)
            parts += [item.seconds for item in run[:first] if isinstance(item, Silence)]
            if first < last:
                text = "<speak>" + "".join(self.written(voice, run[first:last])) + "</speak>"
                samples, rate = self.engine._spoken(text, voice, "-m")
                parts.append(trim(samples, rate))
            parts += [item.seconds for item in run[last:] if isinstance(item, Silence)]
        if not rate:
            raise UsageError(f"{self.engine.name} has nothing to say of {document.name}")
        if sum(len(part) / rate if isinstance(part, np.ndarray) else part for part in parts) > LONGEST:
            raise UsageError(f"the document takes longer than {LONGEST / 60:g} minutes to speak: part it")
        whole = np.concatenate(
            [part if isinstance(part, np.ndarray) else np.zeros(round(part * rate), np.float32) for part in parts]
        )
        whole *= np.float32(10 ** (self.loudest / 20))
        peak = float(np.abs(whole).max(initial=0.0))
        if peak > 1:
            self.remarks.append(f"all of it is {20 * math.log10(peak):.1f} dB quieter than asked: it would clip")
            whole /= np.float32(peak)
        return Generated(Media("audio", array=whole, rate=rate), tuple(dict.fromkeys(self.remarks)))

    def voice(self, segment: Any) -> str:
        """A segment's voice: the first that is here of those it names, else one of its language, else the usual one."""
        missing = ""
        for cast in castings(segment, self.settings):
            try:
                voice = self.engine._chosen(cast)
            except UsageError as error:
                if cast.voice in segment.voice:
                    missing = missing or str(error)
                else:
                    self.remarks.append(str(error))
                continue
            if missing:
                named = cast.voice in segment.voice
                self.remarks.append(missing if named else f"{missing}; {spoken_instead(self.engine, cast)}")
            return voice
        return self.engine._chosen(replace(self.settings, language=None))

    def written(self, voice: str, items: Sequence[Any]) -> Iterator[str]:
        """espeak-ng's own SSML. Breaks stand outside of everything: inside of a rate they would change with it."""
        for item in items:
            if isinstance(item, Silence):
                yield " " if item.why == "join" else f'<break time="{round(item.seconds * 1000)}ms"/>'
                continue
            if item.phoneme is not None:
                self.remarks.append(f"{self.engine.name} reads no phonemes: the text is spoken as it is written")
            attributes = {
                "rate": self.rate(item.rate),
                "pitch": self.pitch(voice, item.pitch),
                "volume": self.volume(item.volume),
            }
            given = "".join(f' {name}="{value}"' for name, value in attributes.items() if value is not None)
            text = escape(_harmless(item.text))
            if item.emphasis is not None:
                text = f'<emphasis level="{item.emphasis}">{text}</emphasis>'
            yield f"<prosody{given}>{text}</prosody>" if given else text

    def rate(self, factor: float) -> str | None:
        lowest = SPEEDS[0] / self.engine.speed
        if factor < lowest * 0.999:
            self.remarks.append(f"{self.engine.name} speaks {SPEEDS[0]} words per minute at least: slower is not done")
        return None if factor == 1 else f"{max(factor, lowest):.1%}"

    def pitch(self, voice: str, pitch: Any) -> str | None:
        factor = pitch.scale
        if pitch.hertz:
            own = self.frequency(voice)
            if own is None:
                self.remarks.append("where no fundamental frequency is heard, a pitch in Hz cannot be done")
                return None
            factor += pitch.hertz / own
        if factor == 1:
            return None
        settings, factors = zip(*PITCHES, strict=True)
        asked = factor * float(np.interp(self.engine.pitch, settings, factors))
        if not factors[0] * 0.99 <= asked <= factors[-1] * 1.01:
            lowest, highest = (12 * math.log2(end) for end in (factors[0], factors[-1]))
            reach = f"{lowest:.1f} to {highest:+.1f} semitones"
            self.remarks.append(f"{self.engine.name} moves pitch by {reach}: further is done with native=false")
        return str(round(float(np.interp(asked, factors, settings))))

    def frequency(self, voice: str) -> float | None:
        """The fundamental frequency of a voice at the engine's pitch, measured once."""
        if voice not in self.frequencies:
            self.frequencies[voice] = fundamental_frequency(*self.engine._spoken(PROBE, voice))
        return self.frequencies[voice]

    def volume(self, decibels: float) -> str | None:
        """espeak-ng's amplitude, 100 for the loudest segment: linear from about 2.5 up, as measured."""
        share = 10 ** ((decibels - self.loudest) / 20)
        if math.isinf(decibels):
            return "silent"
        if share < QUIETEST:
            self.remarks.append(
                f"{self.engine.name} speaks no more than 30 dB below the loudest part: native=false does"
            )
        return None if share == 1 else str(round(2.5 + 97.5 * max(share, QUIETEST)))


# -- the program -------------------------------------------------------------------------------------------------------


def _program() -> str:
    found = shutil.which(PROGRAM)
    if found is None:
        raise GeneratorError(
            "espeak needs the program espeak-ng: apt install espeak-ng (Debian, Ubuntu), brew install espeak-ng (macOS)"
        )
    return found


def _run(command: Sequence[str], text: bytes, name: str) -> bytes:
    """What a command writes, of a bounded length in a bounded time."""
    limit = HEADER + LONGEST * 2 * 22050
    pipes: dict[str, Any] = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    # Even to write to a pipe it calls on the sound server first, which may be another machine: here it finds none.
    environment = os.environ | {"PULSE_SERVER": "unix:/dev/null"}
    # A file, not a pipe: a command line that lets "| head" end it would end as well where the program ends early.
    with tempfile.TemporaryFile() as source:
        source.write(text)
        source.seek(0)
        try:
            process = subprocess.Popen(command, stdin=source, **pipes, env=environment)
        except OSError as error:
            raise GeneratorError(f"{command[0]}: cannot be run: {error.strerror or error}") from None
    assert process.stdout and process.stderr
    late = threading.Event()

    def stop() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(TIMEOUT, stop)
    timer.start()
    try:
        content: bytes = process.stdout.read(limit + 1)
        if len(content) > limit:
            raise UsageError(f"{name}: the text takes longer than {LONGEST // 60} minutes to speak: part it")
        said = process.stderr.read(4096).decode(errors="replace")
        status = process.wait()
    finally:
        timer.cancel()
        process.kill()
        for stream in (process.stdout, process.stderr):
            with contextlib.suppress(OSError):
                stream.close()
        process.wait()
    if late.is_set():
        raise GeneratorError(f"{name}: espeak-ng did not end within {TIMEOUT:g} s")
    if status:
        raise GeneratorError(f"{name}: espeak-ng failed ({status}): {one_line(RuntimeError(printable(said)))}")
    return content


@cache
def _known(program: str) -> Known:
    version = re.search(r"(\d+\.\d[\w.-]*)", _run([program, "--version"], b"", "espeak").decode(errors="replace"))
    voices: dict[str, str] = {}
    languages: dict[str, str] = {}
    others: list[tuple[int, str, str]] = []
    for line in _listed(program, "--voices"):
        # Pty Language Age/Gender VoiceName File Other Languages
        language, name, file = line[1], line[3], line[4]
        languages.setdefault(language.lower(), language)
        for known in (language, name, file, file.rpartition("/")[2]):
            voices.setdefault(known.lower(), language)
        for other, priority in re.findall(r"\(([\w-]+) (\d+)\)", " ".join(line[5:])):
            others.append((int(priority), other.lower(), language))
    for _, other, language in sorted(others):
        languages.setdefault(other, language)
    variants = {line[4].rpartition("/")[2]: line[4].rpartition("/")[2] for line in _listed(program, "--voices=variant")}
    return Known(
        version[1] if version else "?", voices, languages, {key.lower(): name for key, name in variants.items()}
    )


def _listed(program: str, flag: str) -> list[list[str]]:
    lines = _run([program, flag], b"", "espeak").decode(errors="replace").splitlines()[1:]
    return [fields for fields in map(str.split, lines) if len(fields) >= 5]


def _voice(known: Known, name: str) -> str:
    """A voice as espeak-ng takes it, by its language, name or file, and perhaps a variant: "en-us+f3"."""
    base, plus, variant = name.strip().partition("+")
    found = known.voices.get(base.lower()) or known.languages.get(base.lower())
    if found is None:
        raise UsageError(f"espeak has no voice {_shown(base)}{_near(base, [*known.voices, *known.languages])}")
    if not plus:
        return found
    if variant.lower() not in known.variants:
        raise UsageError(f"espeak has no variant {_shown(variant)}{_near(variant, list(known.variants))}")
    return f"{found}+{known.variants[variant.lower()]}"


def _language(known: Known, tag: str) -> str:
    """The voice of a BCP 47 tag: of the whole, else of its beginning, else of another region's."""
    parts = tag.lower().replace("_", "-").split("-")
    for length in range(len(parts), 0, -1):
        short = "-".join(parts[:length])
        if short in known.languages:
            return known.languages[short]
    for language, voice in known.languages.items():
        if language.split("-")[0] == parts[0]:
            return voice
    raise UsageError(f"espeak does not speak {_shown(tag)}{_near(tag, list(known.languages))}")


def _near(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name.lower()[:40], names, n=4, cutoff=0.6)
    return f"; near are {', '.join(dict.fromkeys(near))}" if near else "; espeak-ng --voices lists what there is"


def _shown(text: str) -> str:
    text = printable(text)
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _harmless(text: str) -> str:
    """A text in which nothing is a command to espeak-ng.

    [[ ]] would hold phonemes and a control character an embedded command; blanks of other kinds are read aloud with the
    punctuation before them. Joiners, which Persian and Indic scripts need, stay.
    """
    kept = []
    for one in text.replace("[", "(").replace("]", ")"):
        category = unicodedata.category(one)
        if one in "\u200c\u200d":
            kept.append(one)
        elif category[0] == "Z" or category in ("Cc", "Cs"):
            kept.append(" ")
        elif category not in ("Cf", "Cn"):
            kept.append(one)
    return re.sub(" +", " ", "".join(kept)).strip(" ")
