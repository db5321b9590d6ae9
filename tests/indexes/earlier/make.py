"""Makes the collection of an earlier program that the tests open: run on the commit whose format it should have.

    python tests/indexes/earlier/make.py tests/indexes/earlier/catalog-3.tar.gz

What lies here was made by the last commit before the rooms of ``analogon`` (catalog version 3, manifest format 1), with
the words that its interface had. The archive holds ``collection/`` and ``answers.json``: what the program that made the
collection answered. The files that were indexed are not in it: they lay under
``/var/tmp/analogon-earlier``, and are gone.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
import tarfile
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

import analogon
from indexes.catalog import VERSION

SAMPLES = Path("/var/tmp/analogon-earlier")
QUERIES = (
    {"query": "rain", "by": "sound", "to": "audio"},
    {"query": "rain", "by": "sound", "to": "audio", "parts": True, "k": 20},
    {"query": "a wet street", "by": "sound", "to": "text"},
    {"query": "red square", "by": "name"},
    {"query": "rain", "by": "both", "where": "mood = 'dark'"},
    {"query": "2:rain - wind", "by": "sound", "to": "audio"},
)


def samples() -> None:
    """Sounds, pictures, a table of texts, a side table, a duplicate, and a file that cannot be read."""
    random = np.random.default_rng(11)
    (SAMPLES / "sounds").mkdir(parents=True)
    for number, name in enumerate(("to be removed", "rain on a roof", "wind in trees", "steps", "door")):
        sound = random.standard_normal(8000 * (number + 1)) * np.linspace(0.1, 0.02 * (number + 1), 8000 * (number + 1))
        soundfile.write(SAMPLES / "sounds" / f"{name}.wav", sound, 16000, subtype="PCM_16")
    shutil.copy(SAMPLES / "sounds" / "steps.wav", SAMPLES / "sounds" / "copy of steps.wav")
    for number, name in enumerate(("red square", "blue square")):
        Image.fromarray(random.integers(0, 255 - 99 * number, (16, 16, 3), np.uint8)).save(SAMPLES / f"{name}.png")
    (SAMPLES / "texts.csv").write_text("text,mood\nheavy rain,dark\na wet street,dark\nsun,bright\n")
    (SAMPLES / "about.csv").write_text("file,mood,bpm\nrain on a roof.wav,dark,90\nwind in trees.wav,bright,120.5\n")
    (SAMPLES / "broken.wav").write_bytes(b"RIFF")


def answers(library: analogon.Library) -> dict[str, object]:
    """What the program tells of the collection, and what it finds."""
    facts = {key: value for key, value in library.describe().to_json().items() if key not in ("path", "bytes", "name")}
    found = []
    for asked in QUERIES:
        options = dict(asked)
        hits = library.search(options.pop("query"), **options)
        found.append([[hit.path, round(hit.score, 6), list(hit.reasons), hit.metadata, hit.facts] for hit in hits])
    failures = [[failure.path, failure.reason] for failure in library.collection.catalog.failures()]
    return {"facts": facts, "queries": QUERIES, "hits": found, "failures": failures}


def main(target: str) -> None:
    shutil.rmtree(SAMPLES, ignore_errors=True)
    samples()
    folder = SAMPLES / "collection"
    with analogon.open(folder, create=True) as library:
        library.index(
            SAMPLES / "sounds",
            *sorted(SAMPLES.glob("*.png")),
            SAMPLES / "broken.wav",
            SAMPLES / "texts.csv",
            encoders=["toy:12"],
            metadata=SAMPLES / "about.csv",
            text_column="text",
        )
        library.remove(SAMPLES / "sounds" / "to be removed.wav")
        contents = {source.path: source.content for source in library.collection.catalog.sources_under(str(SAMPLES))}
        with library.collection.writing() as writer:
            writer.put_labels({contents[str(SAMPLES / "sounds" / "door.wav")]: {"tag": "knock", "sure": 0.75}})
    with analogon.open(folder) as library:
        told = json.dumps({"catalog": VERSION, **answers(library)}, indent=1, ensure_ascii=False).encode()
    with tarfile.open(target, "w:gz") as archive:
        archive.add(folder, "collection")
        entry = tarfile.TarInfo("answers.json")
        entry.size = len(told)
        archive.addfile(entry, io.BytesIO(told))
    shutil.rmtree(SAMPLES)


if __name__ == "__main__":
    main(*sys.argv[1:])
