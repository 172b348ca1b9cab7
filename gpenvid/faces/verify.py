"""Carried faces verified: a close look in every frame says whether the face is still there, and where its landmarks went.

Flow is steady from frame to frame but blind to what a landmark means: when a head turns, the corner of an eye moves on the
skin. A close look sees that, but trembles and has a bias of its own. So the flow's path is kept for what is quick, and
bent slowly towards what was looked at, relative to what is seen where the detector itself has spoken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from gpenvid.faces.detector import CloseLook, RGBImage

_SLOW = 1.5  # frames: standard deviation of the low-pass between looks and flow
_MOST_BEND = 0.25  # of the eye distance: beyond it the look and the flow speak of different things


@dataclass(frozen=True)
class Seen:
    """Close looks along a path.

    Attributes:
        landmarks: (N, 5, 2) as seen.
        belief: (N,) in [0, 1] that there is a face.
    """

    landmarks: NDArray[np.float64]
    belief: NDArray[np.float64]


def look_along(closely: CloseLook, frames: Sequence[RGBImage], path: NDArray[np.float64]) -> Seen:
    """Look at one face in consecutive frames; `path` (N, 5, 2) says where to look."""
    return Seen(*closely.look(frames, list(path)))


def bend(path: NDArray[np.float64], seen: Seen, anchors: Sequence[int]) -> NDArray[np.float64]:
    """The path (N, 5, 2) with its slow errors taken out.

    Args:
        path: landmarks by flow, the detector's own at `anchors`, where they stay as they are.
        seen: close looks at the path.
        anchors: indices of detected frames, in order.
    """
    eyes = np.maximum(np.hypot(*(path[:, 1] - path[:, 0]).T), 1.0)
    apart = (seen.landmarks - path).reshape(len(path), 10)
    at = np.arange(len(path))
    bias = np.stack([np.interp(at, anchors, column) for column in apart[list(anchors)].T], axis=1)
    # Where the detector's own face is not recognised, the looks' bias is not known either.
    trust = np.clip(2 * np.minimum(seen.belief, seen.belief[list(anchors)].min()) - 1, 0, 1)
    error = (apart - bias).reshape(-1, 5, 2) * trust[:, None, None]
    length = np.hypot(*np.moveaxis(error, -1, 0))[..., None]
    limit = (_MOST_BEND * eyes)[:, None, None]
    error = gaussian_filter1d(error * np.minimum(1.0, limit / np.maximum(length, 1e-9)), _SLOW, axis=0, mode="nearest")
    error[list(anchors)] = 0
    return np.asarray(path + error)
