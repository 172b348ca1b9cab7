"""The source's own fine noise, to be kept on top of a restored face."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_FINE = 1.2  # pixels of the picture: noise lives below, features above
_EDGE = 3.0  # standard deviations beyond which a difference is an edge and not grain


def source_grain(source: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """The high-frequency noise of a source crop (S, S, 3), edges taken out.

    Args:
        source: float32 RGB in [0, 1].
        factor: crop pixels per picture pixel; grain has the picture's scale, not the crop's.
    """
    fine = source - np.asarray(cv2.GaussianBlur(source, (0, 0), max(0.8, _FINE * factor)), np.float32)
    # Robust standard deviation: edges are few, grain is everywhere.
    sigma = np.float32(1.4826 * np.median(np.abs(fine)) + 1e-6)
    return np.asarray(fine * np.exp(-np.square(fine / (_EDGE * sigma))), np.float32)
