"""What the project promises of itself: extras that messages name, layers, no trace of one machine."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
SOURCES = [path for name in ("embed", "indexes", "analogon") for path in sorted((ROOT / name).rglob("*.py"))]


def test_every_extra_that_a_message_names_exists() -> None:
    text = "\n".join(path.read_text("utf-8") for path in SOURCES)
    named = set(re.findall(r'MissingPackage\(\s*"[\w-]+",\s*"([\w-]+)"', text))
    named |= set(re.findall(r"analogon\[([\w-]+)\]", text))
    assert {"siglip", "speaker", "tflite", "heif"} <= named
    assert named <= set(PROJECT["optional-dependencies"])


def test_exact_versions_fit_the_ranges() -> None:
    from packaging.requirements import Requirement

    pinned = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")
    )
    pinned = {name.lower().replace("_", "-"): version for name, version in pinned.items()}
    extras = [r for extra in PROJECT["optional-dependencies"].items() if extra[0] != "laion-clap" for r in extra[1]]
    for requirement in map(Requirement, [*PROJECT["dependencies"], *extras]):
        assert pinned[requirement.name.lower().replace("_", "-")] in requirement.specifier, requirement
    older = dict(line.split("==") for line in (ROOT / "constraints-numpy1.txt").read_text().splitlines()[1:])
    (numpy,) = (r for r in map(Requirement, PROJECT["dependencies"]) if r.name == "numpy")
    assert older["numpy"] in numpy.specifier and older["numpy"] in Requirement("numpy<2,>=1.23.5").specifier


def test_heavy_packages_are_imported_only_where_they_are_needed() -> None:
    code = (
        "import sys, analogon, analogon.cli.app, analogon.cli.show, indexes.exchange, embed.encoders.static\n"
        "heavy = {'torch', 'transformers', 'sklearn', 'faiss', 'pyarrow', 'av', 'ai_edge_litert'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    import sys

    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_no_path_of_one_machine_is_in_the_tree() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.is_file() and path.suffix in {".py", ".md", ".toml", ".txt", ".ipynb", ""}:
            found = re.search(r"/(?:home|root|Users|mnt|work)/\w", path.read_text("utf-8", "replace"))
            assert not found, f"{name}: {found and found[0]}"
