"""Everything is imported, and the main job done, where modules, signals and promises of POSIX are absent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc for what is open")
def test_the_main_job_where_the_system_does_as_windows_does(tmp_path: Path) -> None:
    script = Path(__file__).with_name("like_windows.py")
    ran = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=280,
        env=os.environ | {"PYTHONPATH": str(script.parents[3])},
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("all done"), ran.stdout
