"""Averaging what a restorer adds over neighbouring frames, where the faces themselves agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

REACH = 2
"""Frames looked at on either side."""

_NEAR = (1.0, 0.75, 0.4)  # weight by distance in frames
_AGREE = 0.035  # difference of the source crops, low-passed, at which a neighbour counts for e^-1
_SOFT = 1 / 100  # of the crop: noise below this size is no disagreement
_LEAST_FLOW = 64  # pixels: the flow's own least picture

Image = NDArray[np.float32]


def steady_residual(frames: Mapping[int, tuple[Image, Image]]) -> Image:
    """The residual of one frame, averaged over its neighbours along the face's own motion.

    Each neighbour is first carried onto the frame by dense flow between the source crops: what alignment leaves, two pixels
    on a fast turn, would blur the average and show as trembling. It then counts, pixel by pixel, as far as its source looks
    the same there: skin that only carries other noise is averaged, a mouth that opens, a blink or a change of light is left.

    Args:
        frames: by distance in frames (0 is the frame wanted, -1 the one before it), the aligned source crop
            (S, S, 3) float32 in [0, 1] and the residual, restored minus source, of one track. At most `REACH` neighbours
            on either side are used; missing ones are passed over.

    Returns:
        (S, S, 3) float32.
    """
    source, residual = frames[0]
    size = source.shape[0]
    gray = _gray(source)
    own = _soft(gray, size)
    total, weights = residual.copy(), np.ones((size, size), np.float32)
    flow: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size)), axis=2).astype(np.float32)
    for distance, (other, change) in sorted(frames.items()):
        if distance == 0 or abs(distance) > REACH:
            continue
        near = _gray(other)
        where = grid + (flow.calc(gray, near, None) if size >= _LEAST_FLOW else np.float32(0))
        # The neighbour's restored crop as this frame would show it: its own source's noise stays out.
        restored = cv2.remap(other + change, where, np.empty(0), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        seen = np.asarray(cv2.remap(near, where, np.empty(0), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)
        difference = (_soft(seen, size) - own) * np.float32(1 / _AGREE)
        weight = np.float32(_NEAR[abs(distance)]) * np.exp(-difference * difference)
        total += weight[:, :, None] * (restored - source)
        weights += weight
    return np.asarray(total / weights[:, :, None], np.float32)


def _gray(crop: Image) -> NDArray[np.uint8]:
    return np.asarray(np.clip(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) * np.float32(255) + np.float32(0.5), 0, 255), np.uint8)


def _soft(gray: NDArray[np.uint8], size: int) -> Image:
    """Low-passed luma in [0, 1]."""
    soft = cv2.GaussianBlur(gray, (0, 0), max(1.0, size * _SOFT))
    return np.asarray(soft * np.float32(1 / 255), np.float32)
