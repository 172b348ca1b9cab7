"""Averaging what a restorer adds over neighbouring frames, where the faces themselves agree."""

from __future__ import annotations

from collections.abc import Sequence
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


def steady_residual(sources: Sequence[Image], residuals: Sequence[Image], centre: int) -> Image:
    """The residual of one frame, averaged over its neighbours along the face's own motion.

    Each neighbour is first carried onto the frame by dense flow between the source crops: what alignment leaves, two pixels
    on a fast turn, would blur the average and show as trembling. It then counts, pixel by pixel, as far as its source looks
    the same there: skin that only carries other noise is averaged, a mouth that opens, a blink or a change of light is left.

    Args:
        sources: aligned source crops (S, S, 3) float32 in [0, 1] of consecutive frames of one track.
        residuals: restored minus source of the same frames.
        centre: index of the frame wanted; at most `REACH` neighbours on either side are used.

    Returns:
        (S, S, 3) float32.
    """
    size = sources[centre].shape[0]
    gray = _gray(sources[centre])
    own = _soft(gray, size)
    total, weights = residuals[centre].copy(), np.ones((size, size), np.float32)
    flow: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size)), axis=2).astype(np.float32)
    for k in range(max(0, centre - REACH), min(len(sources), centre + REACH + 1)):
        if k == centre:
            continue
        near = _gray(sources[k])
        where = grid + (flow.calc(gray, near, None) if size >= _LEAST_FLOW else np.float32(0))
        # The neighbour's restored crop as this frame would show it: its own source's noise stays out.
        restored = cv2.remap(sources[k] + residuals[k], where, np.empty(0), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        seen = np.asarray(cv2.remap(near, where, np.empty(0), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)
        difference = (_soft(seen, size) - own) * np.float32(1 / _AGREE)
        weight = np.float32(_NEAR[abs(k - centre)]) * np.exp(-difference * difference)
        total += weight[:, :, None] * (restored - sources[centre])
        weights += weight
    return np.asarray(total / weights[:, :, None], np.float32)


def _gray(crop: Image) -> NDArray[np.uint8]:
    return np.asarray(np.clip(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) * np.float32(255) + np.float32(0.5), 0, 255), np.uint8)


def _soft(gray: NDArray[np.uint8], size: int) -> Image:
    """Low-passed luma in [0, 1]."""
    soft = cv2.GaussianBlur(gray, (0, 0), max(1.0, size * _SOFT))
    return np.asarray(soft * np.float32(1 / 255), np.float32)
