"""One value where several are taken, and old names that are refused with the new ones."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from analogon.settings.arguments import several, superseded_attributes, superseded_keywords
from embed.errors import UsageError


def test_a_string_a_path_and_a_table_are_one_value() -> None:
    assert several("starter") == ("starter",)
    assert several(Path("space.toml")) == (Path("space.toml"),)
    table = {"family": "toy", "model": "16"}
    assert several(table) == (table,)
    assert several(["clap", table]) == ("clap", table) and several(()) == () and several(iter("ab")) == ("a", "b")


def test_old_names_are_refused_with_the_new_ones() -> None:
    @superseded_keywords(colour="color")
    def paint(what: str, *, color: str = "red") -> str:
        """Paint."""
        return f"{what} {color}"

    assert paint("a door", color="blue") == "a door blue"
    assert list(inspect.signature(paint).parameters) == ["what", "color"] and paint.__doc__ == "Paint."
    with pytest.raises(UsageError, match=r"^colour= is color= now; CHANGELOG.md has the full table of new names$"):
        paint("a door", colour="blue")
    with pytest.raises(TypeError, match="shade"):
        paint("a door", shade="blue")

    class Door:
        color = "red"
        __getattr__ = superseded_attributes("Door", colour="color")

    assert Door().color == "red" and not hasattr(Door(), "colour")
    with pytest.raises(AttributeError, match=r"^Door.colour is Door.color now; CHANGELOG.md"):
        _ = Door().colour
    with pytest.raises(AttributeError, match=r"^'Door' object has no attribute 'shade'$"):
        _ = Door().shade
