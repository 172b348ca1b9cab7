"""How much of the change each pixel of a crop takes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_INNER, _OUTER = 0.78, 1.0  # the mask falls from 1 to 0 between these shares of the ellipse's radii


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
    radius = face_radius(size, eye_distance)
    fall = np.clip((_OUTER - radius) / (_OUTER - _INNER), 0, 1)
    mask: NDArray[np.float32] = (fall * fall * (3 - 2 * fall)).astype(np.float32)
    mask.setflags(write=False)
    return mask


@lru_cache(maxsize=16)
def ellipse_box(size: int, eye_distance: float) -> tuple[slice, slice]:
    """Rows and columns of a crop that hold the ellipse and what flow needs around it; half of the crop's area."""
    margin = size // 32
    rows, columns = np.nonzero(face_ellipse(size, eye_distance))

    def span(where: NDArray[np.int64]) -> slice:
        return slice(max(0, int(where.min()) - margin), min(size, int(where.max()) + 1 + margin))

    return span(rows), span(columns)
