"""The one door where files become samples, pixels and lines of text, and long media become windows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from embed.errors import UnsupportedModality
from embed.formats import audio as recordings
from embed.formats import image as pictures
from embed.formats import text as texts
from embed.formats import video as videos
from embed.media import Media
from embed.remarks import Remarks

if TYPE_CHECKING:
    from embed.encoder import AudioInput, ImageInput, VideoInput

__all__ = ["facts", "parts"]


def parts(
    media: Media,
    *,
    audio: AudioInput | None = None,
    image: ImageInput | None = None,
    video: VideoInput | None = None,
    remarks: Remarks | None = None,
) -> Iterator[Media]:
    """The parts of one medium as an encoder reads them; see ``Media`` for their arrays.

    Recordings and videos become windows, long texts become passages of about 1,000 characters; a picture is one
    part, whole or, where ``image`` says that fewer pixels are enough, at a fraction of its size. Each part keeps the
    path and says its ``span``. ``media.span`` restricts everything to that span. Memory stays bounded by the window,
    however long the file is.

    ``remarks`` is told what does not fail the medium but should be known of it.

    Raises ``MediaError`` where nothing can be read; where a file is damaged, the parts before the damage come first.
    """
    remarks = remarks if remarks is not None else Remarks()
    match media.modality:
        case "text":
            yield from texts.parts(media, remarks.note)
        case "image":
            yield from pictures.parts(media, remarks.note, image)
        case "audio":
            if audio is None:
                raise UnsupportedModality(f"this encoder does not take audio: {media.name}")
            yield from recordings.parts(media, audio, remarks)
        case "video":
            if video is None:
                raise UnsupportedModality(f"this encoder does not take video: {media.name}")
            yield from videos.parts(media, video, remarks)


def facts(media: Media) -> dict[str, int | float | str]:
    """What a medium knows of itself, from its header; what the header does not say is absent.

    All: ``bytes``. Audio: ``duration`` (s), ``sample_rate`` (Hz), ``channels``, ``format``. Image: ``width``,
    ``height``, ``format``. Video: ``duration``, ``width``, ``height``, ``fps``, ``format``, and its sound's
    ``sample_rate`` and ``channels``. Text: ``characters``, ``lines``. Raises ``MediaError``.

    >>> facts(Media.from_text("rain on a tin roof"))
    {'characters': 18, 'lines': 1, 'bytes': 18}
    """
    module = {"text": texts, "image": pictures, "audio": recordings, "video": videos}[media.modality]
    known = module.facts(media)
    return {
        key: value
        for key, value in known.items()
        if isinstance(value, str) or (value is not None and math.isfinite(value) and value >= 0)
    }
