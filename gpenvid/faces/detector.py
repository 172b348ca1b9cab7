"""What every face detector promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gpenvid.geometry import Face

RGBImage = NDArray[np.uint8]
"""(H, W, 3) uint8, RGB."""


class Detector(Protocol):
    """Finds faces in pictures. Implementations hold no state between calls."""

    @property
    def name(self) -> str:
        """Short name, as in `--detector` and in the report."""
        ...

    @property
    def sure(self) -> float:
        """The score from which a face needs no other evidence; scores of different detectors are not comparable."""
        ...

    def detect(self, images: Sequence[RGBImage]) -> list[list[Face]]:
        """Find the faces of each picture, best score first.

        Args:
            images: (H, W, 3) uint8 RGB, upright; all of one size where the detector batches.

        Returns:
            per picture its faces, with boxes and landmarks in that picture's own pixels.
        """
        ...
