"""Media to vectors: decode files, encode them, and keep track of the space each vector lives in."""

from embed.encoder import AudioInput, Encoder, ImageInput, VideoInput, load
from embed.errors import AnalogonError
from embed.media import Media, Span
from embed.pipeline import encode
from embed.space import Space, Vectors

__all__ = [
    "AnalogonError",
    "AudioInput",
    "Encoder",
    "ImageInput",
    "Media",
    "Space",
    "Span",
    "Vectors",
    "VideoInput",
    "encode",
    "load",
]
