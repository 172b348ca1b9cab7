"""From five landmarks to an aligned crop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpenvid.geometry import Affine, FloatArray


@dataclass(frozen=True)
class Template:
    """Where the five landmarks lie in an aligned crop, as fractions of its side.

    Attributes:
        name: as in model cards.
        points: (5, 2) left eye, right eye, nose tip, left and right mouth corner.
    """

    name: str
    points: tuple[tuple[float, float], ...]

    def at(self, size: int) -> NDArray[np.float64]:
        """The points (5, 2) in pixels of a size x size crop."""
        return np.array(self.points) * size

    @property
    def eye_distance(self) -> float:
        """Distance between the eyes as a fraction of the crop's side."""
        return float(np.hypot(*np.subtract(self.points[1], self.points[0])))


def _in_512(*points: tuple[float, float]) -> tuple[tuple[float, float], ...]:
    return tuple((x / 512, y / 512) for x, y in points)


GPEN = Template(
    "gpen",  # GPEN align_faces.py: 96x112 points, default_square, inner padding 0.25
    _in_512((202.0407, 242.884), (309.4302, 242.29), (256.0768, 303.9592), (211.9598, 366.8282), (300.8911, 366.3363)),
)
FFHQ = Template(
    "ffhq",  # facexlib face_restoration_helper.py, face_template
    _in_512((192.98138, 239.94708), (318.90277, 240.1936), (256.63416, 314.01935), (201.26117, 371.41043), (313.08905, 371.15118)),
)
TEMPLATES = {t.name: t for t in (GPEN, FFHQ)}


def fit_similarity(source: FloatArray, target: FloatArray) -> Affine:
    """The similarity (rotation, one scale, shift) that maps source points (N, 2) closest to target points, least squares.

    Many at once, (..., N, 2) in either, give (..., 2, 3).

    Source: Umeyama, "Least-squares estimation of transformation parameters between two point patterns", PAMI 1991; in
    two dimensions without reflection it is a linear problem.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    middle, goal = source.mean(axis=-2, keepdims=True), target.mean(axis=-2, keepdims=True)
    (x, y), (u, v) = np.moveaxis(source - middle, -1, 0), np.moveaxis(target - goal, -1, 0)
    spread = (x * x + y * y).sum(axis=-1)
    known = np.where(spread > 0, spread, 1)  # points that fall together are only shifted
    a = np.where(spread > 0, (x * u + y * v).sum(axis=-1) / known, 1)
    b = np.where(spread > 0, (x * v - y * u).sum(axis=-1) / known, 0)
    linear = np.stack([np.stack([a, -b], axis=-1), np.stack([b, a], axis=-1)], axis=-2)
    shift = np.swapaxes(goal, -1, -2) - linear @ np.swapaxes(middle, -1, -2)
    return np.concatenate([linear, shift], axis=-1)


def similarity_parameters(landmarks: FloatArray) -> NDArray[np.float64]:
    """The places (..., 4) of faces (..., 5, 2) as (log scale, angle, centre x, centre y): scale is the crop's side in pixels,
    angle in radians, the centre is the crop's centre in the picture. These four are what is smoothed over time."""
    matrix = fit_similarity(np.array(GPEN.points), landmarks)
    scale, angle = np.hypot(matrix[..., 0, 0], matrix[..., 1, 0]), np.arctan2(matrix[..., 1, 0], matrix[..., 0, 0])
    centre = matrix @ np.array([0.5, 0.5, 1.0])
    return np.stack([np.log(scale), angle, centre[..., 0], centre[..., 1]], axis=-1)


def crop_affine(parameters: FloatArray, size: int) -> Affine:
    """The map from picture to crop pixels for (log scale, angle, centre x, centre y)."""
    log_scale, angle, x, y = (float(p) for p in parameters)
    factor = size / np.exp(log_scale)
    cos, sin = factor * np.cos(angle), factor * np.sin(angle)
    linear = np.array([[cos, sin], [-sin, cos]])
    return np.column_stack([linear, np.array([size / 2, size / 2]) - linear @ np.array([x, y])])
