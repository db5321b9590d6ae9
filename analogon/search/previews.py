"""What a notebook shows of a medium: a player, a thumbnail or a text."""

from __future__ import annotations

import base64
import html
import io
from typing import Final

import numpy as np

from embed import decode
from embed.encoder import AudioInput
from embed.errors import AnalogonError
from embed.media import Media, Span

__all__ = ["preview"]

PLAYER_SECONDS: Final = 10.0
THUMBNAIL: Final = 160


def preview(media: Media) -> str:
    """HTML that needs nothing beside it: a player of the medium's span, a thumbnail, a text, or why there is none."""
    if media.text is not None:
        return html.escape(media.text[:300])
    try:
        if media.modality == "audio":
            return f"<audio controls preload='metadata' src='data:audio/wav;base64,{_wav(media)}'></audio>"
        if media.modality == "image":
            return f"<img src='data:image/png;base64,{_thumbnail(media)}'>"
    except AnalogonError as error:
        return f"<small>{html.escape(str(error))}</small>"
    return media.modality


def _wav(media: Media, rate: int = 22050) -> str:
    import soundfile

    span = media.span or Span(0.0, PLAYER_SECONDS)
    first = media.but(span=Span(span.start, min(span.end, span.start + PLAYER_SECONDS)))
    part = next(decode.parts(first, audio=AudioInput(rate, PLAYER_SECONDS)))
    assert part.array is not None
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(part.array, -1.0, 1.0), rate, format="WAV", subtype="PCM_16")
    return base64.b64encode(buffer.getvalue()).decode()


def _thumbnail(media: Media) -> str:
    from PIL import Image

    part = next(decode.parts(media))
    assert part.array is not None
    picture = Image.fromarray(part.array)
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
