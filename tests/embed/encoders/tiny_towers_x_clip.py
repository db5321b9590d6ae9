"""The tiny checkpoint of tiny_towers.py that ``x_clip`` makes."""

from tests.embed.encoders.tiny_towers import x_clip as build

__all__ = ["build"]
