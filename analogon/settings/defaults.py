"""Which encoders a new collection gets where nobody names any: the large ones where they can be had, else the starter.

CLAP hears and CLIP sees better than the starter does, but each is a download of hundreds of megabytes. They are taken
where they lie in the hub's cache already, or where the hub answers soon; a machine that reaches no hub waits no longer
than ``DEADLINE``.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Thread
from typing import Final

from analogon.settings import config
from embed import hub
from embed.errors import ModelNotFound
from embed.media import Modality, modalities_of
from indexes.walk import foreign

__all__ = [
    "DEADLINE",
    "LARGE",
    "LOOKS_AT",
    "SMALL",
    "Candidate",
    "available",
    "choose_encoders",
    "kinds",
    "look",
    "usual",
]

LARGE: Final[Mapping[Modality, str]] = {"audio": "clap", "image": "clip"}
SMALL: Final = "starter"
LOOKS_AT: Final[Mapping[Modality, str]] = {"audio": "clap", "image": "clip", "video": "pe_av", "text": "sentence"}
"""The family to name where no encoder takes a modality."""
WORDS: Final[Mapping[Modality, str]] = {"audio": "sounds", "image": "pictures"}
DEADLINE: Final = 4.0
"""Seconds in which the hub has to say that it has the models."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A large model for a modality.

    It lies on disk where ``size`` is None and ``why`` is empty; else it is a download of ``size`` bytes, or cannot be
    had for the reason ``why``.
    """

    modality: Modality
    family: str
    model: str
    size: int | None = None
    why: str = ""

    @property
    def name(self) -> str:
        """What ``embed.load`` takes."""
        return f"{self.family}:{self.model}"


def kinds(paths: Sequence[str], only: Sequence[str] = ()) -> frozenset[Modality]:
    """Which of sounds and pictures lie below some paths, by their suffixes; nothing is read beyond what answers that.

    ``only`` are the modalities that are asked for; none means all.
    """
    wanted = frozenset(modality for modality in LARGE if not only or modality in only)
    found: frozenset[Modality] = frozenset()
    for name in _names(paths):
        if found == wanted:
            break
        found |= wanted & frozenset(modalities_of(name))
    return found


def _names(paths: Sequence[str]) -> Iterator[str]:
    for path in paths:
        if not os.path.isdir(os.path.expanduser(path)):
            yield path
        for _, folders, files in os.walk(os.path.expanduser(path)):
            folders[:] = [name for name in folders if not foreign(name)]
            yield from files


def usual(modality: Modality) -> Candidate:
    """The large model for sounds or pictures, whether it can be had or not."""
    family = LARGE[modality]
    return Candidate(modality, family, str(importlib.import_module(f"embed.encoders.{family}").DEFAULT_MODEL))


def available(modalities: Iterable[Modality]) -> list[str]:
    """The encoders that need no download, best first: those of the settings, large ones on disk, the small one."""
    large = [usual(modality) for modality in LARGE if modality in set(modalities)]
    return [*config.default_encoders(), *(one.name for one in large if hub.whole(one.model) is not None), SMALL]


def look(modalities: Sequence[Modality], *, deadline: float = DEADLINE) -> list[Candidate]:
    """The large model for each modality: on disk, or what the hub says of it within ``deadline`` seconds.

    The hub is asked for all of them at once, and not at all where ``HF_HUB_OFFLINE`` is set.
    """
    found: dict[Modality, Candidate] = {}
    for modality in modalities:
        found[modality] = usual(modality)
    absent = [candidate for candidate in found.values() if hub.whole(candidate.model) is None]
    if not absent:
        return list(found.values())
    from huggingface_hub.constants import HF_HUB_OFFLINE

    silent = "HF_HUB_OFFLINE forbids to ask the model hub" if HF_HUB_OFFLINE else "the model hub does not answer"
    for candidate in absent:
        found[candidate.modality] = replace(candidate, why=silent)
    if not HF_HUB_OFFLINE:
        end = time.monotonic() + deadline

        def ask(candidate: Candidate) -> None:
            found[candidate.modality] = _asked(candidate, deadline)

        # Daemons: a look-up of an address can hang for minutes, and nothing should wait for it.
        threads = [Thread(target=ask, args=(candidate,), daemon=True) for candidate in absent]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
    return list(found.values())


def _asked(candidate: Candidate, deadline: float) -> Candidate:
    """What the hub says of a model: how many bytes a download is, or that there is none."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import filter_repo_objects

    try:
        told = HfApi().model_info(candidate.model, files_metadata=True, timeout=deadline)
    except HfHubHTTPError as error:
        return replace(candidate, why=f"the model hub does not give {candidate.model} ({error.response.status_code})")
    except Exception:
        return replace(candidate, why="the model hub does not answer")
    sizes = {file.rfilename: file.size or 0 for file in told.siblings or []}
    patterns = list(hub.HUB_PATTERNS)
    if not any(name.endswith(".safetensors") for name in sizes):
        patterns.append("pytorch_model*.bin")
    wanted = filter_repo_objects(list(sizes), allow_patterns=patterns)
    return replace(candidate, size=sum(sizes[name] for name in wanted))


def choose_encoders(
    modalities: frozenset[Modality], say: Callable[[str], None], *, deadline: float = DEADLINE
) -> list[str]:
    """The names of the encoders for a new collection of some modalities; what has to come from the hub is fetched.

    ``say`` gets a line before each download, and one line with the choice and its reason.
    """
    if not modalities:
        say(f"taking {SMALL}, since there are neither sounds nor pictures (`encoders=sentence` reads better)")
        return [SMALL]
    had: dict[Modality, str] = {}
    reasons: list[str] = []
    for candidate in look([modality for modality in LARGE if modality in modalities], deadline=deadline):
        if candidate.size is not None:
            say(f"downloading {candidate.name}, {candidate.size / 1e6:,.0f} MB")
            try:
                hub.folder(candidate.model)
            except ModelNotFound:
                candidate = replace(candidate, why=f"{candidate.model} could not be downloaded")
        if candidate.why:
            reasons.append(candidate.why)
        else:
            had[candidate.modality] = candidate.name
    if not had:
        say(f"taking {SMALL}, since {reasons[0]} (CLAP and CLIP hear and see better: `encoders=clap`)")
        return [SMALL]
    told = [f"{name} for {WORDS[modality]}" for modality, name in had.items()]
    names = list(had.values())
    if "audio" in modalities - had.keys():
        told.append(f"{SMALL} for sounds, since {reasons[0]}")
        names.append(SMALL)
    if "image" in modalities - had.keys():
        told.append(f"pictures are found by name alone, since {reasons[0]}")
    say(f"taking {'; '.join(told)}")
    return names
