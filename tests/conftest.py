"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest

from analogon.settings import config  # noqa: F401  its settings are in force everywhere, also where nothing else is used
from embed.models import MODELS

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and small real weights beside the checkout; skips where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip("the folder ../shared with real data and weights is not beside this checkout")
    return SHARED


@pytest.fixture(autouse=True)
def own_models() -> None:
    """No test meets a model that another one has loaded, or changed."""
    MODELS.clear()


@pytest.fixture(autouse=True, scope="session")
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests keep collections and caches in folders of their own, never in the user's."""
    os.environ["ANALOGON_HOME"] = str(tmp_path_factory.mktemp("home"))
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["XDG_CONFIG_HOME"] = str(tmp_path_factory.mktemp("config"))
    for name in [name for name in os.environ if name.startswith("ANALOGON_") and name != "ANALOGON_HOME"]:
        del os.environ[name]
    os.environ["ANALOGON_RUNTIME"] = "eager"  # exporting takes seconds; tests of what it makes say so
