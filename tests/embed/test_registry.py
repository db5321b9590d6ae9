"""Families of anybody's: what fails in their own code is told by their name."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from embed import Media, encode, load
from embed.errors import AnalogonError, EncoderError

SHAKY = """
import numpy as np
from embed import Encoder, Space

class Shaky(Encoder):
    modalities = frozenset({{"text"}})
    space = Space("shaky", "none", "x", 4)

    def encode_batch(self, batch):
        if batch[0].text == "bad":
            {fails}
        return np.ones((len(batch), 4))

def load(model="x"):
    {loads}
    return Shaky()
"""


def family(
    monkeypatch: pytest.MonkeyPatch, folder: Path, first: str = "", *, loads: str = "pass", fails: str = "pass"
) -> str:
    (folder / "shaky.py").write_text(first + SHAKY.format(loads=loads, fails=fails))
    monkeypatch.setenv("ANALOGON_ENCODERS", os.fspath(folder))
    monkeypatch.delitem(sys.modules, "embed.encoders.shaky", raising=False)
    return "shaky"


@pytest.mark.parametrize(
    ("first", "loads", "said"),
    [
        ("import nothere_at_all\n", "pass", "shaky cannot be imported: ModuleNotFoundError: No module named"),
        ("x = (\n", "pass", "shaky cannot be imported: SyntaxError"),
        ("", "raise RuntimeError('boom\\nagain')", "shaky cannot be loaded: RuntimeError: boom again"),
        ("", "import nothere_at_all", "shaky cannot be loaded: ModuleNotFoundError"),
    ],
)
def test_a_family_that_cannot_be_loaded_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, first: str, loads: str, said: str
) -> None:
    with pytest.raises(EncoderError) as raised:
        load(family(monkeypatch, tmp_path, first, loads=loads))
    assert str(raised.value).startswith(said)


@pytest.mark.parametrize("fails", ["raise SystemExit(5)", "raise GeneratorExit"])
def test_an_encoder_ends_no_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fails: str) -> None:
    encoder = load(family(monkeypatch, tmp_path, fails=fails))
    with pytest.raises(AnalogonError, match="SystemExit 5|GeneratorExit"):
        encode(encoder, [Media.from_text("bad")])
    assert np.array_equal(encode(encoder, [Media.from_text("good")]).array, np.full((1, 4), 0.5, np.float32))


def test_what_is_no_number_is_no_vector(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    encoder = load(family(monkeypatch, tmp_path, fails="return [[object()] * 4] * len(batch)"))
    with pytest.raises(EncoderError, match="shaky gave object for text; vectors are of numbers"):
        encode(encoder, [Media.from_text("bad")])
