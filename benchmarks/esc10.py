"""Text to audio on ESC-10: does a question find the recordings it is about?

    python benchmarks/esc10.py --data ../shared/data/esc10 --models ../shared/models
    python benchmarks/esc10.py --data ../shared/data/esc10 --encoder conse.toml

Prints the precision among the ten nearest recordings of one question for each class, and how often the nearest of the
ten class names is the right one for a recording (zero-shot accuracy), each beside what chance gives.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Final

import numpy as np

import analogon
from embed import Media, encode

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


def models_encoder(models: Path, folder: Path) -> Path:
    """The bridge of YAMNet and potion in ``models``, described by a TOML file in ``folder``."""
    description = folder / "conse.toml"
    description.write_text(
        'family = "conse"\n'
        f'text = "static:{(models / "potion-base-4m-int8").resolve()}"\n'
        f'audio = "tflite:{(models / "yamnet" / "yamnet.tflite").resolve()}"\n'
        "top = 10\n"
    )
    return description


def main() -> None:
    """Read the command line and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with a folder of recordings for each class")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--encoder", help="an encoder of texts and audio: a TOML file or family:model")
    source.add_argument("--models", type=Path, help="a folder with yamnet/ and potion-base-4m-int8/")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        encoder = models_encoder(arguments.models, folder) if arguments.models else arguments.encoder
        with analogon.open(folder / "collection", create=True) as library:
            measure(library, arguments.data, encoder)


def measure(library: analogon.Library, data: Path, encoder: str | Path) -> None:
    """Index the recordings, ask the questions, print the figures."""
    report = library.index(data, encoders=[encoder], only=["audio"])
    known = library.collection.spaces[0]
    print(f"{known.space}\n{report.encoded} recordings indexed in {report.seconds:.1f} s")
    classes = sorted(QUERIES)
    truth = [Path(item.media.path or "").parent.name for item in library.collection.catalog.all_items()]
    precisions = []
    for name in classes:
        hits = library.search(QUERIES[name], to="audio", k=NEAREST, by="content")  # folders name classes
        precisions.append(sum(Path(hit.path).parent.name == name for hit in hits) / NEAREST)
        print(f"  {precisions[-1]:.2f}  {name:15} {QUERIES[name]}")
    shares = [truth.count(name) / len(truth) for name in classes]
    print(
        f"mean precision at {NEAREST}: {np.mean(precisions):.3f} "
        f"({len(classes)} queries, {len(truth)} recordings, chance {np.mean(shares):.3f})"
    )
    names = [Media.from_text(name.replace("_", " ")) for name in classes]
    texts = encode(library.collection.encoder(known), names, query=True).array
    audio = np.stack([library.collection.vector(known.space, i.id) for i in library.collection.catalog.all_items()])
    found = [classes[best] for best in (audio @ texts.T).argmax(axis=1)]
    right = float(np.mean([a == b for a, b in zip(found, truth, strict=True)]))
    print(f"zero-shot accuracy: {right:.3f} (n = {len(truth)}, chance {max(shares):.3f} at most)")


if __name__ == "__main__":
    main()
