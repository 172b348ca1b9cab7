"""From the pixel grid in the file to the picture a viewer sees: rotation, mirror, pixel shape."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from gpenvid.geometry import Affine

_UPRIGHT = (1, 0, 0, 1)
# EXIF orientation tag to the linear part (xx, xy, yx, yy) of stored -> display.
_EXIF = {
    1: _UPRIGHT,
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, -1, 1, 0),
    7: (0, -1, -1, 0),
    8: (0, 1, -1, 0),
}


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways a picture can be stored.

    Attributes:
        linear: xx, xy, yx, yy with display x = xx * x + xy * y and display y = yx * x + yy * y, each -1, 0 or 1.
    """

    linear: tuple[int, int, int, int] = _UPRIGHT

    @classmethod
    def from_display_matrix(cls, matrix: Sequence[int]) -> Orientation:
        """From FFmpeg's nine fixed-point numbers; angles between quarter turns go to the nearest one."""
        a, b, c, d = (matrix[i] / 65536 for i in (0, 1, 3, 4))
        straight = abs(a) + abs(d) >= abs(b) + abs(c)

        def sign(value: float) -> int:
            return -1 if value < 0 else 1

        return cls((sign(a), 0, 0, sign(d)) if straight else (0, sign(c), sign(b), 0))

    @classmethod
    def from_exif(cls, tag: int) -> Orientation:
        """From the EXIF orientation tag (1 to 8; anything else counts as 1)."""
        return cls(_EXIF.get(tag, _UPRIGHT))

    @property
    def swaps_axes(self) -> bool:
        """Whether width and height change places."""
        return self.linear[0] == 0

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn a stored picture (H, W, ...) upright; returns a contiguous array."""
        xx, xy, yx, yy = self.linear
        turned = image.swapaxes(0, 1) if self.swaps_axes else image
        if xx + xy < 0:
            turned = turned[:, ::-1]
        if yx + yy < 0:
            turned = turned[::-1]
        return np.ascontiguousarray(turned)


def unpack_display_matrix(data: bytes) -> tuple[int, ...]:
    """The nine integers of FFmpeg's display matrix side data."""
    return struct.unpack("=9i", data[:36])


@dataclass(frozen=True)
class DisplayGeometry:
    """How a stored picture is shown.

    Attributes:
        width, height: stored size in samples.
        aspect: sample aspect ratio (width of a sample over its height).
        orientation: rotation and mirror.
    """

    width: int
    height: int
    aspect: Fraction = Fraction(1)
    orientation: Orientation = Orientation()

    @property
    def display_size(self) -> tuple[float, float]:
        """(width, height) in display space: upright, square pixels, stored height kept before turning."""
        width, height = self.width * float(self.aspect), float(self.height)
        return (height, width) if self.orientation.swaps_axes else (width, height)

    def to_display(self) -> Affine:
        """The map from stored pixel centres to display space."""
        xx, xy, yx, yy = self.orientation.linear
        linear = np.array([[xx, xy], [yx, yy]], float) @ np.diag([float(self.aspect), 1.0])
        corners = np.array([[-0.5, -0.5], [self.width - 0.5, self.height - 0.5]]) @ linear.T
        return np.column_stack([linear, -corners.min(axis=0) - 0.5])
