"""Making things: takes of prompts, chosen and scored, and put into a collection with where they come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from analogon.phrases.pieces import excerpt
from analogon.prompts import Prompt
from analogon.service.request import Request
from embed.errors import AnalogonError, Cancelled, GeneratorError, MediaError, UsageError
from indexes.build import Listener

if TYPE_CHECKING:
    from analogon.generate.takes import Take
    from analogon.search.library import Library
    from analogon.speech import Document

__all__ = ["Added", "Generate", "Takes", "Unfinished", "add_takes"]

OF_A_COLLECTION: Final = "mosaic"  # the family that makes things of a collection wherever none is named


@dataclass(frozen=True, slots=True)
class Added:
    """What became of takes that were put into a collection: how many are new there, were known, and had moved."""

    collection: str
    new: int
    known: int
    moved: int

    def to_json(self) -> dict[str, Any]:
        return {"collection": self.collection, "new": self.new, "known": self.known, "moved": self.moved}


@dataclass(frozen=True, slots=True)
class Takes:
    """The takes of each prompt that has any, best first: scores with different prompts do not compare.

    ``remarks`` hold a line for each thing that was not done as asked. ``added`` is None where nothing was to be put
    into a collection.
    """

    groups: tuple[tuple[Take, ...], ...]
    remarks: tuple[str, ...] = ()
    added: Added | None = None

    def __iter__(self) -> Iterator[Take]:
        return (take for group in self.groups for take in group)

    def __len__(self) -> int:
        return sum(map(len, self.groups))

    def to_json(self) -> dict[str, Any]:
        """Every take by its rank, prompt by prompt, as its sidecar has it."""
        return {
            "prompts": [
                [{"rank": rank} | take.to_json() for rank, take in enumerate(group, start=1)] for group in self.groups
            ],
            "remarks": list(self.remarks),
            "added": None if self.added is None else self.added.to_json(),
        }


class Unfinished(AnalogonError):
    """A run ended early, as its cause says; ``takes`` are finished, and the same request goes on after them."""

    def __init__(self, cause: AnalogonError, takes: Takes) -> None:
        super().__init__(str(cause))
        self.takes = takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Generate(Request):
    """Takes of prompts by a generator, each with its own seed, in a folder, scored, best first.

    ``generator`` is what ``analogon.generate.loading.load`` takes, ``settings`` are the family's own. ``prompts`` are
    texts, or prompts with the hits that they come from; none are needed beside a ``guide`` to go by, or an ``ssml``
    document to speak, in which slips are mended unless ``strict``. ``voice`` is a kept voice's name, or one of the
    generator's own. ``like`` is what takes are compared with instead of the prompt; ``choose`` and ``report`` name
    encoders. ``collection`` is what a generator makes things of, and where a query's items lie; ``add`` is the
    collection that takes are put into.
    """

    generator: str
    prompts: tuple[str | Prompt, ...] = ()
    collection: str | None = None
    takes: int = 1
    seed: int = 0
    seconds: float | None = None
    guide: Path | None = None
    voice: str | None = None
    language: str | None = None
    ssml: Path | None = None
    strict: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    choose: str | None = None
    report: str | None = None
    like: str | None = None
    out: Path = Path("takes")
    add: str | None = None

    def run(self, library: Library | None = None, listener: Listener | None = None) -> Takes:
        """Make the takes that are not in the folder yet. Nothing is made where any of the request is wrong.

        ``library`` is ``collection``, where a caller has it open. ``listener`` hears a phase "takes", an advance for
        each, and what could not be done as asked, once. Of several prompts one that nothing can be made of is told,
        and the others are made. What is finished stays whatever fails later.

        Raises ``UsageError``, ``GeneratorError``, ``EncoderError``, ``MediaError``, ``CollectionError``;
        ``Unfinished`` where takes are finished and the next cannot be written, or put into ``add``; and ``Cancelled``
        where the listener asks for that.
        """
        from analogon.engines.generator import Settings, unread_markup
        from analogon.generate.judge import Panel
        from analogon.generate.loading import shared
        from analogon.generate.takes import Run, ranked
        from analogon.settings import config

        told = _Told(listener or Listener())
        if self.add is not None and not self.add.strip():
            raise UsageError("`add` names a collection")
        prompts = self._asked()
        with ExitStack() as stack:
            if library is None and (self.collection is not None or self.generator.partition(":")[0] == OF_A_COLLECTION):
                library = stack.enter_context(
                    _open(config.default_collection() if self.collection is None else self.collection)
                )
            generator = shared(self.generator, library=library, **self.settings)
            settings = Settings(self.seed, self.seconds, _guide(self.guide), _voice(self.voice), self.language)
            document = _document(self.ssml, self.strict)
            panel = Panel(
                generator, library, like=self.like, choose=self.choose, report=self.report, remark=told.remark
            )
            runs = [Run(generator, one, self.out, settings, self.takes, document=document) for one in prompts]
            for run in runs:
                run.judges = panel.judges(run.prompt, settings)
            for stage in generator.stages:
                told.listener.remark(str(stage))
            if document is None:
                # One line for all prompts: what each of them would be told of is in it.
                told.remark(*unread_markup(generator, prompts))
                told.known(*(line for one in prompts for line in unread_markup(generator, [one])))
            told.listener.phase("takes", self.takes * len(prompts))
            groups: list[tuple[Take, ...]] = []
            failed: list[AnalogonError] = []
            for run in runs:
                found: list[Take] = []
                try:
                    for take in run.takes(told.listener):
                        found.append(take)
                        told.listener.advance()
                except (GeneratorError, UsageError, MediaError) as error:
                    failed.append(error)
                    if found or len(runs) > 1:
                        told.remark(f"{excerpt(run.prompt.text.strip())}: {error}")
                except Cancelled:
                    raise
                except AnalogonError as error:
                    groups += [tuple(ranked(found))] if found else []
                    if not groups:
                        raise
                    raise Unfinished(error, Takes(tuple(groups), tuple(told.lines))) from error
                told.remark(*run.judges.remarks, *run.remarks)
                groups += [tuple(ranked(found))] if found else []
        if failed and not groups:
            raise failed[0]
        takes = Takes(tuple(groups), tuple(told.lines))
        if self.add is None or not groups:
            return takes
        try:
            return replace(takes, added=add_takes(config.collection_path(self.add), tuple(takes), listener))
        except Cancelled:
            raise
        except AnalogonError as error:
            raise Unfinished(error, takes) from error

    def _asked(self) -> list[Prompt]:
        """The prompts; one for a document, and an empty one to go by a guide alone."""
        if self.ssml is not None:
            if self.prompts:
                raise UsageError("`ssml` says what to speak: no prompt beside it")
            return [Prompt(self.ssml.stem)]
        if not self.prompts and self.guide is None:
            raise UsageError("a prompt is needed")
        return [Prompt(one) if isinstance(one, str) else one for one in self.prompts] or [Prompt("")]


def add_takes(folder: Path, takes: Sequence[Take], listener: Listener | None = None) -> Added:
    """Put takes into the collection in a folder, in one indexing run, with where each comes from as columns of its own.

    A new collection gets the encoders that suit what the takes are; ``listener`` hears which. Raises what
    ``Library.index`` does.
    """
    from analogon.generate.takes import provenance
    from analogon.service.filling import encoders_for, to_fill

    files = [str(take.path.resolve()) for take in takes]
    columns = {file: provenance(take) for file, take in zip(files, takes, strict=True)}
    encoders = encoders_for(folder, files, say=(listener or Listener()).remark)
    with to_fill(folder) as library:
        report = library.index(*files, encoders=encoders, metadata=columns, listener=listener)
        return Added(library.collection.name, report.new, report.known, report.moved)


class _Told:
    """What was said to a listener: each line once."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.lines: list[str] = []
        self._known: set[str] = set()

    def remark(self, *lines: str) -> None:
        for line in lines:
            if line and line not in self._known:
                self._known.add(line)
                self.lines.append(line)
                self.listener.remark(line)

    def known(self, *lines: str) -> None:
        """Lines that need not be said any more."""
        self._known.update(lines)


def _open(collection: str) -> Library:
    from analogon.search.library import Library
    from analogon.settings import config

    return Library.open(config.collection_path(collection))


def _guide(path: Path | None) -> Any:
    from embed.media import Media, check_readable

    if path is None:
        return None
    check_readable(path)
    return Media.from_path(path, "audio")


def _voice(name: str | None) -> Any:
    """A kept voice of that name, else the name, which the generator may know."""
    from analogon.voices import SHELF, Voice

    return Voice.load(name) if name is not None and name in SHELF.names() else name


def _document(path: Path | None, strict: bool) -> Document | None:
    if path is None:
        return None
    from analogon.speech import read

    return read(path, strict=strict)
