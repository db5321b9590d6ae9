"""mosaic: new sound made of a collection's own recordings, cut into grains, chosen and joined. It needs no weights.

Corpus-based concatenative synthesis (Schwarz et al., "Real-time corpus-based concatenative synthesis with CataRT", DAFx
2006; Zils and Pachet, "Musical mosaicing", DAFx 2001). ``analogon.generate.corpus`` gathers the grains,
``analogon.generate.composing`` chooses among them, and ``analogon.generate.concatenative`` has the arrays' part of it.

- Without a guide the prompt is read as a search reads it, arithmetic, files and bridges included. The recordings that
  are nearest to it, windows of the collection, are cut where something begins in them and about every 0.3 s, and
  chained: the nearer a recording is, the likelier its grains are chosen, and the better two go together.
- A guide, a recording, is cut likewise, about every 0.1 s, and each of its grains is replaced by one of the
  collection that sounds like it; the take has its loudness, as long as ``envelope`` is on. Grains come from the
  recordings that are nearest to any window of the guide, so that a large collection need not be heard whole, and, where
  there is a prompt beside the guide, from those that are nearest to it: "metal hits", after a melody that was hummed.

What is made is mono, at 44,100 Hz unless ``rate`` says otherwise. The recordings that a prompt or a guide consists of
serve only where the collection has no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from analogon.engines.generator import Ability, Generator, Settings
from analogon.generate import corpus as corpora
from analogon.generate.composing import Grain, compose
from analogon.generate.corpus import Corpus, Tuning
from analogon.prompts import Prompt
from analogon.search.library import Library
from embed.errors import UsageError
from embed.media import Media, Modality
from indexes.faiss import fingerprint

__all__ = ["Grain", "MosaicGenerator", "Tuning", "load"]


class MosaicGenerator(Generator):
    """Makes sound of the recordings in ``library``. ``grains`` has what the last take was made of."""

    modality: Modality = "audio"
    abilities: frozenset[Ability] = frozenset({"seconds", "guide"})
    longest = corpora.LONGEST
    reads_queries = True

    def __init__(self, library: Library, tuning: Tuning) -> None:
        self.name = "mosaic"
        self.library = library
        self.tuning = tuning
        self.grains: tuple[Grain, ...] = ()
        self._corpus = Corpus(library, tuning)

    @property
    def identity(self) -> Mapping[str, Any]:
        collection = self.library.collection
        with collection.snapshot():
            sides = [(known.space.id, collection.vectors(known.space, "audio")) for known in collection.spaces]
        vectors = {space: fingerprint(rows) for space, rows in sides}
        return {"family": "mosaic", "collection": collection.name, "vectors": vectors, **asdict(self.tuning)}

    def made_of(self) -> Sequence[Mapping[str, Any]]:
        return [grain.to_json() for grain in self.grains]

    def remarks(self, prompt: Prompt, settings: Settings) -> Sequence[str]:
        said = list(self._corpus.pool(prompt.text, settings.guide).remarks)
        if settings.guide is not None:
            length = len(self._corpus.guide(settings.guide)) / self.tuning.rate
            if length >= corpora.LONGEST:
                said.append(f"only the first {corpora.LONGEST:g} s of the guide are followed")
            if settings.seconds is not None and settings.seconds > length:
                said.append(f"the guide lasts {length:.2f} s, and so does the take, not {settings.seconds:g} s")
        return said

    def make(self, prompt: Prompt, settings: Settings) -> Media:
        """Float32 ``(n,)``: ``seconds`` to the sample, or the guide's length if that is less.

        Raises ``UsageError`` where the collection cannot be asked, and ``GeneratorError`` where nothing of it sounds.
        """
        samples, self.grains = compose(self._corpus, prompt.text, settings.guide, settings.seconds, settings.seed)
        return Media("audio", array=samples, rate=self.tuning.rate)


def load(
    model: str = "",
    *,
    library: Library | None = None,
    grain: float | None = None,
    overlap: float = 0.25,
    candidates: int = 64,
    join: float = 1.0,
    variety: float = 1.0,
    temperature: float = 0.3,
    envelope: bool = True,
    where: str | None = None,
    rate: int = 44100,
) -> MosaicGenerator:
    """``mosaic``: of the recordings in ``library``, an open collection.

    ``grain`` is about how long grains are, in seconds: 0.3, or 0.1 with a guide. ``overlap`` is the share of a grain
    that it is faded in over. ``candidates`` are the windows of recordings that are chosen from; ``where`` filters them
    as it does a search. ``join`` is how much it counts that a grain goes on as the one before it would, and
    ``variety`` that grains and recordings are not used again and again. ``temperature`` is how far from the cheapest
    chain the seed may lead: with 0 all takes are the same. ``envelope``, with a guide, gives each grain the loudness of
    what it stands for. ``rate`` is the take's, in Hz.

    Raises ``UsageError`` without a collection and for a setting out of range, ``FilterError`` for ``where``.
    """
    if model:
        raise UsageError(f"mosaic has no models, so no {model!r}: `collection` names what it makes sounds of")
    if library is None:
        raise UsageError("mosaic makes sounds of a collection: name one with `collection`")
    if where is not None:
        library.collection.filter(where)
    return MosaicGenerator(
        library, Tuning(grain, overlap, candidates, join, variety, temperature, envelope, where, rate)
    )
