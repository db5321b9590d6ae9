"""From a man's voice to a woman's: one direction in speaker space, fitted on some synthetic voices, tried on others.

    python benchmarks/voice_direction.py --data ../shared/data --models ../shared/models

The voices are espeak-ng's (``apt install espeak-ng``): 20 languages and accents, each in 8 male and 8 female variants,
reading random numbers, which every language has words for. What asks and what is found never read the same numbers. A
voice asks with the direction added (a woman's with it subtracted), and the answer is right where the nearest voice is
of the same language or accent and of the other sex. The direction is fitted on half of the languages in half of the
variants, its strength is chosen there, and both are used in the other half of both: four times, so that every voice
asks once. Intervals: 95 %, languages and variants drawn anew.

"Cut at 0" sets what falls below 0 to 0, since no voice has a component there. "cosine x P(sex)" is LRCos with the known
voices of both sexes as its two classes. "Sex told" takes the nearest voice of the other sex: given what the
others have to find, it moves nothing. "Whispering and old voices" ask for the one voice of the same manner and
language.

``speaker`` (Resemblyzer's network) beside YAMNet's embedding, which was not trained to tell people apart.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from voices import Clips, speaker_vectors, yamnet_vectors

from analogon.transforms.relation import concentration, consistency
from analogon.vectors.geometry import direction, unit
from analogon.vectors.measure import bootstrap_crossed

LANGUAGES: Final = (
    *("en-gb", "en-us", "en-gb-scotland", "de", "fr-fr", "es", "it", "nl", "sv", "pl"),
    *("pt-br", "ru", "tr", "fi", "hu", "el", "cs", "ro", "hi", "id"),
)
MALE: Final = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8")
FEMALE: Final = ("f1", "f2", "f3", "f4", "f5", "Annie", "belinda", "linda")
MANNERS: Final = {"whisper": "whisperf", "grandpa": "grandma"}  # never used to fit
PLAIN: Final = np.arange(len(MALE) + len(FEMALE))
VARIANTS: Final = (*MALE, *FEMALE, *MANNERS, *MANNERS.values())
WOMEN: Final = np.array([name in FEMALE or name in MANNERS.values() for name in VARIANTS])
STRENGTHS: Final = (0.5, 1.0, 1.5, 2.0)
NUMBERS: Final = 3  # in one recording: some four seconds

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Voices:
    """What every voice said twice: rows ``(voices, dim)``, and the numbers of their languages and variants."""

    asked: Floats
    found: Floats
    language: Indices
    variant: Indices

    def __len__(self) -> int:
        return len(self.asked)

    @property
    def female(self) -> npt.NDArray[np.bool_]:
        return WOMEN[self.variant]

    def some(self, languages: Indices, variants: Indices) -> Voices:
        keep = np.isin(self.language, languages) & np.isin(self.variant, variants)
        return Voices(self.asked[keep], self.found[keep], self.language[keep], self.variant[keep])


@dataclass(frozen=True)
class Answers:
    """For each asking voice, whether the nearest voice is of the other sex, and of the same language or accent."""

    other_sex: npt.NDArray[np.bool_]
    same_style: npt.NDArray[np.bool_]

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        return self.other_sex & self.same_style


def speak(folder: Path, seed: int) -> list[Path]:
    """Two recordings of every voice: language by language, variant by variant, what asks before what is found."""
    random = np.random.default_rng(seed)
    files = []
    for language in LANGUAGES:
        for variant in VARIANTS:
            for take in ("asked", "found"):
                text = ", ".join(map(str, random.integers(10, 1000, NUMBERS)))
                files.append(folder / f"{language}_{variant}_{take}.wav")
                subprocess.run(["espeak-ng", "-v", f"{language}+{variant}", "-w", files[-1], text], check=True)
    return files


def paired(vectors: Floats) -> Voices:
    """The rows of ``speak``'s recordings as voices."""
    numbers = np.arange(len(vectors) // 2)
    return Voices(vectors[::2], vectors[1::2], numbers // len(VARIANTS), numbers % len(VARIANTS))


def offset(known: Voices) -> Floats:
    """The mean step from a man's voice to a woman's, over all pairs of one language or accent."""
    man, woman = np.nonzero((known.language[:, None] == known.language) & ~known.female[:, None] & known.female)
    return direction(known.asked[man], known.asked[woman])


def stepped(voices: Voices, step: Floats, strength: float) -> Floats:
    """The voices that ask, moved towards the other sex."""
    towards = np.where(voices.female, -strength, strength)[:, None]
    return unit(voices.asked + towards * step)


def scores(queries: Floats, voices: Voices) -> npt.NDArray[np.float64]:
    """Cosines of what asks with what can be found, ``(voices, voices)``."""
    cosines: npt.NDArray[np.float64] = (queries @ voices.found.T).astype(np.float64)
    return cosines


def answer(matrix: npt.NDArray[np.float64], voices: Voices, *, excluded: bool) -> Answers:
    """The best voice of each row; ``excluded`` leaves out the voice that asks."""
    best = (matrix - 1e9 * np.eye(len(voices)) if excluded else matrix).argmax(axis=1)
    return Answers(voices.female[best] != voices.female, voices.language[best] == voices.language)


def lrcos(known: Voices, voices: Voices) -> npt.NDArray[np.float64]:
    """cos(x, c) P(x is of the other sex), by a logistic regression on the known voices (Drozd et al. 2016)."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=1000).fit(known.asked, known.female)
    woman: npt.NDArray[np.float64] = model.predict_proba(voices.found)[:, 1]
    probability = np.where(voices.female[:, None], 1 - woman, woman)
    return scores(voices.asked, voices) * probability


def folds(voices: Voices, seed: int) -> Iterator[tuple[Voices, Voices]]:
    """Known and unknown voices, four times: no language and no variant is in both, and every voice is unknown once."""
    random = np.random.default_rng(seed)
    variants = np.unique(voices.variant)
    groups = np.unique(voices.language), variants[~WOMEN[variants]], variants[WOMEN[variants]]
    languages, men, women = (np.array_split(random.permutation(group), 2) for group in groups)
    for i in (0, 1):
        for j in (0, 1):
            known, unknown = (np.concatenate([men[k], women[k]]) for k in (1 - j, j))
            yield voices.some(languages[1 - i], known), voices.some(languages[i], unknown)


def best_strength(known: Voices, seed: int) -> float:
    """The strength with most right answers among known voices, which are parted again as all of them were."""
    right = dict.fromkeys(STRENGTHS, 0)
    for inner, outer in folds(known, seed):
        step = offset(inner)
        for strength in STRENGTHS:
            found = answer(scores(stepped(outer, step, strength), outer), outer, excluded=True)
            right[strength] += int(found.right.sum())
    return max(right, key=lambda strength: right[strength])


def anywhere(step: Floats, seed: int) -> Floats:
    """A step of the same length in a random direction."""
    drawn: Floats = unit(np.random.default_rng(seed).standard_normal(len(step))) * np.linalg.norm(step)
    return drawn


def ask(voices: Voices, seed: int) -> None:
    """Print how often each way of asking finds the same language or accent in the other sex."""
    ways: dict[str, list[tuple[Answers, Answers]]] = {}
    asking: list[Voices] = []
    chosen: list[float] = []
    for known, unknown in folds(voices, seed):
        step, strength = offset(known), best_strength(known, seed)
        asking.append(unknown)
        chosen.append(strength)
        nearest = scores(unknown.asked, unknown)
        moved = stepped(unknown, step, strength)
        tried = {
            "nearest voice": nearest,
            **{f"direction x {s:g}": scores(stepped(unknown, step, s), unknown) for s in STRENGTHS},
            "direction, chosen": scores(moved, unknown),
            "... cut at 0": scores(unit(np.maximum(moved, 0)), unknown),
            "random direction": scores(stepped(unknown, anywhere(step, seed), strength), unknown),
            "cosine x P(sex)": lrcos(known, unknown),
            "nearest, sex told": nearest - 10 * (unknown.female[:, None] == unknown.female),
        }
        for way, matrix in tried.items():
            both = answer(matrix, unknown, excluded=True), answer(matrix, unknown, excluded=False)
            ways.setdefault(way, []).append(both)
    languages = np.concatenate([part.language for part in asking])
    variants = np.concatenate([part.variant for part in asking])
    among = len(asking[0])
    rights: dict[str, npt.NDArray[np.bool_]] = {}
    print(f"n = {len(languages)}, each among {among}; strengths chosen: {', '.join(f'{s:g}' for s in chosen)}")
    print(f"{'':18} {'itself excluded':>19} {'other sex':>10} {'same style':>10} {'itself allowed':>20}")
    for way, parts in ways.items():
        rights[way] = right = np.concatenate([[one.right, other.right] for one, other in parts], axis=1).T
        other_sex = np.concatenate([one.other_sex for one, _ in parts]).mean()
        same_style = np.concatenate([one.same_style for one, _ in parts]).mean()
        intervals = bootstrap_crossed(right, languages, variants + len(LANGUAGES), seed=seed)
        excluded, allowed = (
            f"{share:.3f} ({interval.low:.3f}-{interval.high:.3f})"
            for share, interval in zip(right.mean(axis=0), intervals, strict=True)
        )
        print(f"{way:18} {excluded:>19} {other_sex:10.3f} {same_style:10.3f} {allowed:>20}")
    relevant = among / len(np.unique(asking[0].language)) / 2
    print(f"{'chance':18} {relevant / (among - 1):.3f} {'':35} {relevant / among:20.3f}")
    gain = rights["direction, chosen"].astype(np.float64) - rights["nearest voice"]
    interval, _ = bootstrap_crossed(gain, languages, variants + len(LANGUAGES), seed=seed)
    print(
        f"direction, chosen, less nearest voice: {gain[:, 0].mean():+.3f} ({interval.low:+.3f} to {interval.high:+.3f})"
    )


def manners(voices: Voices, plain: Voices, seed: int) -> None:
    """Print how often a whisper or an old voice finds its one counterpart: the same manner and language, other sex."""
    both_ways = MANNERS | {woman: man for man, woman in MANNERS.items()}
    counterpart = {VARIANTS.index(one): VARIANTS.index(other) for one, other in both_ways.items()}
    found: dict[str, list[bool]] = {"nearest voice": [], "direction, chosen": []}
    for known, unknown in folds(plain, seed):
        among = voices.some(unknown.language, np.concatenate([unknown.variant, list(counterpart)]))
        asking = np.flatnonzero(~np.isin(among.variant, PLAIN))
        right = np.array([counterpart[variant] for variant in among.variant[asking]])
        step, strength = offset(known), best_strength(known, seed)
        for way, s in (("nearest voice", 0.0), ("direction, chosen", strength)):
            matrix = scores(stepped(among, step, s), among) - 1e9 * np.eye(len(among))
            best = matrix.argmax(axis=1)[asking]
            same = among.language[best] == among.language[asking]
            found[way] += (same & (among.variant[best] == right)).tolist()
    told = ", ".join(f"{way} {np.mean(values):.3f}" for way, values in found.items())
    print(f"whispering and old voices, n = {len(right) * 4}, each one right among {len(among) - 1}: {told}")


def sexes(voices: Voices, seed: int) -> None:
    """Print how often the side of the direction's middle on which an unknown voice lies is that of its sex."""
    right, female, language, variant = [], [], [], []
    for known, unknown in folds(voices, seed):
        right.append((sides(known, offset(known), unknown.asked) > 0) == unknown.female)
        female.append(unknown.female)
        language.append(unknown.language)
        variant.append(unknown.variant + len(LANGUAGES))
    told, women = np.concatenate(right), np.concatenate(female)
    (within,) = bootstrap_crossed(told[:, None], np.concatenate(language), np.concatenate(variant), seed=seed)
    print(
        f"sex told by the direction's sign: {told.mean():.3f} ({within.low:.3f}-{within.high:.3f}; n = {len(told)}; "
        f"men {told[~women].mean():.3f}, women {told[women].mean():.3f}; chance 0.5)"
    )


def sides(known: Voices, step: Floats, rows: Floats) -> Floats:
    """Above 0 on the women's side of the middle between known men and women."""
    middle = (known.asked[known.female].mean(axis=0) + known.asked[~known.female].mean(axis=0)) / 2
    side: Floats = (rows - middle) @ step
    return side


def people(voices: Voices, vectors: Floats, clips: Clips) -> None:
    """Print the share of real men's recordings on the men's side of the direction that all voices give."""
    men = sides(voices, offset(voices), vectors) < 0
    shares = ", ".join(f"{who} {men[clips.speakers == who].mean():.2f}" for who in np.unique(clips.speakers))
    print(f"real speakers, all men, {len(men)} spoken digits: {men.mean():.3f} on the men's side ({shares})")


def main() -> None:
    """Read the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with fsdd/")
    parser.add_argument("--models", type=Path, required=True, help="a folder with yamnet/")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if shutil.which("espeak-ng") is None:
        sys.exit("espeak-ng is not installed: apt install espeak-ng")
    clips = Clips.read(arguments.data / "fsdd")
    yamnet = arguments.models / "yamnet" / "yamnet.tflite"
    encoders: dict[str, Callable[[list[Path]], Floats]] = {
        "speaker": speaker_vectors,
        "YAMNet": lambda files: yamnet_vectors(files, yamnet),
    }
    with tempfile.TemporaryDirectory() as folder:
        spoken = speak(Path(folder), arguments.seed)
        print(f"{len(LANGUAGES)} languages and accents x {len(PLAIN)} variants, seed {arguments.seed}")
        for name, encode in encoders.items():
            every = paired(encode(spoken))
            voices = every.some(np.arange(len(LANGUAGES)), PLAIN)
            men, women = voices.asked[~voices.female], voices.asked[voices.female]  # of one language, in one order
            print(
                f"\n{name}: mean cosine of two voices {float((voices.asked @ voices.found.T).mean()):.2f}; "
                f"OCS {concentration(men, women):.3f}, PCS {consistency(men, women):.3f}"
            )
            ask(voices, arguments.seed)
            manners(every, voices, arguments.seed)
            sexes(voices, arguments.seed)
            people(voices, encode(clips.files), clips)


if __name__ == "__main__":
    main()
