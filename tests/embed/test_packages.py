"""Families of installed packages, by their entry points; packages as an installer lays them down, in folders here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from analogon.generate import loading
from embed import Media, encode, load
from embed.encoder import REGISTRY, families
from embed.errors import EncoderError, UnknownEncoder
from embed.registry import BUILT_IN
from tests.command_line import exit_code

ENCODER = """
import numpy as np
from embed import Encoder, Space

class Length(Encoder):
    modalities = frozenset({"text"})

    def __init__(self, model):
        self.space = Space(f"length:{model}", "none", "letters and words", 2)

    def encode_batch(self, batch):
        return np.array([[len(media.text), len(media.text.split())] for media in batch], dtype=float)

DEFAULT_MODEL = "letters"

def load(model):
    return Length(model)
"""
GENERATOR = (Path(__file__).parents[1] / "plugins" / "noise.py").read_text("utf-8")
Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Lay a package down in a folder of its own, which is put last on ``sys.path``, as ``pip install`` would."""

    def lay(name: str, entry_points: str | bytes, version: str = "1.0", **modules: str) -> Path:
        folder = tmp_path / f"{name}-{version}"
        information = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        information.mkdir(parents=True)
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        written = entry_points if isinstance(entry_points, bytes) else entry_points.encode()
        (information / "entry_points.txt").write_bytes(written)
        for module, code in modules.items():
            (folder / f"{module}.py").write_text(code)
            monkeypatch.delitem(sys.modules, module, raising=False)
        monkeypatch.syspath_prepend(folder)
        sys.path.remove(str(folder))
        sys.path.append(str(folder))
        return folder

    return lay


def origins(name: str) -> list[tuple[str, str]]:
    return [(one.origin, one.unused) for one in REGISTRY.found() if one.name == name]


def test_a_package_brings_a_family(install: Install) -> None:
    install("analogon-length", "[analogon.encoders]\nlength = length_of_texts\n", length_of_texts=ENCODER)
    assert "length" in families() and origins("length") == [("analogon-length 1.0", "")]
    assert "length_of_texts" not in sys.modules, "a listing imports nothing"
    encoder = load("length")
    assert encoder.space.model == "length:letters"
    found = encode(encoder, [Media.from_text("two dogs"), Media.from_text("rain")]).array
    assert found == pytest.approx(np.array([[8, 2], [4, 1]]) / np.sqrt([[68], [17]]), abs=1e-6)
    with pytest.raises(EncoderError, match="length has no setting 'top'; it has: model"):
        load({"family": "length", "top": 3})
    assert "length" not in loading.families(), "it is no generator"


def test_a_package_brings_a_generator(install: Install) -> None:
    install("hiss", "[analogon.generators]\nhiss = hiss_maker\n", hiss_maker=GENERATOR)
    assert "hiss" in loading.families() and "hiss" not in families()
    assert loading.load("hiss:pink", level=0.5).identity == {"family": "noise", "level": 0.5}
    assert [one.origin for one in loading.REGISTRY.found() if one.name == "hiss"] == ["hiss 1.0"]


def test_what_is_built_in_comes_first_then_folders_then_packages(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("analogon-toys", "[analogon.encoders]\ntoy = their_toy\nmine = their_mine\n", their_toy="1 / 0")
    (tmp_path / "families").mkdir()
    (tmp_path / "families" / "mine.py").write_text(ENCODER)
    monkeypatch.setenv("ANALOGON_ENCODERS", str(tmp_path / "families"))
    monkeypatch.delitem(sys.modules, "embed.encoders.mine", raising=False)
    assert load("toy").space.dim == 8 and load("mine").space.dim == 2
    assert origins("toy") == [
        (BUILT_IN, ""),
        ("analogon-toys 1.0", "toy is built in, and that one is used"),
    ]
    folder = str(tmp_path / "families")
    assert origins("mine") == [(folder, ""), ("analogon-toys 1.0", f"the mine of {folder} is used")]
    assert families().count("toy") == families().count("mine") == 1


def test_two_packages_with_one_family_are_both_named(install: Install) -> None:
    for name in ("one", "two"):
        install(
            name,
            f"[analogon.encoders]\nlength = length_{name}\n{name} = length_{name}\n",
            **{f"length_{name}": ENCODER},
        )
    line = "one 1.0 and two 1.0 both bring a family length: uninstall one of them"
    with pytest.raises(EncoderError) as caught:
        load("length")
    assert str(caught.value) == line
    assert origins("length") == [("one 1.0", line), ("two 1.0", line)] and "length" not in families()
    assert load("one:x").space.dim == load("two:x").space.dim == 2, "their other families are not touched"


def test_an_older_version_further_back_is_not_used(install: Install) -> None:
    install("length", "[analogon.encoders]\nnewer = length_new\n", "2.0", length_new=ENCODER)
    install("length", "[analogon.encoders]\nolder = length_old\n", "1.0", length_old=ENCODER)
    assert "newer" in families() and "older" not in families()


@pytest.mark.parametrize(
    ("entry_points", "code", "said"),
    [
        (
            "bad = bad_one",
            "import nothere_at_all",
            "bad (of broken 1.0) cannot be imported: ModuleNotFoundError: No mod",
        ),
        ("bad = bad_one", "x = (", "bad (of broken 1.0) cannot be imported: SyntaxError: "),
        ("bad = bad_one", "raise SystemExit(5)", "bad (of broken 1.0) cannot be imported: SystemExit: 5"),
        (
            "bad = not_there",
            "",
            "bad (of broken 1.0) cannot be imported: ModuleNotFoundError: No module named 'not_the",
        ),
        (
            "bad = bad_one",
            "x = 1",
            "bad (of broken 1.0) is no family of encoders: its module bad_one has no function load",
        ),
        (
            "bad = bad_one:load",
            ENCODER,
            "broken 1.0: bad = 'bad_one:load' names no module; 'bad_one' would, with load in",
        ),
        ("b-d = bad_one", ENCODER, "there is no encoder family 'bad'; there are: "),
        ("bad", ENCODER, "there is no encoder family 'bad'; there are: "),
        ("= bad_one", ENCODER, "there is no encoder family 'bad'; there are: "),
    ],
)
def test_a_broken_package_is_one_clear_line_and_breaks_nothing_else(
    install: Install, entry_points: str, code: str, said: str
) -> None:
    install("broken", f"[analogon.encoders]\n{entry_points}\n", bad_one=code)
    install("sound", "[analogon.encoders]\nlength = length_of_texts\n", length_of_texts=ENCODER)
    with pytest.raises(EncoderError) as caught:
        load("bad:x")
    assert str(caught.value).startswith(said) and "\n" not in str(caught.value)
    assert load("length").space.dim == 2 and load("toy").space.dim == 8
    assert set(families()) >= {"length", "toy", "clap"}


@pytest.mark.parametrize(
    ("entry_points", "said"),
    [
        ("[analogon.encoders]\nbad\n", "the entry points of broken 1.0 cannot be read: TypeError"),
        ("[analogon.encoders]\n3d-sound = x\n", "broken 1.0: '3d-sound' cannot be a family's name"),
        (b"[analogon.encoders]\nb\xffd = x\n", "the entry points of broken 1.0 cannot be read: UnicodeDecodeError"),
    ],
)
def test_a_list_that_cannot_be_read_is_told_beside_the_others(
    install: Install,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    entry_points: str | bytes,
    said: str,
) -> None:
    install("broken", entry_points)
    install("sound", "[analogon.encoders]\nlength = length_of_texts\n", length_of_texts=ENCODER)
    assert exit_code(monkeypatch, "families") == 0
    told = capsys.readouterr()
    assert said in " ".join((told.out + told.err).split())
    assert ["encoder", "length", "sound", "1.0"] in [line.split() for line in told.out.splitlines()]
    assert ["encoder", "toy", "built", "in"] in [line.split() for line in told.out.splitlines()]
    with pytest.raises(UnknownEncoder):
        load("broken")


def test_a_family_of_our_own_looks_at_no_package(install: Install) -> None:
    folder = install("analogon-length", "[analogon.encoders]\nlength = length_of_texts\n", length_of_texts=ENCODER)
    code = (
        "import sys, embed\n"
        "from embed.registry import _entries\n"
        "embed.load('toy')\n"
        "assert _entries.cache_info().misses == 0\n"
        "embed.load('length')\n"
        "assert _entries.cache_info().misses == 1 and 'length_of_texts' in sys.modules\n"
        "embed.load('length')\n"
        "assert _entries.cache_info().misses == 1"
    )
    path = os.pathsep.join([str(Path(__file__).parents[2]), str(folder)])
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": path})
