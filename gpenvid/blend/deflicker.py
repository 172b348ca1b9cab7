"""Averaging what a restorer adds over neighbouring frames, where the faces themselves agree."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

REACH = 2
"""Frames looked at on either side."""

_NEAR = (1.0, 0.75, 0.4)  # weight by distance in frames
_AGREE = 0.035  # difference of the source crops, low-passed, at which a neighbour counts for e^-1
_SOFT = 1 / 64  # of the crop: noise below this size is no disagreement

Image = NDArray[np.float32]


def steady_residual(sources: Sequence[Image], residuals: Sequence[Image], centre: int) -> Image:
    """The residual of one frame, averaged over its neighbours in aligned space.

    A neighbour's residual counts, pixel by pixel, as far as its source crop looks the same there: skin that only carries
    other noise is averaged, a mouth that opens, a blink or a change of light is left alone.

    Args:
        sources: aligned source crops (S, S, 3) float32 in [0, 1] of consecutive frames of one track.
        residuals: restored minus source of the same frames.
        centre: index of the frame wanted; at most `REACH` neighbours on either side are used.

    Returns:
        (S, S, 3) float32.
    """
    size = sources[centre].shape[0]
    own = _soft(sources[centre], size)
    # The average is over restored crops seen from this frame: its own noise stays out of what neighbours contribute.
    total = residuals[centre].copy()
    weights = np.ones((size, size, 1), np.float32)
    for k in range(max(0, centre - REACH), min(len(sources), centre + REACH + 1)):
        if k == centre:
            continue
        difference = np.abs(_soft(sources[k], size) - own).max(axis=2, keepdims=True)
        weight = np.float32(_NEAR[abs(k - centre)]) * np.exp(-np.square(difference / np.float32(_AGREE)))
        # What the neighbour would have made of this frame's crop: its restored crop, minus this source.
        total += weight * (sources[k] + residuals[k] - sources[centre])
        weights += weight
    return np.asarray(total / weights, np.float32)


def _soft(crop: Image, size: int) -> Image:
    return np.asarray(cv2.GaussianBlur(crop, (0, 0), max(1.0, size * _SOFT)), np.float32)
