"""The one place where files become samples, pixels and lines of text, and long media become windows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import soundfile
import soxr
from PIL import Image

from embed.media import Media, Span, check_readable

if TYPE_CHECKING:
    from embed.encoder import AudioInput, VideoInput


def parts(media: Media, *, audio: AudioInput | None = None, video: VideoInput | None = None) -> Iterator[Media]:
    """INTERIM stand-in while the real one is being written: wav/flac/ogg and pictures only."""
    if media.text is not None or media.array is not None:
        yield media
    elif media.modality == "audio":
        check_readable(media.path)
        assert audio
        samples, rate = soundfile.read(media.path, dtype="float32", always_2d=True)
        mono = soxr.resample(samples.mean(1), rate, audio.rate).astype(np.float32)
        size = len(mono) if audio.window is None else int(audio.window * audio.rate)
        hop = size if audio.window is None else int((audio.hop or audio.window) * audio.rate)
        starts = list(range(0, max(1, len(mono) - size + 1), hop))
        if starts[-1] + size < len(mono):
            starts.append(len(mono) - size)
        for s in starts:
            cut = mono[s : s + size]
            yield media.but(array=cut, rate=audio.rate, span=Span(s / audio.rate, (s + len(cut)) / audio.rate))
    elif media.modality == "image":
        check_readable(media.path)
        yield media.but(array=np.asarray(Image.open(media.path).convert("RGB")))
    else:
        yield media.but(text=open(media.path).read())
