"""Hits for a notebook: players, thumbnails and texts in one table of HTML that needs nothing beside it."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import Final

import numpy as np

from analogon.phrases.pieces import short
from analogon.search.hits import Hit
from embed import decode
from embed.encoder import AudioInput
from embed.errors import AnalogonError
from embed.media import Media, Span

__all__ = ["hits_html", "place"]

PLAYER_SECONDS: Final = 10.0
THUMBNAIL: Final = 160


def hits_html(query: str, hits: Sequence[Hit]) -> str:
    """Hits for a notebook: a player for the span that matched, a thumbnail, or the text, and how it was found."""
    rows = "".join(
        f"<tr><td>{hit.rank}</td><td>{hit.score:.3f}</td><td>{_preview(hit)}</td><td style='text-align:left'>"
        f"{html.escape(place(hit))}<br><small>{html.escape(_why(hit))}</small></td></tr>"
        for hit in hits
    )
    head = "<tr><th>#</th><th>score</th><th></th><th style='text-align:left'>file</th></tr>"
    return f"<p>{len(hits)} hits for <b>{html.escape(query)}</b></p><table>{head}{rows}</table>"


def _why(hit: Hit) -> str:
    """The part that matched, and that it was found by its name where it was."""
    named = f"by {' and '.join(hit.reasons)}" if "name" in hit.reasons else ""
    return ", ".join(filter(None, (hit.where, named)))


def _preview(hit: Hit) -> str:
    media = hit.media
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


def place(hit: Hit) -> str:
    """Where a hit lies: its path as seen from here, and the row of a table."""
    return short(hit.path) + (f", row {hit.media.row + 1}" if hit.media.row is not None else "")
