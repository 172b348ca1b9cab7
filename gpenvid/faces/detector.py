"""What every face detector promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gpenvid.geometry import Face, FloatArray

RGBImage = NDArray[np.uint8]
"""(H, W, 3) uint8, RGB."""


class CloseLook(Protocol):
    """A close look at faces whose place is nearly known, cheap enough for every frame, where the detector is not.

    It places the landmarks of one face in each picture anew, and says whether it is a face at all. Holds no state between calls.
    """

    def look(self, images: Sequence[RGBImage], landmarks: Sequence[FloatArray]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Look at `images[i]` where the five points `landmarks[i]` (5, 2) lie.

        Args:
            images: (H, W, 3) uint8 RGB, of any sizes; the same picture may be given several times.
            landmarks: in the pixels of their picture, within about half an eye distance.

        Returns:
            landmarks (N, 5, 2) in the same pixels, and beliefs (N,) in [0, 1] that there is a face.
        """
        ...


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

    @property
    def close_look(self) -> CloseLook | None:
        """What looks at carried faces between detections; None where there is nothing, and flow alone is trusted."""
        ...

    def detect(self, images: Sequence[RGBImage]) -> list[list[Face]]:
        """Find the faces of each picture, best score first.

        Args:
            images: (H, W, 3) uint8 RGB, upright; all of one size where the detector batches.

        Returns:
            per picture its faces, with boxes and landmarks in that picture's own pixels.
        """
        ...
