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


def steady_residual(frames: Mapping[int, tuple[Image, Image]], size: int = 0) -> Image:
    """The residual of one frame, averaged over its neighbours along the face's own motion.

    Each neighbour is first carried onto the frame by dense flow between the source crops: what alignment leaves, two pixels
    on a fast turn, would blur the average and show as trembling. It then counts, pixel by pixel, as far as its source looks
    the same there: skin that only carries other noise is averaged, a mouth that opens, a blink or a change of light is left.

    Args:
        frames: by distance in frames (0 is the frame wanted, -1 the one before it), the aligned source crop
            (H, W, 3) float32 in [0, 1] and the residual, restored minus source, of one track. At most `REACH` neighbours
            on either side are used; missing ones are passed over.
        size: side of the whole crop, where these are parts of it.

    Returns:
        (H, W, 3) float32.
    """
    source, residual = frames[0]
    height, width = source.shape[:2]
    size = size or height
    gray = _gray(source)
    own = _soft(gray, size)
    total, weights = residual.copy(), np.ones((height, width), np.float32)
    flow: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=2).astype(np.float32)
    for distance, (other, change) in sorted(frames.items()):
        if distance == 0 or abs(distance) > REACH:
            continue
        near = _gray(other)
        where = grid + (flow.calc(gray, near, None) if min(height, width) >= _LEAST_FLOW else np.float32(0))
        # The neighbour's restored crop as this frame would show it: its own source's noise stays out.
        restored = cv2.remap(cv2.add(other, change), where, np.empty(0), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        seen = np.asarray(cv2.remap(near, where, np.empty(0), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)
        difference = cv2.subtract(_soft(seen, size), own)
        weight = cv2.exp(cv2.multiply(difference, difference, scale=-1 / _AGREE**2)) * np.float32(_NEAR[abs(distance)])
        # OpenCV's loops over three channels: NumPy's take four times as long where one number is for three.
        cv2.accumulateProduct(cv2.subtract(restored, source), _three(weight), total)
        cv2.accumulate(weight, weights)
    return np.asarray(cv2.divide(total, _three(weights)), np.float32)


def _three(values: Any) -> Any:
    return cv2.merge((values, values, values))


def _gray(crop: Image) -> NDArray[np.uint8]:
    return np.asarray(np.clip(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) * np.float32(255) + np.float32(0.5), 0, 255), np.uint8)


def _soft(gray: NDArray[np.uint8], size: int) -> Image:
    """Low-passed luma in [0, 1]."""
    soft = cv2.GaussianBlur(gray, (0, 0), max(1.0, size * _SOFT))
    return np.asarray(soft * np.float32(1 / 255), np.float32)
