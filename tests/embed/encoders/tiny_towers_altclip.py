"""The tiny checkpoint of tiny_towers.py that ``altclip`` makes."""

from tests.embed.encoders.tiny_towers import altclip as build

__all__ = ["build"]
