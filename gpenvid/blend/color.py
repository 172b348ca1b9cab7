"""Keeping the source's colour: the change is limited to the bands a restorer is good at."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_CELLS = 16  # bands below 1/16 of the crop are the source's
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def low_pass(crop: NDArray[np.float32]) -> NDArray[np.float32]:
    """The frequencies below 1/16 of a square crop (S, S, 3): averages of 16 x 16 cells, joined bilinearly.

    The built-in restorer is trained through this very step.
    """
    size = crop.shape[1], crop.shape[0]
    cells = cv2.resize(crop, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(cells, size, interpolation=cv2.INTER_LINEAR), np.float32)


def keep_source_colour(restored: NDArray[np.float32], source: NDArray[np.float32]) -> NDArray[np.float32]:
    """The restored crop with the source crop's low frequencies: generators drift there, which shows as tint and flicker."""
    return restored + low_pass(source - restored)


def luma_only(change: NDArray[np.float32]) -> NDArray[np.float32]:
    """A change of RGB (H, W, 3) reduced to its luma, the same in all channels: no tint on black-and-white pictures."""
    return np.repeat((change @ _LUMA)[:, :, None], 3, axis=2)
