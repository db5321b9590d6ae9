"""The tiny checkpoint of tiny_towers.py that ``aimv2`` makes."""

from tests.embed.encoders.tiny_towers import aimv2 as build

__all__ = ["build"]
