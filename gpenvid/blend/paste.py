"""The change a restored crop makes to the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpenvid.blend.color import keep_source_colour, luma_only
from gpenvid.blend.grain import source_grain
from gpenvid.blend.mask import MaskKind


@dataclass(frozen=True)
class BlendSettings:
    """How a restored crop is put back.

    Attributes:
        strength: share of the change, 0 to 1.
        keep_colour: keep the source's low frequencies.
        deflicker: average the change over neighbouring frames where the faces agree.
        grain: share of the source's own fine noise that is kept on top, 0 to 1.
        mask: what of the crop is changed: `ellipse`, or `hull` around the landmarks.
        least_likeness: cosine of face embeddings from which a restored face counts as somebody else; a little above it, it
            comes in by degrees.
    """

    strength: float = 1.0
    keep_colour: bool = True
    deflicker: bool = True
    grain: float = 0.0
    mask: MaskKind = "ellipse"
    least_likeness: float = 0.25


def residual_of(restored: NDArray[np.float32], source: NDArray[np.float32], *, keep_colour: bool) -> NDArray[np.float32]:
    """Restored minus source crop, (S, S, 3) float32, with the source's low frequencies kept on request."""
    return (keep_source_colour(restored, source) if keep_colour else restored) - source


def masked_change(
    residual: NDArray[np.float32],
    source: NDArray[np.float32],
    settings: BlendSettings,
    mask: NDArray[np.float32],
    *,
    weight: float,
    monochrome: bool,
    factor: float,
    share: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """What is to be added to the crop.

    Args:
        residual, source: (S, S, 3) float32 RGB.
        mask: (S, S) float32 in [0, 1].
        weight: share of the change for this face in this frame, 0 to 1, beside the settings' strength.
        monochrome: change luma only.
        factor: crop pixels per picture pixel.
        share: (S, S) part of each pixel that is this face's, where faces overlap; None for all.

    Returns:
        (S, S, 3) float32, exactly zero outside the mask.
    """
    change = residual
    if settings.grain:
        change = change + np.float32(settings.grain) * source_grain(source, factor)
    if monochrome:
        change = luma_only(change)
    if share is not None:
        mask = mask * share
    return change * (mask[:, :, None] * np.float32(settings.strength * weight))
