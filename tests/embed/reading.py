"""What the decoder makes of a picture's bytes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from embed import decode
from embed.media import Media
from embed.remarks import Remarks

__all__ = ["pixels_of"]


def pixels_of(content: bytes, remarks: Remarks | None = None) -> npt.NDArray[np.uint8]:
    """uint8 (height, width, 3). Raises ``MediaError``."""
    (part,) = decode.parts(Media("image", data=content), remarks=remarks)
    assert part.array is not None
    return part.array
