"""A collection knows the precision of its vectors, and mixes two only where real items agree."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import analogon
from analogon.evaluation.doctor import examine
from embed import Media
from embed.errors import UsageError
from embed.models import MODELS, shared
from tests.command_line import exit_code

# A toy of texts whose rows are turned by an angle in lower precision, of the cosine that its model names.
FAMILY = """
import math
from pathlib import Path

import numpy as np

from embed.encoders.toy import load as toy
from embed.tower import Running, Tower


def load(model="1", *, device="auto", precision="auto"):
    made = toy("8")
    made.modalities = frozenset({"text"})
    made.towers = {"text": Tower("text", dict, where=Path(), running=Running(device, precision), output="rows")}
    rows = made.encode_batch
    cosine = float(model)

    def turned(batch):
        given = rows(batch)
        if made.precision == "float32":
            return given
        given = given / np.linalg.norm(given, axis=1, keepdims=True)
        aside = np.roll(given, 1, axis=1)
        aside -= (aside * given).sum(1, keepdims=True) * given
        aside /= np.linalg.norm(aside, axis=1, keepdims=True)
        return cosine * given + math.sqrt(1 - cosine**2) * aside

    made.encode_batch = turned
    return made
"""


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "turned.py").write_text(FAMILY)
    monkeypatch.setenv("ANALOGON_ENCODERS", str(plugins))
    monkeypatch.delitem(sys.modules, "embed.encoders.turned", raising=False)
    monkeypatch.setenv("ANALOGON_HOME", str(tmp_path / "home"))
    folder = tmp_path / "texts"
    folder.mkdir()
    for word in ("rain", "dog", "siren", "harbour wind", "old bell"):
        (folder / f"{word}.txt").write_text(word)
    return folder


def table(model: str = "0.9995", **more: str) -> dict[str, Any]:
    return {"family": "turned", "model": model, **more}


def entry(library: Any) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((library.collection.path / "manifest.json").read_text())
    (found,) = manifest["spaces"]
    return dict(found)


def test_a_lower_precision_is_recorded_and_the_device_is_not(texts: Path) -> None:
    with analogon.open("low", create=True) as library:
        library.index(texts, encoders=table(precision="bfloat16", device="cpu"))
        assert entry(library)["encoder"] == table(precision="bfloat16")
        (known,) = library.collection.spaces
        assert library.collection.encoder(known).precision == "bfloat16"
        assert library.describe().spaces[0].precision == "bfloat16"
        (texts / "new.txt").write_text("sea")
        library.index(texts, encoders=table())  # which names none: that of the collection counts
        assert entry(library)["encoder"] == table(precision="bfloat16")
        assert "mixed" not in entry(library)
    with analogon.open("full", create=True) as library:
        library.index(texts, encoders=table(precision="auto"))
        assert entry(library)["encoder"] == table()


def test_what_is_usual_does_not_go_before_the_precision_of_a_collection(
    texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with analogon.open("full", create=True) as library:
        library.index(texts, encoders=table())
        monkeypatch.setenv("ANALOGON_PRECISION", "float16")
        (known,) = library.collection.spaces
        assert library.collection.encoder(known).precision == "float32"
        (texts / "new.txt").write_text("sea")
        library.index(texts)
        assert "mixed" not in entry(library)
    with analogon.open("other", create=True) as library:
        library.index(texts, encoders=table())
        assert entry(library)["encoder"] == table(precision="float16")


def test_precisions_that_agree_are_mixed_and_that_is_said(texts: Path) -> None:
    with analogon.open("both", create=True) as library:
        library.index(texts, encoders=table())
        before = rows(library)
        (texts / "new.txt").write_text("sea")
        library.index(texts, encoders=table(precision="bfloat16"))
        kept = entry(library)
        assert kept["encoder"] == table()
        assert list(kept["mixed"]) == ["bfloat16"]
        assert kept["mixed"]["bfloat16"] == pytest.approx(0.9995, abs=1e-6)
        assert library.describe().spaces[0].precision == "float32, bfloat16"
        after = rows(library)
        assert all(np.array_equal(after[path], row) for path, row in before.items())
        exact = shared(table()).encode_batch([Media.from_text("sea")])[0]
        new = next(row for path, row in after.items() if path.endswith("new.txt"))
        assert float(new @ exact / np.linalg.norm(exact)) == pytest.approx(0.9995, abs=1e-6)


def rows(library: Any) -> dict[str, Any]:
    (known,) = library.collection.spaces
    catalog = library.collection.catalog
    live = library.collection.live_rows(known.space, "text").tolist()
    items = catalog.items(list(catalog.items_of_rows(known.space.id, "text", live).values()))
    return {item.media.path: library.collection.vector(known.space, item.id) for item in items.values()}


def test_precisions_that_do_not_agree_are_refused_with_the_way_out(texts: Path) -> None:
    with analogon.open("both", create=True) as library:
        library.index(texts, encoders=table("0.998"))
        (texts / "new.txt").write_text("sea")
        with pytest.raises(UsageError) as caught:
            library.index(texts, encoders=table("0.998", precision="bfloat16"))
        assert re.fullmatch(
            r"both holds vectors of toy:8 in float32; those in bfloat16 have a cosine of 0\.99800 with them "
            r"\(.+\.txt\), less than 0\.999: take `precision=float32`, or index into a new collection",
            str(caught.value),
        )
        assert "mixed" not in entry(library)
        assert len(rows(library)) == 5, "nothing was added"
        for path in texts.iterdir():
            path.unlink()
        (texts / "new.txt").write_text("sea")
        with pytest.raises(UsageError, match="none of its files is there to compare them with float16"):
            library.index(texts, encoders=table("0.998", precision="float16"))


def test_doctor_measures_precisions_on_what_is_stored(texts: Path) -> None:
    with analogon.open("both", create=True) as library:
        library.index(texts, encoders=table("0.998"))

        def stored(**more: str) -> Any:
            checked = examine(shared(table("0.998", **more)), library=library, seconds=0.0)
            return next(check for check in checked.checks if check.name == "text stored")

        assert stored().ok is True
        low = stored(precision="bfloat16")
        assert low.ok is False
        assert low.value == pytest.approx(0.998, abs=1e-6)
        assert low.message.startswith("5 items in bfloat16 beside those stored in float32: lowest cosine 0.99800 (")
        assert low.message.endswith("; a collection may mix them from 0.999 on")


def test_the_command_line_runs_what_it_loads_as_it_was_told(
    texts: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(monkeypatch, "index", str(texts), "-e", "turned:0.9995", "--precision", "bfloat16") == 0
    assert exit_code(monkeypatch, "info") == 0
    assert ", vectors in bfloat16" in capsys.readouterr().out
    assert MODELS.asked == {}
    assert exit_code(monkeypatch, "search", "rain", "--device", "cpu") == 0
    assert "changes nothing" not in capsys.readouterr().err
    assert exit_code(monkeypatch, "doctor", "toy", "--device", "cpu") == 0
    assert "--device changes nothing here: no encoder" in capsys.readouterr().err
    assert exit_code(monkeypatch, "search", "rain", "--device", "tpu") == 2
    assert "--device can be auto, cpu, cuda, cuda:1, mps, xpu, not 'tpu'" in capsys.readouterr().err
    assert exit_code(monkeypatch, "search", "rain", "--precision", "int8") == 2
    assert "--precision can be auto, float32, bfloat16, float16, not 'int8'" in capsys.readouterr().err
    monkeypatch.setenv("ANALOGON_DEVICE", "tpu")
    assert exit_code(monkeypatch, "search", "rain") == 2
    assert "not 'tpu' (ANALOGON_DEVICE, ANALOGON_PRECISION, or " in capsys.readouterr().err
