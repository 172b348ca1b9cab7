"""How much of the change each pixel of a crop takes."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from gpenvid.geometry import FloatArray

MaskKind = Literal["ellipse", "hull"]

_INNER, _OUTER = 0.78, 1.0  # the mask falls from 1 to 0 between these shares of the ellipse's radii
_HULL_INNER = 0.68
_BROWS, _CHIN = 0.3, 0.25  # how far they lie beyond eyes and mouth, in distances from eyes to mouth
_MARGIN = 0.6  # of the hull around its points, in eye distances of the template
_SIDES = 16  # directions in which the hull is measured
_ROUND = 16  # exponent that rounds its corners


@lru_cache(maxsize=16)
def face_radius(size: int, eye_distance: float) -> NDArray[np.float32]:
    """How far each pixel of a crop lies from the middle of the face, (size, size) float32; 1 is the edge of `face_ellipse`."""
    unit = eye_distance / 0.2097
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size + np.float32(0.5 / size)
    centre_y = 0.5 + (0.565 - 0.5) * unit
    # Closer templates cut the crop nearer to the chin; the mask must still end inside it.
    reach = min(0.41 * unit, 0.98 - centre_y)
    radius: NDArray[np.float32] = np.hypot((x - 0.5) / (0.32 * unit), (y - centre_y) / reach)
    radius.setflags(write=False)
    return radius


@lru_cache(maxsize=16)
def face_ellipse(size: int, eye_distance: float) -> NDArray[np.float32]:
    """A soft ellipse over the face of an aligned crop, (size, size) float32 in [0, 1], exactly 0 outside.

    Args:
        size: side of the crop.
        eye_distance: of the crop's template, as a fraction of its side; the ellipse scales with it.

    It reaches from the hairline to under the chin and from ear to ear, and ends before the crop does.
    """
    mask = _fall(face_radius(size, eye_distance), _INNER)
    mask.setflags(write=False)
    return mask


def landmark_hull(size: int, eye_distance: float, landmarks: FloatArray) -> NDArray[np.float32]:
    """A soft hull around a face's own landmarks, (size, size) float32 in [0, 1], nowhere above `face_ellipse`.

    It goes from the brows to the chin and from cheek to cheek, and moves with the features where a head turns inside its crop:
    hair, ears, neck and what is behind keep the source's pixels.

    Args:
        size: side of the crop.
        eye_distance: of the crop's template, as a fraction of its side.
        landmarks: (5, 2) in pixels of the crop, in the order of `Face.landmarks`.
    """
    points = np.asarray(landmarks, np.float64)
    up = points[:2].mean(axis=0) - points[3:].mean(axis=0)
    points = np.concatenate([points, points[:2] + _BROWS * up, points[3:].mean(axis=0, keepdims=True) - _CHIN * up])
    middle = points.mean(axis=0)
    angles = np.arange(_SIDES) * (2 * np.pi / _SIDES)
    normals = np.column_stack([np.cos(angles), np.sin(angles)])
    reach = ((points - middle) @ normals.T).max(axis=0) + _MARGIN * eye_distance * size
    # A quarter of the crop's resolution: the shape has no detail, and is wanted for every face of every frame.
    coarse = -(-size // 4)
    step = size / coarse
    grid = (np.arange(coarse) + 0.5) * step - 0.5
    x, y = grid[None, :] - middle[0], grid[:, None] - middle[1]
    along = normals / reach[:, None]
    beyond = np.maximum(along[:, 0, None, None] * x + along[:, 1, None, None] * y, 0).astype(np.float32)
    radius = np.power(np.power(beyond, np.float32(_ROUND)).sum(axis=0), np.float32(1 / _ROUND))
    full = np.asarray(cv2.resize(radius, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)
    return face_ellipse(size, eye_distance) * _fall(full, _HULL_INNER)


def _fall(radius: NDArray[np.float32], inner: float) -> NDArray[np.float32]:
    fall = np.clip((_OUTER - radius) / (_OUTER - inner), 0, 1)
    return np.asarray(fall * fall * (3 - 2 * fall), np.float32)


@lru_cache(maxsize=16)
def ellipse_box(size: int, eye_distance: float) -> tuple[slice, slice]:
    """Rows and columns of a crop that hold the ellipse and what flow needs around it; half of the crop's area."""
    margin = size // 32
    rows, columns = np.nonzero(face_ellipse(size, eye_distance))

    def span(where: NDArray[np.int64]) -> slice:
        return slice(max(0, int(where.min()) - margin), min(size, int(where.max()) + 1 + margin))

    return span(rows), span(columns)
