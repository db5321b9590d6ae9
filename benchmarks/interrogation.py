"""Interrogation on ESC-10: is the class among the first three phrases that a recording's prompt is made of?

    OMP_NUM_THREADS=1 python benchmarks/interrogation.py --data ../shared/data/esc10 --models ../shared/models
    OMP_NUM_THREADS=1 python benchmarks/interrogation.py --data ../shared/data/esc10 --encoder starter

Two banks. (a) The ten class names among those of our own phrases that say nothing of any class: a phrase goes out where
one of its words begins with a stem of ``STEMS``. Each name is of the kind that its thing belongs to. A clip is hit
where its class's name is among the three. (b) Our own bank as it is, where a phrase hits that has a word of ``WORDS``;
the bank has none of a rooster, whose clips cannot be hit. Both lists were written before anything was measured.

Chance is exact: three different phrases drawn from the bank. The baselines are the three phrases of highest cosine,
without putting them together, and the three phrases that come most often, given for every clip. Clips of one source
are alike, which Wilson's 95 % interval does not know.

--models is ConSE over YAMNet, which learnt AudioSet's 521 classes, these ten among them, from other recordings, and
potion's text table. The starter has learnt from ESC-10's clips too: its figures say what it remembers.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from math import comb
from pathlib import Path
from typing import Final

import numpy as np
from esc10 import models_encoder

from analogon.phrases import kinds
from analogon.prompts.interrogation import Bank, interrogate
from analogon.vectors.measure import wilson
from embed import Media, encode, load
from embed.encoder import Encoder

FIRST: Final = 3
# Class: its plain name, and the kind of our phrases that its thing belongs to.
NAMES: Final = {
    "baby_cry": ("crying baby", "body"),
    "chainsaw": ("chainsaw", "tools"),
    "clock_tick": ("clock tick", "machines"),
    "dog_bark": ("dog bark", "animals"),
    "fire_crackling": ("crackling fire", "nature"),
    "helicopter": ("helicopter", "vehicles"),
    "person_sneeze": ("sneeze", "body"),
    "rain": ("rain", "nature"),
    "rooster": ("rooster", "animals"),
    "sea_waves": ("sea waves", "nature"),
}
# Beginnings of words that speak of a class, in any form, or of what sounds or is called like it.
STEMS: Final = (
    *("bab", "infant", "newborn", "toddler", "cry", "cries", "cried", "sob", "weep", "wail", "whin"),
    *("chainsaw", "saw", "lumber", "timber"),
    *("clock", "watch", "tick", "tock", "pendulum", "timer", "metronome"),
    *("dog", "pup", "hound", "canine", "bark", "yap", "woof", "growl"),
    *("fire", "campfire", "bonfire", "flame", "blaz", "burn", "crackl", "log", "candle", "stove"),
    *("helicopter", "chopper", "rotor", "hover"),
    *("sneez", "achoo", "sniff", "nose"),
    *("rain", "drizzl", "downpour", "shower", "storm", "thunder", "drip", "puddle"),
    *("rooster", "cock", "crow", "hen", "chick", "poultry", "farm", "barn"),
    *("sea", "ocean", "wave", "surf", "beach", "shore", "coast", "tide", "lapping", "harbour"),
)
WORDS: Final[Mapping[str, frozenset[str]]] = {
    "baby_cry": frozenset({"baby", "babies", "newborn", "infant", "toddler", "crying", "cries", "sobbing"}),
    "chainsaw": frozenset({"chainsaw", "chainsaws", "saw", "saws", "sawing"}),
    "clock_tick": frozenset({"clock", "clocks", "clockwork", "watch", "tick", "ticks", "ticking"}),
    "dog_bark": frozenset({"dog", "dogs", "puppy", "hound", "hounds", "bark", "barking", "yapping"}),
    "fire_crackling": frozenset({"campfire", "bonfire", "fireplace", "burning", "crackling"}),
    "helicopter": frozenset({"helicopter", "helicopters", "chopper", "rotor"}),
    "person_sneeze": frozenset({"sneeze", "sneezes", "sneezing"}),
    "rain": frozenset({"rain", "raining", "raindrops", "drizzle", "downpour"}),
    "rooster": frozenset({"rooster", "roosters", "cockerel", "crowing"}),
    "sea_waves": frozenset({"waves", "surf", "ocean", "beach"}),
}


def words(phrase: str) -> list[str]:
    """The words of a phrase, in small letters."""
    return re.findall(r"[a-z]+", phrase.lower())


def others() -> dict[str, list[str]]:
    """Our own phrases that say nothing of any class, by kind."""
    return {
        kind: [phrase for phrase in some if not any(word.startswith(STEMS) for word in words(phrase))]
        for kind, some in kinds("audio").items()
    }


def with_names() -> dict[str, list[str]]:
    """Bank (a): the ten names among the others."""
    found = others()
    for name, kind in NAMES.values():
        found[kind].append(name)
    return found


def main() -> None:
    """Read the command line and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with a folder of recordings for each class")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--encoder", help="an encoder of texts and audio: a TOML file or family:model")
    source.add_argument("--models", type=Path, help="a folder with yamnet/ and potion-base-4m-int8/")
    arguments = parser.parse_args()

    files = [path for name in sorted(NAMES) for path in sorted((arguments.data / name).glob("*.ogg"))]
    truth = [path.parent.name for path in files]
    with tempfile.TemporaryDirectory() as folder:
        encoder = load(models_encoder(arguments.models, Path(folder)) if arguments.models else arguments.encoder)
    print(f"{encoder.space}\n{len(files)} clips of {len(set(truth))} classes")
    clips = encode(encoder, [Media.from_path(path) for path in files]).array

    bank = Bank.of(encoder, with_names())
    right = {name: [phrase == plain for phrase in bank.phrases] for name, (plain, _) in NAMES.items()}
    print(f"\n(a) the class's name, {len(bank)} phrases: {len(bank) - len(NAMES)} others and the {len(NAMES)} names")
    measure(encoder, bank, clips, truth, right)

    bank = Bank.of(encoder, kinds("audio"))
    right = {name: [not some.isdisjoint(words(phrase)) for phrase in bank.phrases] for name, some in WORDS.items()}
    print(f"\n(b) a word of the class's list, our own {len(bank)} phrases")
    measure(encoder, bank, clips, truth, right)


def measure(
    encoder: Encoder, bank: Bank, clips: np.ndarray, truth: Sequence[str], right: Mapping[str, Sequence[bool]]
) -> None:
    """Interrogate every clip; print how often one of the first three phrases is right, beside what else would be."""
    place = {phrase: index for index, phrase in enumerate(bank.phrases)}
    greedy = [
        [place[one.phrase] for one in interrogate(encoder, clip, bank, limit=FIRST, min_gain=0.0).appended]
        for clip in clips
    ]
    nearest = [list(row[:FIRST]) for row in np.argsort(-(clips @ bank.rows.T), axis=1, kind="stable")]
    often = [index for index, _ in Counter(index for some in greedy for index in some).most_common(FIRST)]

    def hits(found: Sequence[Sequence[int]]) -> list[bool]:
        return [any(right[name][index] for index in some) for name, some in zip(truth, found, strict=True)]

    for label, found in {
        "interrogation, first three": greedy,
        "interrogation, first one": [some[:1] for some in greedy],
        "three of highest cosine": nearest,
        f"for all: {', '.join(bank.phrases[index] for index in often)}": [often] * len(clips),
    }.items():
        good = hits(found)
        interval = wilson(sum(good), len(good))
        print(f"  {np.mean(good):.3f} ({interval.low:.3f}-{interval.high:.3f})  {label}")
    n = len(bank)
    chance = {name: 1 - comb(n - sum(some), FIRST) / comb(n, FIRST) for name, some in right.items()}
    print(f"  {np.mean([chance[name] for name in truth]):.4f}  chance, three drawn")
    print(f"  {np.mean([len(some) for some in greedy]):.2f} phrases on average, of at most {FIRST}")
    good = hits(greedy)
    for name in sorted(right):
        own = [hit for hit, of in zip(good, truth, strict=True) if of == name]
        first = Counter(bank.phrases[some[0]] for some, of in zip(greedy, truth, strict=True) if of == name)
        most = ", ".join(f"{phrase} {count}" for phrase, count in first.most_common(2))
        print(f"    {name:15} {sum(own):2} of {len(own)}  ({sum(right[name])} phrases are right)  first: {most}")


if __name__ == "__main__":
    main()
