"""What is no text, no file and no item is told where the query is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analogon import file, item, text
from embed.errors import UsageError


@pytest.mark.parametrize("value", [None, 5, b"x", Path("x"), [], True, 1.5])
def test_words_are_a_text(value: Any) -> None:
    with pytest.raises(UsageError, match="are a text, not"):
        text(value)


@pytest.mark.parametrize("value", [None, 5, b"x", [], True])
def test_a_file_is_named(value: Any) -> None:
    with pytest.raises(UsageError, match="named by a text or a path"):
        file(value)


@pytest.mark.parametrize("value", [None, "1", b"1", [], True, 1.0, np.float32(1)])
def test_an_item_has_a_whole_number(value: Any) -> None:
    with pytest.raises(UsageError, match="a whole number, not"):
        item(value)
    assert item(np.int64(3)).id == 3
