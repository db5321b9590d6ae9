"""Whether every extra can be installed, alone and all together, asked of pip without installing anything.

    python tests/resolve_extras.py [EXTRA ...]       or: make extras

Each answer is pip's own resolution for an empty environment, with the torch of ``constraints.txt`` (a CPU build where
one is at hand), so that no GPU libraries are fetched. Prints one line an extra and ends with 1 where any cannot be
resolved, or would bring two packages that install the same module. A minute each.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
SAME_MODULE = ({"webrtcvad", "webrtcvad-wheels"},)


def torch() -> str:
    pinned = [line for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if line.startswith("torch==")]
    return pinned[0].partition("+")[0]


def resolved(extras: list[str]) -> tuple[dict[str, str], str]:
    """The packages that pip would install, and what it says where it would not."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        wanted = f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
        command += ["--disable-pip-version-check", "--report", str(report), torch(), wanted]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            return {}, (errors or done.stderr.splitlines() or ["pip failed"])[0]
        found: list[dict[str, Any]] = json.loads(report.read_text("utf-8"))["install"]
    return {_normal(one["metadata"]["name"]): one["metadata"]["version"] for one in found}, ""


def _normal(name: str) -> str:
    return name.lower().replace("_", "-")


def main(chosen: list[str]) -> int:
    failed = 0
    rounds = [[name] for name in chosen] if chosen else [[], *([name] for name in EXTRAS), list(EXTRAS)]
    for extras in rounds:
        packages, fault = resolved(extras)
        twice = [pair for pair in SAME_MODULE if pair <= packages.keys()]
        if twice:
            fault = f"{' and '.join(sorted(twice[0]))} install the same module"
        failed += bool(fault)
        heavy = sum(name.startswith(("nvidia", "triton")) for name in packages)
        name = "none" if not extras else extras[0] if len(extras) == 1 else "all of them"
        summary = f"{len(packages)} packages, numpy {packages.get('numpy')}, {heavy} of GPUs"
        print(f"{name:14} {'fails: ' + fault if fault else summary}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
