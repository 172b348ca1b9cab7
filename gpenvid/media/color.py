"""Colour of a source, and the matrices between its planes and RGB.

Numbers are FFmpeg's (ITU-T H.273): matrix, primaries, transfer, range.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

UNSPECIFIED = 2
LIMITED, FULL = 1, 2

# Luma weights of red and blue by matrix number.
_LUMA = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}


@dataclass(frozen=True)
class ColorSpec:
    """Colour properties as the container or codec states them; 2 (0 for range) means not stated."""

    matrix: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    range: int = 0

    def resolved_matrix(self, height: int) -> int:
        """The matrix to compute with: the stated one, else the usual one."""
        return self.matrix if self.matrix in _LUMA else usual_matrix(height)

    @property
    def is_full_range(self) -> bool:
        """Whether luma spans all code values."""
        return self.range == FULL


def luma_weights(matrix: int) -> tuple[float, float] | None:
    """Luma's weights of red and blue by the number of a matrix; None where it is none that gpenvid computes with."""
    return _LUMA.get(matrix)


def scaler_matrix(matrix: int) -> int:
    """The number of a matrix in FFmpeg's scaler, which computes every one but these as BT.601."""
    return {1: 1, 4: 4, 7: 7, 9: 9, 10: 9}.get(matrix, 5)


def usual_matrix(height: int) -> int:
    """The matrix that players take where none is stated: BT.709 from 720 lines up and BT.601 below."""
    return 1 if height >= 720 else 6


@lru_cache(maxsize=16)
def rgb_to_yuv(matrix: int) -> NDArray[np.float32]:
    """The 3x3 matrix from non-linear RGB to Y in [0, 1] and Cb, Cr in [-0.5, 0.5]."""
    red, blue = _LUMA[matrix]
    green = 1 - red - blue
    luma = np.array([red, green, blue])
    cb = (np.array([0.0, 0.0, 1.0]) - luma) / (2 * (1 - blue))
    cr = (np.array([1.0, 0.0, 0.0]) - luma) / (2 * (1 - red))
    return np.stack([luma, cb, cr]).astype(np.float32)


@lru_cache(maxsize=16)
def yuv_to_rgb(matrix: int) -> NDArray[np.float32]:
    """The inverse of `rgb_to_yuv`."""
    return np.linalg.inv(rgb_to_yuv(matrix).astype(np.float64)).astype(np.float32)


def luma_scale(bits: int, full: bool) -> tuple[float, float]:
    """(offset, span) of luma, or of R, G, B: code = offset + span * value."""
    if full:
        return 0.0, float(2**bits - 1)
    return 16.0 * 2 ** (bits - 8), 219.0 * 2 ** (bits - 8)


def chroma_scale(bits: int, full: bool) -> tuple[float, float]:
    """(offset, span) of chroma: code = offset + span * value, value in [-0.5, 0.5]."""
    return float(2 ** (bits - 1)), float(2**bits - 1) if full else 224.0 * 2 ** (bits - 8)
