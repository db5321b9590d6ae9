"""What is said below the command line in the command line's words: a request's `field` is called by its flag."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from analogon.service.request import Request
from embed.errors import AnalogonError

__all__ = ["Wording"]


class Wording:
    """The flags of a command that asks a kind of request: ``flags`` are those that are not called as their field is."""

    def __init__(self, request: type[Request], flags: Mapping[str, str]) -> None:
        asked: Any = request  # all are dataclasses
        self._flags = {one.name: f"--{one.name.replace('_', '-')}" for one in fields(asked)} | dict(flags)

    def __call__(self, text: str) -> str:
        """A line with flags where it names fields."""
        return re.sub(r"`(\w+)`", lambda found: self._flags.get(found[1], found[0]), text)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """What is raised inside names flags."""
        try:
            yield
        except AnalogonError as error:
            error.args = (self(str(error)),)
            raise
