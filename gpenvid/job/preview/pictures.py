"""Frames as files that a browser shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from gpenvid.media.frame import Frame

PictureFormat = Literal["png", "jpeg"]

_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 93, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
_LEVEL = [cv2.IMWRITE_PNG_COMPRESSION, 1]  # five times as fast as the default, a tenth larger; it goes no farther than this machine


def display_picture(frame: Frame, width: int = 0) -> NDArray[np.uint8]:
    """A frame as a viewer sees it: upright, square pixels, SDR, (H, W, 3) uint8 RGB.

    Args:
        width: pixels; 0, or more than the frame has, means all.
    """
    full = tuple(round(v) for v in frame.geometry.display_size)
    if not 0 < width < full[0]:
        width = full[0]
    # What a decoder says of a frame beside its planes (where chroma lies, fields) changes how it is scaled; the renderer's planes
    # come without. Both are converted without, so that differences are real ones.
    bare = replace(frame, _av=None, _planes=frame.planes)
    return replace(bare, _av=bare.to_av()).thumbnail(width, max(1, round(full[1] * width / full[0])))


def encode_picture(rgb: NDArray[np.uint8], form: PictureFormat) -> bytes:
    """RGB as a PNG (the very pixels) or a JPEG (for looking at the whole)."""
    suffix, options = (".png", _LEVEL) if form == "png" else (".jpg", _QUALITY)
    return bytes(cv2.imencode(suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)[1].tobytes())
