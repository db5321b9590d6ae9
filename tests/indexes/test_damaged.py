"""A folder of 300 damaged files: no crash, no hang, each named with its reason, and the good ones are all there."""

from __future__ import annotations

import json
import os
from pathlib import Path

from embed import load
from indexes.build import Plan, build
from indexes.collection import Collection
from tests import damaged, sounds


def test_300_damaged_files_are_each_named_with_a_reason(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    kinds = damaged.build(folder, count=300, seed=1)
    folders = [path for path, kind in kinds.items() if kind == "a folder"]  # one that a run walks, whatever its name
    good = [sounds.write(folder / f"good {number}.wav", number) for number in range(10)]
    vanishing = [sounds.write(folder / f"vanishing {number}.wav", 100 + number) for number in range(5)]

    class Vanishing(type(load("toy:16"))):  # type: ignore[misc]
        """Deletes files between the scan and the moment at which they would be decoded."""

        def prepare(self, media):  # type: ignore[no-untyped-def]
            for path in vanishing:
                path.unlink(missing_ok=True)
            return media

    encoder = load("toy:16")
    encoder.__class__ = Vanishing
    encoder.batch_size = 1
    with Collection.create(tmp_path / "collection") as collection:
        report = build(collection, [(encoder, {"family": "toy", "model": "16"})], Plan((str(folder),)))
        named = {failure.path: failure.reason for failure in report.failures}
        assert len(kinds) == 300 and len(folders) == 3 and not set(folders) & set(named)
        kinds = {path: kind for path, kind in kinds.items() if path not in folders}
        missed = sorted(
            (str(kind), os.path.relpath(path, folder)) for path, kind in kinds.items() if str(path) not in named
        )
        assert not missed, json.dumps(missed, indent=1)
        assert all(reason and "\n" not in reason and "Traceback" not in reason for reason in named.values())
        assert not set(map(str, good)) & set(named)
        for path in good:
            source = collection.catalog.source(str(path))
            assert source is not None
            assert collection.catalog.query("SELECT count(*) FROM item WHERE content = ?", [source.content])[0][0] == 1
        stored = {failure.path for failure in collection.catalog.failures()}
        assert {str(path) for path in kinds} <= stored
