"""Who owns what where faces overlap: each pixel goes to the face whose centre is nearer, in units of the face."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from gpenvid.blend.mask import face_ellipse, face_radius
from gpenvid.geometry import Affine

_NEAREST = 0.05  # squared radius below which nearer makes no difference


def overlap_share(size: int, eye_distance: float, weight: float, others: Sequence[tuple[Affine, float]]) -> NDArray[np.float32]:
    """The part of each pixel of a crop that belongs to its own face, (size, size) float32 in [0, 1].

    The parts of all faces at one place add up to 1, so changes are never added twice. Where no other face's mask reaches, the
    part is 1.

    Args:
        size: side of the crops.
        eye_distance: of their template, as a fraction of the side.
        weight: of this face, above 0.
        others: per other face the map from pixels of this crop to pixels of its crop, and its weight.
    """
    radius, mask = face_radius(size, eye_distance), face_ellipse(size, eye_distance)
    claim = _claim(radius, mask, weight)
    others_claim = np.zeros_like(claim)
    for between, other in others:
        # The inverse map is what is wanted here: from this crop's grid into the other's.
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        theirs = cv2.warpAffine(_claim(radius, mask, other), between, (size, size), flags=flags, borderMode=cv2.BORDER_CONSTANT)
        others_claim += np.asarray(theirs, np.float32)
    total = claim + others_claim
    return np.where(others_claim > 0, claim / np.maximum(total, np.float32(1e-12)), np.float32(1)).astype(np.float32)


def _claim(radius: NDArray[np.float32], mask: NDArray[np.float32], weight: float) -> NDArray[np.float32]:
    return np.asarray(np.float32(weight) * mask / np.square(np.square(radius) + np.float32(_NEAREST)), np.float32)
