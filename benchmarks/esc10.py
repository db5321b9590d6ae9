"""Text to audio on ESC-10: does a question find the recordings it is about?

    python benchmarks/esc10.py --data ../shared/data/esc10 --models ../shared/models
    python benchmarks/esc10.py --data ../shared/data/esc10 --encoder conse.toml

Prints the precision among the ten nearest recordings of one question for each class, and how often the nearest of the
ten class names is the right one for a recording (zero-shot accuracy), each beside what chance gives.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from embed import Encoder, Media, encode, load

# One for each class, written before any of them was tried.
QUERIES: Final = {
    "baby_cry": "a crying infant",
    "chainsaw": "someone cutting wood with a chainsaw",
    "clock_tick": "the ticking of an old clock",
    "dog_bark": "a dog barking",
    "fire_crackling": "a campfire crackling",
    "helicopter": "a helicopter flying overhead",
    "person_sneeze": "somebody sneezes",
    "rain": "heavy rain falling",
    "rooster": "a rooster crowing at dawn",
    "sea_waves": "ocean waves on the beach",
}
NEAREST: Final = 10


def precision_at(scores: npt.NDArray[np.float32], relevant: npt.NDArray[np.bool_], count: int) -> float:
    """The share of ``relevant`` items among the ``count`` with the highest scores."""
    return float(relevant[np.argsort(-scores, kind="stable")[:count]].mean())


def models_encoder(models: Path, folder: Path) -> Encoder:
    """The bridge of YAMNet and potion in ``models``, described by a TOML file in ``folder``."""
    description = folder / "conse.toml"
    description.write_text(
        'family = "conse"\n'
        f'text = "static:{(models / "potion-base-4m-int8").resolve()}"\n'
        f'audio = "tflite:{(models / "yamnet" / "yamnet.tflite").resolve()}"\n'
        "top = 10\n"
    )
    return load(description)


def main() -> None:
    """Read the command line and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with a folder of recordings for each class")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--encoder", help="an encoder of texts and audio: a TOML file or family:model")
    source.add_argument("--models", type=Path, help="a folder with yamnet/ and potion-base-4m-int8/")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        encoder = models_encoder(arguments.models, Path(folder)) if arguments.models else load(arguments.encoder)
    classes = sorted(QUERIES)
    files = [(path, name) for name in classes for path in sorted((arguments.data / name).glob("*.ogg"))]
    truth = np.array([classes.index(name) for _, name in files])
    if not len(files):
        parser.error(f"{arguments.data} holds no folder such as {classes[0]} with .ogg files")

    started = time.perf_counter()
    audio = encode(encoder, [Media.from_path(path) for path, _ in files])
    seconds = time.perf_counter() - started
    questions = encode(encoder, [Media.from_text(QUERIES[name]) for name in classes], query=True)
    names = encode(encoder, [Media.from_text(name.replace("_", " ")) for name in classes], query=True)

    print(f"{audio.space}\n{len(files)} recordings encoded in {seconds:.1f} s")
    precisions = []
    for index, (name, scores) in enumerate(zip(classes, questions @ audio, strict=True)):
        precisions.append(precision_at(scores, truth == index, NEAREST))
        print(f"  {precisions[-1]:.2f}  {name:15} {QUERIES[name]}")
    shares = np.bincount(truth, minlength=len(classes)) / len(truth)
    print(
        f"mean precision at {NEAREST}: {np.mean(precisions):.3f} ({len(classes)} queries, chance {shares.mean():.3f})"
    )
    found = (audio @ names).argmax(axis=1)
    print(f"zero-shot accuracy: {(found == truth).mean():.3f} (n = {len(truth)}, chance {shares.max():.3f} at most)")


if __name__ == "__main__":
    main()
