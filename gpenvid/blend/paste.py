"""The change a restored crop makes to a region of the picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpenvid.blend.color import keep_source_colour, luma_only
from gpenvid.blend.mask import face_ellipse
from gpenvid.blend.warp import return_change
from gpenvid.geometry import Affine


def change_of_crop(
    restored: NDArray[np.float32],
    source: NDArray[np.float32],
    *,
    eye_distance: float,
    strength: float = 1.0,
    keep_colour: bool = True,
    monochrome: bool = False,
) -> NDArray[np.float32]:
    """Restored minus source, masked: what is to be added, in the crop.

    Args:
        restored, source: (S, S, 3) float32 RGB in [0, 1].
        eye_distance: of the template, as a fraction of the crop's side.
        strength: 0 (nothing) to 1 (all of it).
        keep_colour: keep the source's low frequencies.
        monochrome: change luma only.

    Returns:
        (S, S, 3) float32, exactly zero outside the mask.
    """
    better = keep_source_colour(restored, source) if keep_colour else restored
    change = better - source
    if monochrome:
        change = luma_only(change)
    return change * (face_ellipse(restored.shape[0], eye_distance)[:, :, None] * np.float32(strength))


def change_of_region(changes: list[tuple[NDArray[np.float32], Affine]], width: int, height: int) -> NDArray[np.float32]:
    """Carry the changes of several crops to one region, nearest crop first where they overlap.

    Args:
        changes: (S, S, 3) masked changes and the map from region pixels to crop pixels of each.

    Returns:
        (height, width, 3) float32.
    """
    total = np.zeros((height, width, 3), np.float32)
    for change, to_crop in changes:
        total += return_change(change, to_crop, width, height)
    return total
