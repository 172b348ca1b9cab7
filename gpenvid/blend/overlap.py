"""Who owns what where faces overlap: each pixel goes to the face whose centre is nearer, in units of the face."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from gpenvid.blend.mask import face_radius
from gpenvid.geometry import Affine

_NEAREST = 0.05  # squared radius below which nearer makes no difference


Mask = NDArray[np.float32]


def overlap_share(eye_distance: float, mask: Mask, weight: float, others: Sequence[tuple[Affine, Mask, float]]) -> NDArray[np.float32]:
    """The part of each pixel of a crop that belongs to its own face, (size, size) float32 in [0, 1].

    The parts of all faces at one place add up to 1, so changes are never added twice. Where no other face's mask reaches, the
    part is 1.

    Args:
        eye_distance: of the crops' template, as a fraction of their side.
        mask: (size, size) float32, of this face.
        weight: of this face, above 0.
        others: per other face the map from pixels of this crop to pixels of its crop, its mask, and its weight, 0 where it stays as it is.
    """
    size = mask.shape[0]
    radius = face_radius(size, eye_distance)
    claim = _claim(radius, mask, weight)
    others_claim = np.zeros_like(claim)
    for between, other_mask, other in others:
        # The inverse map is what is wanted here: from this crop's grid into the other's.
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        theirs = cv2.warpAffine(_claim(radius, other_mask, other), between, (size, size), flags=flags, borderMode=cv2.BORDER_CONSTANT)
        others_claim += np.asarray(theirs, np.float32)
    total = claim + others_claim
    return np.where(others_claim > 0, claim / np.maximum(total, np.float32(1e-12)), np.float32(1)).astype(np.float32)


def _claim(radius: NDArray[np.float32], mask: Mask, weight: float) -> NDArray[np.float32]:
    return np.asarray(np.float32(weight) * mask / np.square(np.square(radius) + np.float32(_NEAREST)), np.float32)
