"""The tiny checkpoint of tiny_towers.py that ``chinese_clip`` makes."""

from tests.embed.encoders.tiny_towers import chinese_clip as build

__all__ = ["build"]
