"""Plain data shared by the rooms: faces as numbers, and the affine maps between coordinate systems.

Coordinates are (x, y) in pixels, with (0, 0) at the *centre* of the top-left pixel, as in OpenCV.
*Display space* is the picture as a viewer sees it: upright, square pixels. *Stored space* is the pixel grid in the file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32] | NDArray[np.float64]
Affine = NDArray[np.float64]
"""A 2x3 matrix that maps column vectors (x, y, 1)."""


@dataclass(frozen=True)
class Face:
    """One face in one picture.

    Attributes:
        box: (4,) x0, y0, x1, y1 in pixels.
        score: confidence in [0, 1].
        landmarks: (5, 2) left eye, right eye, nose tip, left and right mouth corner, as seen by the viewer.
    """

    box: FloatArray
    score: float
    landmarks: FloatArray

    @property
    def eye_distance(self) -> float:
        """Distance between the eyes in pixels: the scale that tolerances are stated in."""
        return float(np.hypot(*(self.landmarks[1] - self.landmarks[0])))

    @property
    def unit(self) -> float:
        """Pixels that distances on it are measured in: the eye distance, but not less than a fifth of the box, which a profile's can be."""
        return max(self.eye_distance, 0.2 * float(self.box[2] - self.box[0]), 1.0)

    def transformed(self, matrix: Affine) -> Face:
        """The same face in the coordinate system that `matrix` maps to."""
        x0, y0, x1, y1 = self.box
        corners = apply_affine(matrix, np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]]))
        box = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
        return Face(box, self.score, apply_affine(matrix, self.landmarks))


def between(a: Face, b: Face, weight: float) -> Face:
    """The face on the way from one place to another: `a` at weight 0, `b` at 1; the score goes along."""
    box = (1 - weight) * np.asarray(a.box, np.float64) + weight * np.asarray(b.box, np.float64)
    landmarks = (1 - weight) * np.asarray(a.landmarks, np.float64) + weight * np.asarray(b.landmarks, np.float64)
    return Face(box, (1 - weight) * a.score + weight * b.score, landmarks)


def apply_affine(matrix: Affine, points: FloatArray) -> NDArray[np.float64]:
    """Map (N, 2) points."""
    return np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]


def compose(outer: Affine, inner: Affine) -> Affine:
    """The map that applies `inner` first, then `outer`."""
    linear = outer[:, :2] @ inner[:, :2]
    shift = outer[:, :2] @ inner[:, 2] + outer[:, 2]
    return np.column_stack([linear, shift])


def invert(matrix: Affine) -> Affine:
    """The inverse map."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]])


def resize_affine(scale_x: float, scale_y: float) -> Affine:
    """The map of pixel centres when a picture is resized by these factors (edges stay edges)."""
    return np.array([[scale_x, 0.0, (scale_x - 1) / 2], [0.0, scale_y, (scale_y - 1) / 2]])
