"""The tiny checkpoint of tiny_towers.py that ``align`` makes."""

from tests.embed.encoders.tiny_towers import align as build

__all__ = ["build"]
