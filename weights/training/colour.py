"""The colour step: the source keeps its own low frequencies (section 6 of the design). Training and inference share this definition."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

CELLS = 16
"""The low-pass keeps this many area means per side of the crop, whatever the crop's size."""


def low_pass(x: Tensor) -> Tensor:
    """Mean over `CELLS` x `CELLS` areas, bilinearly (pixel edges aligned) back to size. (N, C, H, W), H and W multiples of `CELLS`."""
    height, width = x.shape[-2:]
    means = F.avg_pool2d(x, (height // CELLS, width // CELLS))
    return F.interpolate(means, size=(height, width), mode="bilinear", align_corners=False)


def keep_source_colour(restored: Tensor, source: Tensor) -> Tensor:
    """The restored crop with the source's low frequencies instead of its own: `restored + low_pass(source - restored)`.

    Args:
        restored: (N, C, H, W), any value range.
        source: what went into the network, same shape and range.
    """
    return restored + low_pass(source - restored)
