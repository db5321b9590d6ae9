"""Takes: one prompt made several times, each kept with a sidecar that says how, scored, and made once only.

A take is a file with a JSON sidecar of the same name. The media come first and the sidecar after them, each whole at
any instant, so that a run which is cut off keeps what is finished and goes on from there when it is asked for again.
Scores come last of all: a take whose judge fails is kept, its sidecar says what could not be scored, and the same run
asked for again scores it.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analogon.engines.generator import UNREAD, Generator, Settings, generate, unread_markup
from analogon.generate.judge import Judge, Judges
from analogon.prompts import Prompt
from analogon.voices import Voice, similarity
from embed.errors import AnalogonError, GeneratorError, MachineError, MediaError, UsageError, one_line
from embed.listener import Listener
from embed.media import Media, content_hash
from indexes.durable import write_atomically

if TYPE_CHECKING:
    from analogon.speech import Document

__all__ = ["Run", "Take", "provenance", "ranked"]

SUFFIX: Final = {"audio": ".wav", "image": ".png"}
LONGEST_NAME: Final = 48


@dataclass(frozen=True, slots=True)
class Take:
    """A finished take: its file, and what the sidecar says of it. ``new`` is false where it was there already."""

    path: Path
    record: Mapping[str, Any] = field(repr=False)
    new: bool = True

    @property
    def seed(self) -> int:
        return int(self.record["seed"])

    @property
    def seconds(self) -> float | None:
        """How long a recording is."""
        return self.record.get("seconds")

    def score(self, role: str) -> float | None:
        """What the judge in a role ("choose", "report") gave it, or its nearness to the "voice"; None without one."""
        found = self.record.get("voice") if role == "voice" else self.record["scores"].get(role)
        return None if found is None else float(found["score"])

    @property
    def media(self) -> Media:
        return Media.from_path(self.path)

    def to_json(self) -> dict[str, Any]:
        """The path, whether the take is new, and all that the sidecar holds."""
        return {"path": str(self.path), "new": self.new} | dict(self.record)


def ranked(takes: Sequence[Take]) -> list[Take]:
    """Takes, best first by the judge that chooses, or by the voice; those without a score come last, in their order."""
    role = "choose" if any(take.score("choose") is not None for take in takes) else "voice"
    scores = [take.score(role) for take in takes]
    order = sorted(range(len(takes)), key=lambda at: (scores[at] is None, -(scores[at] or 0.0)))
    return [takes[at] for at in order]


def provenance(take: Take) -> dict[str, Any]:
    """What a collection keeps of a take, as columns that filters can ask: where it comes from, and its scores."""
    record = take.record
    columns = {
        "prompt": record["prompt"]["text"],
        "generator": record["generator"]["name"],
        "seed": take.seed,
        "run": record["run"],
        "made": record["made"],
        "from": "; ".join(source["name"] for source in record["prompt"]["because"]),
    }
    for role, found in record["scores"].items():
        columns |= {f"{role}_score": found["score"], f"{role}_by": found["model"]}
    return {key: value for key, value in columns.items() if value != ""}


@dataclass(eq=False)
class Run:
    """``count`` takes of one prompt by one generator, with seeds from ``settings.seed`` on, in a folder.

    ``document`` is what is spoken, of a generator that speaks; without it the prompt's text is. Equal runs have equal
    ``id`` whatever their seeds and judges: takes that are in the folder are neither made nor scored again.
    """

    generator: Generator
    prompt: Prompt
    folder: Path
    settings: Settings = field(default_factory=Settings)
    count: int = 1
    judges: Judges = field(default_factory=Judges)
    document: Document | None = None
    remarks: list[str] = field(default_factory=list)
    """What could not be done as asked, each line once; it grows while takes are made."""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise UsageError(f"at least one take has to be made, not {self.count}")
        if not self.prompt.text.strip() and self.document is None and self.settings.guide is None:
            raise UsageError("the prompt is empty")
        if self.document is not None and not self.generator.speaks:
            raise UsageError(f"{self.generator.name} does not speak: SSML is for those that do, such as espeak")

    @cached_property
    def id(self) -> str:
        """Twelve hex digits of all that decides the takes but their seeds."""
        guide = self.settings.guide
        asked = {
            "prompt": self.prompt.text,
            "document": None if self.document is None else str(self.document),
            "generator": dict(self.generator.identity),
            # A guide is what is heard of it, wherever it lies.
            "settings": self._settings() | {"guide": None if guide is None else content_hash(guide)},
        }
        text = json.dumps(asked, sort_keys=True, ensure_ascii=False, default=str)
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()

    def path(self, seed: int) -> Path:
        """Where the take of a seed lies or would lie."""
        guide = self.settings.guide
        said = self.prompt.text if self.prompt.text.strip() or guide is None else Path(guide.name).stem
        words = re.findall(r"\w+", said.lower())
        name = ""
        for word in words:
            if len(name) + len(word) >= LONGEST_NAME:
                break
            name += f"{word}-"
        return self.folder / f"{name or 'take-'}{self.id[:6]}-{seed}{SUFFIX[self.generator.modality]}"

    def takes(self, listener: Listener | None = None) -> Iterator[Take]:
        """Each take as soon as it is on disk, in the order of seeds.

        Where a generator makes the same of every seed, one take is all. Raises ``AnalogonError`` where the first cannot
        be made, or any be written, and ``Cancelled`` where ``listener`` asks for that; of later ones that cannot be
        made, of scores that cannot be given, and of files that are not as they were made, a remark tells.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{self.folder}: cannot be a folder for takes: {error.strerror or error}") from None
        contents: set[str] = set()
        for seed in range(self.settings.seed, self.settings.seed + self.count):
            if listener is not None:
                listener.check()
            try:
                take = self._found(seed)
            except GeneratorError as error:
                self._say(str(error))
                continue
            try:
                take = take or self._made(seed, contents)
            except GeneratorError as error:
                if seed == self.settings.seed:
                    raise
                self._say(str(error))
                continue
            if take is None:
                return
            contents.add(str(take.record["content"]))
            yield self._scored(take)

    def _say(self, *lines: str) -> None:
        self.remarks += [line for line in dict.fromkeys(lines) if line not in self.remarks]

    def _settings(self) -> dict[str, Any]:
        """The settings but the seed, as JSON that equals itself when it is asked again."""
        settings, guide, voice = self.settings, self.settings.guide, self.settings.voice
        spoken: Any = voice
        if isinstance(voice, Voice):
            spoken = {
                "name": voice.name,
                "vectors": {
                    space.id: hashlib.blake2b(np.ascontiguousarray(row).tobytes(), digest_size=16).hexdigest()
                    for space, row in voice.vectors.items()
                },
            }
        return {
            "seconds": settings.seconds,
            "guide": None if guide is None else {"name": guide.name, "content": content_hash(guide)},
            "voice": spoken,
            "language": settings.language,
        }

    def _found(self, seed: int) -> Take | None:
        """The take of a seed that is there from before, with scores of today's judges."""
        path = self.path(seed)
        sidecar = path.with_suffix(".json")
        if not path.is_file() or not sidecar.is_file():
            return None
        try:
            record = json.loads(sidecar.read_text("utf-8"))
            known = record["run"] == self.id and record["seed"] == seed and "content" in record and "made" in record
            take = Take(path, record, new=False)
            provenance(take)
            ranked([take])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            known = False
        if not known:
            raise GeneratorError(f"{sidecar}: is no sidecar of this take; move it away or name another folder")
        if content_hash(Media.from_path(path)) != record["content"]:
            raise GeneratorError(f"{path}: was changed since it was made; it is left as it is, and not ranked")
        return take

    def _made(self, seed: int, contents: set[str]) -> Take | None:
        """A new take of a seed, without scores; None where it equals one that is there."""
        settings = replace(self.settings, seed=seed)
        timeline: list[dict[str, Any]] = []
        self.generator.spoke()  # what another take was spoken with is none of this one's
        if self.generator.speaks:
            from analogon.speech import from_text, speak

            spoken = speak(self.document or from_text(self.prompt.text), self.generator, settings)
            media, made_of = spoken.media, tuple[Mapping[str, Any], ...]()
            timeline = [cue.to_json() for cue in spoken.timeline]
            # Of the whole prompt once, not of each segment that is spoken.
            remarks = tuple(line for line in spoken.remarks if UNREAD not in line)
            remarks += () if self.document else tuple(unread_markup(self.generator, [self.prompt]))
        else:
            generated = generate(self.generator, self.prompt, settings)
            media, made_of = generated.media, generated.made_of
            remarks = generated.remarks
        self._say(*remarks)
        file = _encoded(media)
        content = content_hash(Media(media.modality, data=file))
        if content in contents:
            self._say(f"{self.generator.name} makes the same take whatever the seed: there is one")
            return None
        record: dict[str, Any] = {
            "run": self.id,
            "prompt": self.prompt.to_json(),
            "generator": {"name": self.generator.name, **self.generator.identity, **self.generator.spoke()},
            "seed": seed,
            "settings": self._settings(),
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "content": content,
            **_facts(media),
            "scores": {},
        }
        if self.document is not None:
            record["ssml"] = str(self.document)
        record |= {"timeline": timeline} if timeline else {}
        record |= {"made_of": [dict(part) for part in made_of]} if made_of else {}
        record |= {"remarks": list(dict.fromkeys(remarks))} if remarks else {}
        path = self.path(seed)
        _write(path, file)
        try:
            _write_sidecar(path.with_suffix(".json"), record)
        except AnalogonError:
            path.unlink(missing_ok=True)  # media that nothing is said of would be no take
            raise
        return Take(path, record)

    def _scored(self, take: Take) -> Take:
        """The take with scores of today's judges, and compared with the voice that was asked for, in its sidecar too.

        What has been scored already is not scored again. What cannot be stays out, and the sidecar says why.
        """
        record = {key: value for key, value in take.record.items() if key != "unscored"}
        scores, unscored = dict(record["scores"]), dict[str, str]()
        for role, judge in self._roles():
            known = scores.get(role, {})
            if (known.get("space"), known.get("asked")) == (judge.encoder.space.id, judge.query):
                continue
            scores.pop(role, None)  # another judge's, or for another question
            try:
                scores[role] = _judged(judge, take.media)
            except Exception as error:  # an encoder may be anybody's, and the take is worth more than its score
                unscored[role] = _reason(judge.model, error)
        record["scores"] = scores
        if isinstance(self.settings.voice, Voice) and "voice" not in record:
            try:
                near = similarity(
                    self.settings.voice,
                    take.media,
                    fed=self.generator.conditioning_space(self.settings.voice),
                    kept=self._kept,
                )
            except Exception as error:
                unscored["voice"] = _reason("", error)
            else:
                self._say(*near.remarks)
                if near.remarks:
                    record["remarks"] = list(dict.fromkeys([*record.get("remarks", ()), *near.remarks]))
                record["voice"] = near.to_json() | {"said": str(near)}
        if unscored:
            record["unscored"] = unscored
            self._say(*(f"takes are kept, and not scored: {reason}" for reason in unscored.values()))
        if record == take.record:
            return take
        _write_sidecar(take.path.with_suffix(".json"), record)
        return replace(take, record=record)

    @cached_property
    def _kept(self) -> list[Voice]:
        return Voice.listing()

    def _roles(self) -> list[tuple[str, Judge]]:
        judges = {"choose": self.judges.choose, "report": self.judges.report}
        return [(role, judge) for role, judge in judges.items() if judge is not None]


def _reason(model: str, error: Exception) -> str:
    """Why something could not be scored, in one line that names the model."""
    if isinstance(error, MachineError | MediaError):
        text = error.reason  # without the take's name: of many takes the line is the same
    else:
        text = str(error) if isinstance(error, AnalogonError) else one_line(error, named=True)
    return text if not model or model in text else f"{model}: {text}"


def _judged(judge: Judge, media: Media) -> dict[str, Any]:
    score = round(judge.score(media), 6)
    return {"model": judge.model, "space": judge.encoder.space.id, "asked": judge.query, "score": score}


def _facts(media: Media) -> dict[str, Any]:
    """What a sidecar says of a take's shape."""
    assert media.array is not None
    if media.modality == "image":
        return {"width": media.array.shape[1], "height": media.array.shape[0]}
    assert media.rate
    channels = 1 if media.array.ndim == 1 else media.array.shape[1]
    return {"seconds": round(len(media.array) / media.rate, 6), "rate": media.rate, "channels": channels}


def _encoded(media: Media) -> bytes:
    """A take as a file: 24-bit wav, which keeps all that a float in -1 to 1 is heard to hold, or png."""
    buffer = io.BytesIO()
    assert media.array is not None
    if media.modality == "image":
        from PIL import Image

        Image.fromarray(media.array).save(buffer, "PNG")
    else:
        import soundfile

        soundfile.write(buffer, media.array, media.rate, subtype="PCM_24", format="WAV")
    return buffer.getvalue()


def _write_sidecar(path: Path, record: Mapping[str, Any]) -> None:
    _write(path, (json.dumps(record, ensure_ascii=False, indent=2) + "\n").encode("utf-8", "replace"))


def _write(path: Path, content: bytes) -> None:
    try:
        write_atomically(path, content)
    except OSError as error:
        raise AnalogonError(
            f"{path}: cannot be written: {error.strerror or error}; takes before it are kept, and the same run goes on "
            "from there"
        ) from None
