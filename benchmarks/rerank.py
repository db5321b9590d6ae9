"""Do scores against hubs find more, what does variety cost, and can it be told that nothing fits?

    python benchmarks/hubness.py --data ../shared/data --models ../shared/models
    python benchmarks/hubness.py --data ../shared/data --models ../shared/models --doubt

Stamps: each description asks the pictures, and the sounds, that have it. ESC-10: the ten questions of ``esc10.py`` ask
240 recordings. Encoders: ConSE bridges of YAMNet and MobileNet over potion and over MiniLM, and the starter, which
takes no pictures. Background queries are ``analogon.phrases``, without those that are a question of the data set; the
settings are the papers'. How a recording ranks the class names (zero-shot) is not measured: NNN and CSLS move all of a
recording's scores alike there. Intervals: 95 %, bootstrap over queries; differences are paired, to cosines as they are.

``--doubt`` compares statistics of the best hit that could tell that it is wrong, or that a collection holds no answer
at all. ``ASKED_OF`` are questions about kinds of sounds among the recordings; what a kind's pattern finds in the
descriptions counts as an answer. Each is asked a second time with all its answers taken away. Each statistic's
threshold is chosen there, over potion, so that a tenth of the right hits is doubted; what ESC-10 and the stamps show is
how far it carries.
"""

from __future__ import annotations

import argparse
import csv
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from esc10 import QUERIES

import analogon
from analogon import phrases
from analogon.search import contents, hubness
from analogon.vectors.geometry import centre
from analogon.vectors.measure import bootstrap, ranks, retrieval, wilson
from embed import Media, encode
from embed.encoder import Encoder
from embed.media import Modality

SEED: Final = 0
NEAREST: Final = 10
VARIETY: Final = (1.0, 0.7)
POOL: Final = 100  # candidates that variety chooses among
ALARMS: Final = 0.1  # share of right hits that may be doubted where a threshold is chosen
RESAMPLES: Final = 1000
ENCODERS: Final = ("potion", "minilm", "starter")
# Patterns that find answers among the recordings' descriptions, rather too many than too few, and two questions each.
ASKED_OF: Final = {
    r"\bdog|puppy|bark|howl|wolf|coyote|growl|canine|dachshund|terrier": ("a dog barking", "dogs"),
    r"\bcat\b|\bcats\b|kitten|meow|purr": ("a cat meowing", "cat"),
    r"bird|gull|crow|cuckoo|chirp|parrot|owl|turkey|chick|rooster|duck|goose|geese|hen\b|finch|robin|jungle|forest": (
        "birds singing",
        "bird chirping",
    ),
    r"thunder|lightning|storm|rain": ("thunder", "a thunderstorm"),
    r"rain|drip|water|storm|thunder|shower|wet": ("rain falling", "heavy rain"),
    r"train|rail|subway|tram|locomotive": ("a train passing", "train"),
    r"\bcar\b|engine|truck|traffic|motor|vehicle|auto|drive": ("a car engine", "car driving by"),
    r"piano|grand": ("piano", "someone playing the piano"),
    r"guitar|string|bass|banjo|strum": ("guitar", "acoustic guitar"),
    r"violin|viola|cello|fiddle|string|bass": ("violin", "a violin melody"),
    r"flute|piccolo|recorder|whistle|pipe": ("flute", "a flute playing"),
    r"trumpet|trombone|horn|brass|tuba|bugle": ("trumpet", "brass instrument"),
    r"\bsax|clarinet|oboe|bassoon": ("saxophone", "saxophone solo"),
    r"drum|snare|kick|tom|cymbal|hat|perc|conga|bongo|beat": ("drums", "drum kit"),
    r"bell|chime|gong|ding|ring|alarm|notification": ("church bells", "a bell ringing"),
    r"clock|tick|timer|watch|metronome": ("a clock ticking", "clock"),
    r"foot|step|walk|heel|run|shoe|boot": ("footsteps", "someone walking"),
    r"laugh|giggle|chuckle": ("people laughing", "laughter"),
    r"door|gate|hinge|creak": ("a door closing", "door"),
    r"keyboard|typ(e|ing)|key\b|keys\b": ("typing on a keyboard", "computer keyboard"),
    r"wind\b|breeze|gust|blow": ("wind blowing", "strong wind"),
    r"helicopter|heli|plane|aircraft|jet|propeller|flight": ("a helicopter", "helicopter flying"),
    r"horse|gallop|hoof|neigh|whinny|pony": ("a horse neighing", "horse galloping"),
    r"\bcow|moo|cattle|bull": ("a cow mooing", "cow"),
    r"\bpig|oink|hog|boar": ("a pig", "pig oinking"),
    r"sheep|goat|bleat|lamb|baa": ("a sheep bleating", "sheep"),
    r"frog|toad|croak|ribbit": ("frogs croaking", "frog"),
    r"cricket|cicada|insect|\bbee|bees|fly\b|mosquito|bug|jungle": ("insects", "crickets chirping"),
    r"siren|alarm|police|ambulance": ("a siren", "police siren"),
    r"phone|ring|dial|notification": ("a telephone ringing", "telephone"),
    r"toilet|flush": ("a toilet flushing", "toilet"),
    r"crowd|people|party|chatter|restaurant|cafe|applause|audience|background noises": (
        "a crowd of people",
        "crowd talking",
    ),
    r"applause|clap": ("applause", "an audience clapping"),
    r"glass|bottle|window|shatter": ("breaking glass", "glass shattering"),
    r"fire|flame|burn|inflame|crackl": ("a crackling fire", "fire burning"),
    r"ocean|sea|wave|surf|beach|water": ("waves on the beach", "ocean waves"),
    r"gun|shot|explo|ricochet|cannon|blast|bang": ("a gunshot", "gunfire"),
    r"whale|dolphin": ("whale song", "a whale"),
    r"bat\b|bats\b|mouse|rat\b|squeak": ("mouse squeaking", "a mouse"),
    r"harmonica|accordion|organ|melodica": ("an organ", "harmonica"),
    r"harp|celesta|music box|glock|xylo|vibra|marimba|mallet": ("xylophone", "a harp"),
    r"voice|speech|speak|talk|man|woman|sing|song|vocal|say|word|count|choir|read|story": (
        "a man speaking",
        "woman singing",
    ),
    r"cough|sneeze|snor|breath|pant|sniff|burp|hiccup": ("someone coughing", "snoring"),
    r"zipper|zip\b": ("a zipper", "zip"),
    r"camera|shutter|photo": ("a camera shutter", "camera"),
    r"saw|drill|sand|grind|hammer|tool": ("a drill", "sawing wood"),
    r"vacuum|washer|washing|dryer|blender|microwave|machine|fan\b|copier|printer": (
        "a vacuum cleaner",
        "washing machine",
    ),
    r"lion|tiger|roar|monster|bear|growl|zombie|creature": ("a lion roaring", "lion"),
    r"elephant": ("an elephant", "elephant trumpeting"),
    r"monkey|ape|chimp|gorilla|jungle": ("a monkey", "monkeys"),
}

Rows = npt.NDArray[np.float32]
Figures = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """Queries and what is relevant to them, ``(queries, contents)``; content i's parts begin at row ``starts[i]``."""

    name: str
    model: str
    modality: Modality
    vectors: Rows
    starts: npt.NDArray[np.int64]
    texts: list[str]
    queries: Rows
    relevant: Mask
    bank: Rows
    left_out: int

    def of_contents(self, scores: Rows) -> Rows:
        """Each content's best part: ``(..., parts)`` to ``(..., contents)``."""
        found: Rows = np.maximum.reduceat(scores, self.starts, axis=-1)
        return found


def main() -> None:
    """Read the command line and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with stamps/, esc10/ and recordings/")
    parser.add_argument("--models", type=Path, required=True, help="yamnet/, mobilenet-v2/ and potion-base-4m-int8/")
    parser.add_argument("--keep", type=Path, help="a folder to keep the indexed collections in, and to find them again")
    parser.add_argument("--doubt", action="store_true", help="measure what tells that nothing fits")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(arguments.data.resolve(), arguments.models.resolve(), (arguments.keep or Path(name)).resolve())
        if arguments.doubt:
            doubt(bench)
        else:
            recall(bench)


@dataclass(frozen=True, slots=True)
class Bench:
    """Where data, models and collections lie."""

    data: Path
    models: Path
    folder: Path

    def table(self, encoder: str) -> dict[str, Any]:
        """An encoder as ``embed.load`` takes it."""
        if encoder == "starter":
            return {"family": "starter"}
        text = {"potion": f"static:{self.models / 'potion-base-4m-int8'}", "minilm": "sentence"}[encoder]
        image = next((self.models / "mobilenet-v2").glob("*.tflite"))
        audio = self.models / "yamnet" / "yamnet.tflite"
        return {"family": "conse", "text": text, "audio": f"tflite:{audio}", "image": f"tflite:{image}", "top": 10}

    def load(
        self, name: str, encoder: str, modality: Modality, ask: Callable[[Sequence[Path]], tuple[list[str], Mask]]
    ) -> Data:
        """Index a data set; ``ask`` says for its files what is asked and what is relevant."""
        with analogon.open(self.folder / f"{name}-{encoder}", create=True) as library:
            library.index(self.data / name, encoders=[self.table(encoder)], only=[modality])
            known = library.collection.spaces[0]
            loaded = library.collection.encoder(known)
            there = contents.read(library, known, modality)
            texts, relevant = ask([Path(item.media.path or "") for item in there.items])
            bank, left_out = background(loaded, modality, texts)
            return Data(
                f"{name}, text to {modality}",
                "starter" if encoder == "starter" else f"ConSE over {encoder}",
                modality,
                there.rows,
                there.starts,
                texts,
                vectors_of(loaded, texts),
                relevant,
                bank,
                left_out,
            )

    def stamps(self, encoder: str, modality: Modality) -> Data:
        """Descriptions and what has them: pictures, or sounds, each once though several pictures may share one."""
        with (self.data / "stamps" / "stamps.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        column = {"image": "image", "audio": "sound"}[modality]

        def ask(paths: Sequence[Path]) -> tuple[list[str], Mask]:
            number = {path.name: i for i, path in enumerate(paths)}
            described = [(row["text"], number[row[column]]) for row in rows if row[column] in number]
            texts = list(dict.fromkeys(text for text, _ in described))
            relevant = np.zeros((len(texts), len(paths)), np.bool_)
            for text, i in described:
                relevant[texts.index(text), i] = True
            return texts, relevant

        return self.load("stamps", encoder, modality, ask)

    def esc10(self, encoder: str) -> Data:
        """One question for each class, and its recordings."""

        def ask(paths: Sequence[Path]) -> tuple[list[str], Mask]:
            classes = np.array([path.parent.name for path in paths])
            return list(QUERIES.values()), np.stack([classes == name for name in QUERIES])

        return self.load("esc10", encoder, "audio", ask)

    def recordings(self, encoder: str) -> Data:
        """Questions about kinds of recordings, and those whose descriptions speak of that kind."""
        with (self.data / "recordings" / "recordings.csv").open(encoding="utf-8") as file:
            described = {Path(row["file"]).name: row["description"].lower() for row in csv.DictReader(file)}

        def ask(paths: Sequence[Path]) -> tuple[list[str], Mask]:
            of_paths = [described[path.name] for path in paths]
            asked = [(text, pattern) for pattern, texts in ASKED_OF.items() for text in texts]
            relevant = [[re.search(pattern, one) is not None for one in of_paths] for _, pattern in asked]
            return [text for text, _ in asked], np.array(relevant)

        return self.load("recordings", encoder, "audio", ask)


def plain(text: str) -> str:
    """A text as phrases and questions are compared."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def vectors_of(encoder: Encoder, texts: Sequence[str]) -> Rows:
    """Unit vectors of questions."""
    return encode(encoder, [Media.from_text(text) for text in texts], query=True).array


def background(encoder: Encoder, modality: Modality, texts: Sequence[str]) -> tuple[Rows, int]:
    """The bank's vectors without phrases that are asked, with or without an article, and how many those are."""

    def bare(text: str) -> str:
        return re.sub(r"^(an?|the) ", "", plain(text))

    asked = {bare(text) for text in texts}
    bank = [phrase for phrase in phrases.bank(modality) if bare(phrase) not in asked]
    assert not {plain(phrase) for phrase in bank} & {plain(text) for text in texts}
    return vectors_of(encoder, bank), len(phrases.bank(modality)) - len(bank)


# -- recall ------------------------------------------------------------------------------------------------------------


def scores_by(method: str, data: Data) -> Rows:
    """Scores of each question and content, ``(queries, contents)``, higher is better."""
    cosines = data.queries @ data.vectors.T
    s = data.bank @ data.vectors.T
    if method == "none":
        return data.of_contents(cosines)
    if method == "centre":
        return data.of_contents(centre(data.queries, data.bank.mean(axis=0)) @ centre(data.vectors).T)
    if method == "nnn":
        return data.of_contents(np.asarray(hubness.nnn(cosines, hubness.top_k_mean(s, hubness.NNN_NEAREST))))
    if method == "csls":
        return data.of_contents(np.asarray(hubness.csls(cosines, hubness.top_k_mean(s, hubness.CSLS_NEAREST))))
    hubs = np.isin(np.arange(s.shape[1]), s.argmax(axis=1))
    denominator = hubness.log_denominator(s)
    return data.of_contents(np.stack([hubness.qb_norm(row, denominator, hubs) for row in cosines]))


def per_query(scores: Rows, relevant: Mask) -> dict[str, Figures]:
    """Each question's figures."""
    found = ranks(scores, relevant)
    return {
        "hit@1": np.array([float(one[0] == 1) for one in found]),
        "hit@10": np.array([float(one[0] <= NEAREST) for one in found]),
        "precision@10": np.array([(one <= NEAREST).sum() / NEAREST for one in found]),
        "MRR": np.array([1 / one[0] for one in found]),
        "mAP": np.array([(np.arange(1, len(one) + 1) / one).mean() for one in found]),
    }


def recall(bench: Bench) -> None:
    """Every method on every data set, and what variety costs."""
    stamps, esc10 = ("hit@1", "hit@10", "MRR"), ("precision@10", "mAP")
    sets: list[tuple[Data, tuple[str, ...]]] = [
        (bench.stamps("potion", "image"), stamps),
        (bench.stamps("minilm", "image"), stamps),
        *((bench.stamps(encoder, "audio"), stamps) for encoder in ENCODERS),
        *((bench.esc10(encoder), esc10) for encoder in ENCODERS),
    ]
    for data, figures in sets:
        methods(data, figures)
    print(f"\nVariety: MMR's first {NEAREST} among {POOL}")
    for data, figures in sets:
        variety(data, "hit@10" if "hit@10" in figures else "precision@10")


def methods(data: Data, figures: Sequence[str]) -> None:
    """A table: methods by figures, each with its interval, and the last one's difference to cosines."""
    count = data.relevant.sum(axis=1)
    print(
        f"\n{data.name}, {data.model}: {len(data.texts)} queries, {data.relevant.shape[1]} items, {count.mean():.1f} "
        f"relevant; {len(data.bank)} background queries ({data.left_out} left out: they are asked)"
    )
    plainly = per_query(scores_by("none", data), data.relevant)
    print("  " + f"{'':9}" + "".join(f"{name:23}" for name in figures) + f"difference in {figures[-1]}")
    for method in hubness.METHODS:
        found = per_query(scores_by(method, data), data.relevant)
        cells = [f"{found[name].mean():.3f} {span(found[name])}" for name in figures]
        last = figures[-1]
        change = found[last] - plainly[last]
        cells.append("" if method == "none" else f"{change.mean():+.3f} {span(change)}")
        print("  " + f"{method:9}" + "".join(f"{cell:23}" for cell in cells).rstrip())
    by_chance = retrieval(scores_by("none", data), data.relevant)
    expected = {
        "hit@1": by_chance.hit[1].chance,
        "hit@10": by_chance.hit[10].chance,
        "precision@10": float(data.relevant.mean()),
        "MRR": by_chance.mrr.chance,
        "mAP": by_chance.map.chance,
    }
    print("  " + f"{'chance':9}" + "".join(f"{expected[name]:<23.3f}" for name in figures).rstrip())


def span(values: Figures) -> str:
    """The interval of a mean."""
    interval = bootstrap(values, seed=SEED)
    return f"({interval.low:.3f}, {interval.high:.3f})"


def variety(data: Data, figure: str) -> None:
    """How alike the first hits are, and what is found, with and without MMR."""
    scores = scores_by("none", data)
    vectors = data.vectors[data.starts]
    cells, before = [], None
    for trade in VARIETY:
        alike, right = [], []
        for row, relevant in zip(scores, data.relevant, strict=True):
            pool = np.argsort(-row, kind="stable")[:POOL]
            chosen = pool[hubness.mmr(hubness.relative_to_best(row[pool]), vectors[pool], NEAREST, trade)]
            cosines = vectors[chosen] @ vectors[chosen].T
            alike.append(cosines[np.triu_indices(len(chosen), 1)].mean())
            right.append(float(relevant[chosen].any()) if figure == "hit@10" else relevant[chosen].mean())
        cells.append(f"lambda {trade:g}: cosine {np.mean(alike):.3f}, {figure} {np.mean(right):.3f}")
        change = np.array(right) - (right if before is None else before)
        before = before or right
    print(f"  {data.name + ', ' + data.model:42}{'; '.join(cells)} (difference {change.mean():+.3f} {span(change)})")


# -- doubt -------------------------------------------------------------------------------------------------------------


def statistics(query: Rows, vectors: Rows, bank: Rows, s: Rows) -> dict[str, float]:
    """What could tell whether the best hit is a good one, higher is better; ``s`` is ``bank @ vectors.T``."""
    cosines = vectors @ query
    best = int(cosines.argmax())
    own, top = s[:, best], s.max(axis=1)
    return {
        "cosine": float(cosines[best]),
        "percentile on its item": 100 * float((own < cosines[best]).mean()),
        "percentile among best": 100 * float((top < cosines[best]).mean()),
        "deviations over items": float((cosines[best] - cosines.mean()) / cosines.std()),
        "deviations on its item": float((cosines[best] - own.mean()) / own.std()),
    }


def asked_twice(data: Data) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    """Statistics of each question where its answers are there, and where they are taken away."""
    s = data.bank @ data.vectors.T
    there, gone = [], []
    content = np.repeat(np.arange(len(data.starts)), np.diff(np.append(data.starts, len(data.vectors))))
    for query, relevant in zip(data.queries, data.relevant, strict=True):
        left = ~relevant[content]
        there.append(statistics(query, data.vectors, data.bank, s))
        gone.append(statistics(query, data.vectors[left], data.bank, s[:, left]))
    return there, gone


def auc_cell(good: Figures, bad: Figures, *, paired: bool) -> str:
    """The AUC and its interval: bootstrap over questions, of pairs with both of their askings."""
    if not len(good) or not len(bad):
        return "none to compare"
    random = np.random.default_rng(SEED)
    wins = (good[:, None] > bad) + (good[:, None] == bad) / 2
    found = []
    for _ in range(RESAMPLES):
        some = random.integers(len(good), size=len(good))
        others = some if paired else random.integers(len(bad), size=len(bad))
        found.append(wins[np.ix_(some, others)].mean())
    low, high = np.quantile(found, [0.025, 0.975])
    return f"{wins.mean():.3f} ({low:.3f}, {high:.3f})"


def columns(rows: Sequence[Mapping[str, float]]) -> dict[str, Figures]:
    """Statistics by name."""
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def doubt(bench: Bench) -> None:
    """AUC of each statistic, and alarms and misses of the threshold chosen on recordings over potion."""
    chosen: dict[str, float] = {}
    sets = [partial(bench.recordings, "potion"), partial(bench.recordings, "minilm")]
    sets += [partial(bench.esc10, encoder) for encoder in ENCODERS]
    sets += [partial(bench.stamps, encoder, "audio") for encoder in ENCODERS]
    sets += [partial(bench.stamps, encoder, "image") for encoder in ("potion", "minilm")]
    for make in sets:
        data = make()
        there, gone = map(columns, asked_twice(data))
        best = scores_by("none", data).argmax(axis=1)
        right = data.relevant[np.arange(len(best)), best]
        if not chosen:
            chosen = {name: float(np.quantile(values[right], ALARMS)) for name, values in there.items()}
        print(
            f"\n{data.name}, {data.model}: {len(data.texts)} questions, the best hit of {int(right.sum())} is right; "
            f"{len(data.bank)} background queries\n"
            f"  {'':25}{'AUC, right or wrong hit':25}{'AUC, answers or none':25}{'doubted below':15}"
            f"{'of right hits':19}{'of wrong hits':19}without answers"
        )
        for name, values in there.items():
            groups = (values[right], values[~right], gone[name])
            print(
                f"  {name:25}{auc_cell(*groups[:2], paired=False):25}{auc_cell(values, gone[name], paired=True):25}"
                f"{chosen[name]:<15.3f}" + "".join(f"{share(some < chosen[name]):19}" for some in groups).rstrip()
            )


def share(true: Mask) -> str:
    """A share and its interval."""
    if not len(true):
        return "none"
    interval = wilson(int(true.sum()), len(true))
    return f"{true.mean():.2f} ({interval.low:.2f}, {interval.high:.2f})"


if __name__ == "__main__":
    main()
