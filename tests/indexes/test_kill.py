"""An indexing process killed at 50 random instants loses nothing that it reported, and ends as if never killed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import sounds

KILLS = 50
CHANGED = 15


def run(tmp_path: Path, kills: int, *mode: str) -> list[dict[str, Any]]:
    """What each round of killed.py found."""
    folder = sounds.folder(tmp_path / "sounds", 60)
    script = Path(__file__).with_name("killed.py")
    ran = subprocess.run(
        [sys.executable, str(script), str(folder), str(tmp_path / "collection"), str(kills), "7", *mode],
        capture_output=True,
        text=True,
        timeout=280,
        cwd=Path(__file__).parents[2],
    )
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_what_was_committed_survives_a_kill_at_any_instant(tmp_path: Path) -> None:
    rounds = run(tmp_path, KILLS)
    killed = [one for one in rounds if one["killed"]]
    assert len(killed) == KILLS
    assert [one["lost"] for one in rounds if one["lost"]] == []
    assert {one["integrity"] for one in rounds} == {"ok"}
    assert all(one["names"] for one in rounds), "the words of names are not those of the files"
    ends = [one["equal"] for one in rounds if "equal" in one]
    assert len(ends) > 5 and all(ends)
    # The kills fell before, between and after commits, or the test would show little.
    assert any(one["committed"] == 0 for one in killed) and sum(one["committed"] > 0 for one in killed) > 10


@pytest.mark.parametrize("mode", ["prune", "root", "rewritten"])
def test_files_that_stay_survive_a_kill_while_others_go_or_are_read_anew(mode: str, tmp_path: Path) -> None:
    rounds = run(tmp_path, CHANGED, mode)
    assert all(one["kept"] for one in rounds), "a file that is still there lost its vectors, or a name"
    assert [one["lost"] for one in rounds if one["lost"]] == []
    assert all(one["equal"] for one in rounds), "the run after the kill did not end where an undisturbed one does"
    assert {one["files"] for one in rounds} == {1}, "a killed writer's files were left behind"
    killed = [one for one in rounds if one["killed"]]
    assert len(killed) == CHANGED and any(one["before"] for one in killed)
    assert all(one["after"] for one in rounds if not one["killed"])
